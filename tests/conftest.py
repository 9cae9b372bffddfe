"""What holds for all tests of this repository."""

from hypothesis import HealthCheck, settings

# A machine that does something else for a second says nothing about a test.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")

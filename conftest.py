"""Turns the conformance kit on for this repository."""

pytest_plugins = ("tinyms_core.conformance.pytest_plugin",)

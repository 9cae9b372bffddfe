"""What can be wrong with a rule or a kernel."""

from __future__ import annotations

from tinyms_core.registry.errors import TinymsOptimError


class RuleError(TinymsOptimError, ValueError):
    """An update rule says something that cannot be compiled; the message names the rule, the line and why."""

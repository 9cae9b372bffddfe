"""What can be wrong with an optimizer's arguments, beyond TypeError and ValueError."""

from __future__ import annotations

from tinyms_core.registry.errors import TinymsOptimError


class InvalidGroupError(TinymsOptimError, KeyError, ValueError):
    """A parameter group has a key that does not exist, or lacks ``params``; the message names the group."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, quotes and all.
        return str(self.args[0]) if self.args else ""

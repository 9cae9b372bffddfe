"""Every error and warning that a user of optimizers can meet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tinyms_core.registry.specs import KernelStatus

# A plugin that calls sys.exit() while it is imported must not end the host; KeyboardInterrupt is the user's.
CONTAINED: Final = (Exception, SystemExit)


class TinymsOptimError(Exception):
    """The base of every error that this library raises on purpose."""


class UnknownOptimizerError(TinymsOptimError, LookupError):
    """No installed and enabled optimizer answers to a name.

    Arguments:
        message: The whole explanation.
        name: The name as it was asked for.
        suggestions: Close names that would have worked, or would after an installation.
    """

    def __init__(self, message: str, *, name: str = "", suggestions: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.name = name
        self.suggestions = tuple(suggestions)


class PluginError(TinymsOptimError):
    """A plugin that was asked for by name does not work; the original error is ``__cause__``.

    Arguments:
        message: The whole explanation.
        distribution: The distribution that gives the plugin.
        entry_point: The entry point, as ``name = value``; empty for a registration in this process.
        stage: Where it failed: ``metadata``, ``import``, ``hooks``, ``call``, ``specification``,
            ``contract``, ``implementation`` or ``conflict``.
    """

    def __init__(self, message: str, *, distribution: str = "", entry_point: str = "", stage: str = "") -> None:
        super().__init__(message)
        self.distribution = distribution
        self.entry_point = entry_point
        self.stage = stage


class PluginConflictError(PluginError):
    """One name or alias has two owners, and the user did not say which is meant.

    Arguments:
        message: The whole explanation.
        name: The contested name.
        owners: What to ask for instead, each as ``distribution:name``.
    """

    def __init__(self, message: str, *, name: str = "", owners: Iterable[str] = ()) -> None:
        super().__init__(message, stage="conflict")
        self.name = name
        self.owners = tuple(owners)


class InvalidSpecError(TinymsOptimError, ValueError):
    """A specification says something that cannot be; the message names field, value and what is right."""


class MissingKernelError(TinymsOptimError, ValueError):
    """An optimizer has no kernel that can run on a device.

    Arguments:
        message: The whole explanation.
        optimizer: The optimizer's name.
        device: The device that was asked for.
    """

    def __init__(self, message: str, *, optimizer: str = "", device: str = "") -> None:
        super().__init__(message)
        self.optimizer = optimizer
        self.device = device

    @classmethod
    def explain(cls, optimizer: str, device: str, kernels: Iterable[KernelStatus]) -> MissingKernelError:
        """Build the error from what the registry knows of an optimizer's kernels.

        Arguments:
            optimizer: The optimizer's name.
            device: The device that was asked for.
            kernels: Every kernel of the optimizer, whatever its device.

        Returns:
            The error, which lists each kernel with its device and why it is not available.
        """
        known = [
            f"{status.spec.device}: {status.spec.implementation_name}"
            f" ({status.spec.distribution or 'no distribution'}),"
            f" {'available' if status.available else 'not available: ' + status.reason}"
            for status in kernels
        ]
        listing = "; ".join(known) if known else "none"
        return cls(
            f"optimizer {optimizer!r} has no kernel for device {device!r}. Its kernels: {listing}.",
            optimizer=optimizer,
            device=device,
        )


class PluginWarning(UserWarning):
    """A plugin is broken, or contests a name, and a listing left it out or had to qualify it."""


def describe(error: BaseException) -> str:
    """Return an error as one line, also where its own ``__str__`` fails."""
    import traceback

    lines = traceback.format_exception_only(type(error), error)
    # A SyntaxError begins with its indented source, and notes come after the line that is wanted.
    line = next((line for line in lines if not line.startswith(" ")), lines[-1])
    return " ".join(line.split())

"""The functions over the registry that a process shares."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from tinyms_core.registry.registry import OptimizerRegistry
from tinyms_core.registry.report import PluginReport
from tinyms_core.registry.specs import KernelSpec, KernelStatus, OptimizerSpec

_DEFAULT: Final = OptimizerRegistry()


def get_optimizer(name: str) -> Any:
    """Return an optimizer's class, or the function that builds one from a network.

    Arguments:
        name: The optimizer's name or alias; case, ``_`` and ``-`` do not count. ``"distribution:name"``
            chooses where two distributions own the name.

    Returns:
        The class, imported now if it was not before; for an optimizer whose capabilities say ``consumes_network`` it
        may be a function of the network that returns the optimizer.

    Raises:
        TypeError: If ``name`` is not a string.
        UnknownOptimizerError: If no enabled optimizer has the name; the message says what to install or to
            ask for.
        PluginError: If the plugin of this name is broken; ``__cause__`` is what went wrong in it.
        PluginConflictError: If two optimizers own the name.

    Example:
        >>> get_optimizer("AdamWeightDecay") is get_optimizer("adam_weight_decay")  # doctest: +SKIP
        True
    """
    return _DEFAULT.get_optimizer(name)


def optimizer_info(name: str) -> OptimizerSpec:
    """Return what is known of an optimizer, without importing its class.

    Arguments:
        name: As for ``get_optimizer``.

    Returns:
        Its specification, with ``kernels`` filled in, the kernel of the highest priority first.

    Raises:
        TypeError: If ``name`` is not a string.
        UnknownOptimizerError: If no enabled optimizer has the name.
        PluginError: If the plugin of this name is broken.
        PluginConflictError: If two optimizers own the name.

    Example:
        >>> optimizer_info("adam").state_bytes_per_element()  # doctest: +SKIP
        8.0
    """
    return _DEFAULT.optimizer_info(name)


def list_optimizers(
    pattern: str | Iterable[str] | None = None, exclude: str | Iterable[str] | None = None
) -> list[str]:
    """Return the names of the optimizers that can be used.

    A broken plugin is left out with one ``PluginWarning``, and a contested name gives one; neither is
    repeated before ``refresh``. No optimizer's class is imported.

    Arguments:
        pattern: Wildcards as in a shell, such as ``"adam*"``, of which one must match; case does not count.
        exclude: Wildcards of which none may match.

    Returns:
        The names, sorted. A name that two distributions own is there as ``"distribution:name"`` for each, so
        that everything listed can be asked for.

    Raises:
        TypeError: If a wildcard is not a string.

    Example:
        >>> list_optimizers("adam*", exclude="*offload")  # doctest: +SKIP
        ['adam', 'adam_weight_decay', 'adamw']
    """
    return _DEFAULT.list_optimizers(pattern, exclude)


def kernels_for(name: str, device: str | None = None) -> tuple[KernelStatus, ...]:
    """Return an optimizer's kernels, whichever distributions give them, without importing any.

    Arguments:
        name: As for ``get_optimizer``.
        device: ``"CPU"``, ``"GPU"`` or ``"Ascend"``; every device when None.

    Returns:
        The kernels, those that cannot be used among them with the reason; the highest priority first, then in
        the order of their distributions.

    Raises:
        InvalidSpecError: If ``device`` is another.
        TypeError: If ``name`` is not a string.
        UnknownOptimizerError: If no enabled optimizer has the name.
        PluginError: If the plugin of this name is broken.
        PluginConflictError: If two optimizers own the name.

    Example:
        >>> [status.spec.device for status in kernels_for("adam") if status.available]  # doctest: +SKIP
        ['CPU', 'Ascend']
    """
    return _DEFAULT.kernels_for(name, device)


def register(spec: OptimizerSpec, *, kernels: Iterable[KernelSpec] = ()) -> None:
    """Add an optimizer to this process, beside those of plugins; ``refresh`` does not remove it.

    Arguments:
        spec: The optimizer. Its distribution becomes ``"in-process"``.
        kernels: Kernels for it.

    Raises:
        TypeError: If ``spec`` or a kernel is something else.
        InvalidSpecError: If the contract's version is not supported, or a kernel is for another optimizer.
        PluginConflictError: If its name or an alias has an owner already; nothing is added.

    Example:
        >>> from tinyms_core.registry import OptimizerSpec, get_optimizer, register, unregister
        >>> class Mine: ...
        >>> register(OptimizerSpec("my_optimizer", Mine))
        >>> get_optimizer("MyOptimizer") is Mine
        True
        >>> unregister("my_optimizer")
    """
    _DEFAULT.register(spec, kernels=kernels)


def unregister(name: str) -> None:
    """Take an optimizer out of this process; a plugin's is hidden until ``refresh``.

    Arguments:
        name: As for ``get_optimizer``.

    Raises:
        TypeError: If ``name`` is not a string.
        UnknownOptimizerError: If no enabled optimizer has the name.
        PluginError: If the plugin of this name is broken.
        PluginConflictError: If two optimizers own the name.
    """
    _DEFAULT.unregister(name)


def refresh() -> None:
    """Look for plugins anew at the next question, after an installation or a change of the off switches.

    Modules that are imported already stay as they are.
    """
    _DEFAULT.refresh()


def diagnose() -> list[PluginReport]:
    """Report on every entry point, whatever is broken or switched off, and without a warning.

    Returns:
        The reports, in the order of distributions and entry points.
    """
    return _DEFAULT.diagnose()


def active_switches() -> dict[str, str]:
    """Return the off switches that were in force when plugins were looked for.

    Returns:
        The text of each environment variable, by its name.
    """
    return _DEFAULT.active_switches()

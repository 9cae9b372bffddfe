"""The two hooks that a plugin may implement, and how one plugin's hooks are checked and called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any, Final, TypeVar

import pluggy

from tinyms_core.registry.errors import InvalidSpecError
from tinyms_core.registry.specs import KernelSpec, OptimizerSpec

PROJECT: Final = "tinyms"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a plugin's function as the implementation of the hook of the same name."""

Spec = TypeVar("Spec", OptimizerSpec, KernelSpec)


class HookSpecs:
    """The hooks; a plugin implements them as functions of its module, without ``self``."""

    @hookspec
    def tinyms_optimizers(self) -> Iterable[OptimizerSpec]:  # type: ignore[empty-body]
        """Return the optimizers that the plugin gives."""

    @hookspec
    def tinyms_kernels(self) -> Iterable[KernelSpec]:  # type: ignore[empty-body]
        """Return the kernels that the plugin gives, also for optimizers of other distributions."""


class _LazyPluginManager(pluggy.PluginManager):
    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        # pluggy up to 1.6 gets every name in dir(plugin), which would import all that a lazy module offers.
        if isinstance(plugin, ModuleType) and name not in vars(plugin):
            return None
        return super().parse_hookimpl_opts(plugin, name)


def plugin_hooks(plugin: object) -> pluggy.PluginManager:
    """Check one plugin's hooks.

    Each plugin has a manager of its own, so that one which is refused leaves nothing behind to be undone.

    Arguments:
        plugin: The plugin's module, or another object with hook implementations.

    Returns:
        A manager that holds this plugin alone.

    Raises:
        pluggy.PluginValidationError: If a hook is unknown or takes arguments that it cannot have.
        InvalidSpecError: If the plugin implements no hook.
    """
    manager = _LazyPluginManager(PROJECT)
    manager.add_hookspecs(HookSpecs)
    manager.register(plugin)
    _refuse_misspelled(manager)
    if not manager.get_hookcallers(plugin):
        raise InvalidSpecError(
            "the plugin implements no hook: define tinyms_optimizers() or tinyms_kernels() in the module "
            "that the entry point names, and decorate it with @tinyms_core.hookimpl"
        )
    return manager


def call_hook(caller: pluggy.HookCaller, kind: type[Spec]) -> Iterator[Spec]:
    """Call one plugin's hook and check each thing that it gives.

    Arguments:
        caller: The hook, from a manager that holds one plugin.
        kind: What the hook must give.

    Yields:
        Each specification, as soon as it is known, so that a hook that fails midway still told some names.

    Raises:
        InvalidSpecError: If the hook gives anything but specifications of this kind.
    """
    implementations = [item for item in caller.get_hookimpls() if not (item.hookwrapper or item.wrapper)]
    results = caller()
    # pluggy leaves out None, which here is a forgotten return statement.
    if len(results) < len(implementations):
        raise _wrong_result(caller, kind, None)
    for result in results:
        if isinstance(result, (str, bytes)) or not isinstance(result, Iterable):
            raise _wrong_result(caller, kind, result)
        for item in result:
            if not isinstance(item, kind):
                raise InvalidSpecError(
                    f"{caller.name} must give {kind.__name__} only, got {type(item).__name__}: {item!r}"
                )
            yield item


def _wrong_result(caller: pluggy.HookCaller, kind: type, result: object) -> InvalidSpecError:
    return InvalidSpecError(
        f"{caller.name} must return a list of {kind.__name__}, got {type(result).__name__}: {result!r}"
    )


def _refuse_misspelled(manager: pluggy.PluginManager) -> None:
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        from difflib import get_close_matches

        hooks = [name for name in vars(HookSpecs) if name.startswith(f"{PROJECT}_")]
        unknown = [name for name in vars(manager.hook) if name not in hooks and not name.startswith("_")]
        matches = [f"{name!r} looks like {near!r}" for name in unknown for near in get_close_matches(name, hooks, 1)]
        raise pluggy.PluginValidationError(
            error.plugin, "; ".join([str(error), *matches, f"the hooks are {', '.join(hooks)}"])
        ) from error

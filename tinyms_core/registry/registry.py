"""The registry: plugins' optimizers and this process's own, by name."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Final

from tinyms_core.registry import checks
from tinyms_core.registry.absence import absence_error
from tinyms_core.registry.catalog import Catalog, build_catalog, conflict_error, identity
from tinyms_core.registry.discovery import Plugin, discover, forget_folders
from tinyms_core.registry.errors import (
    CONTAINED,
    InvalidSpecError,
    PluginError,
    PluginWarning,
    TinymsOptimError,
    describe,
)
from tinyms_core.registry.names import fold, parse_asked
from tinyms_core.registry.probe import resolve
from tinyms_core.registry.report import PluginReport, plugin_reports
from tinyms_core.registry.specs import (
    DEVICES,
    KernelSpec,
    KernelStatus,
    OptimizerSpec,
    require_contract,
    wrong_implementation,
)
from tinyms_core.registry.switches import Switches, read_switches

IN_PROCESS: Final = "in-process"
"""Stands for the distribution of what ``register`` adds, also in ``get_optimizer("in-process:name")``."""


@dataclass(frozen=True)
class _Discovered:
    switches: Switches
    plugins: tuple[Plugin, ...]


class OptimizerRegistry:
    """Optimizers and kernels by name.

    Plugins are looked for at the first question and again after ``refresh``. All methods may be called from
    several threads.

    Arguments:
        search_path: Where to look for distributions; ``sys.path`` when None.
        environment: Where to read the off switches; ``os.environ`` when None.

    Example:
        >>> registry = OptimizerRegistry(search_path=[])
        >>> registry.register(OptimizerSpec("counter", "collections:Counter"))
        >>> registry.get_optimizer("Counter").__name__
        'Counter'
    """

    def __init__(
        self, *, search_path: Sequence[str] | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self._search_path = search_path
        self._environment = os.environ if environment is None else environment
        self._lock = threading.RLock()
        self._discovering = False
        self._discovered: _Discovered | None = None
        self._catalog: Catalog | None = None
        self._registered: dict[str, tuple[OptimizerSpec, tuple[KernelSpec, ...]]] = {}
        self._hidden: set[tuple[str, str]] = set()
        self._warned: set[object] = set()

    def get_optimizer(self, name: str) -> Any:
        """Return an optimizer's class; see the function of this name."""
        spec, _ = self._find(name)
        try:
            found = resolve(spec.implementation)
            wanted = wrong_implementation(found, spec.capabilities)
            if wanted:
                raise TypeError(f"{spec.implementation_name!r} is not {wanted} but {type(found).__name__}: {found!r}")
        except CONTAINED as error:
            raise self._implementation_error(name, spec, error) from error
        return found

    def optimizer_info(self, name: str) -> OptimizerSpec:
        """Return what is known of an optimizer; see the function of this name."""
        spec, catalog = self._find(name)
        return replace(spec, kernels=catalog.kernels_of(spec))

    def list_optimizers(
        self,
        pattern: str | Iterable[str] | None = None,
        exclude: str | Iterable[str] | None = None,
    ) -> list[str]:
        """Return the optimizers' names; see the function of this name."""
        wanted = ["*"] if pattern is None else _patterns("pattern", pattern)
        unwanted = [] if exclude is None else _patterns("exclude", exclude)
        discovered, catalog = self._current()
        self._warn(discovered, catalog)
        names = {catalog.listed_name(spec): spec.name for spec in catalog.optimizers}
        return sorted(
            listed
            for listed, own in names.items()
            if _matches(wanted, listed, own) and not _matches(unwanted, listed, own)
        )

    def kernels_for(self, name: str, device: str | None = None) -> tuple[KernelStatus, ...]:
        """Return an optimizer's kernels; see the function of this name."""
        if device is not None:
            checks.check_choice("device", device, DEVICES)
        spec, catalog = self._find(name)
        return tuple(status for status in catalog.kernels_of(spec) if device in (None, status.spec.device))

    def register(self, spec: OptimizerSpec, *, kernels: Iterable[KernelSpec] = ()) -> None:
        """Add an optimizer to this process; see the function of this name."""
        if not isinstance(spec, OptimizerSpec):
            raise TypeError(
                f"spec must be an OptimizerSpec, such as OptimizerSpec('mine', implementation=Mine), "
                f"got {type(spec).__name__}: {spec!r}"
            )
        require_contract(spec)
        spec = replace(spec, distribution=IN_PROCESS, kernels=())
        added = tuple(_own_kernel(spec, kernel) for kernel in kernels)
        with self._lock:
            catalog = self._current()[1]
            for name in spec.names:
                owners = catalog.owners_of(parse_asked(name))
                if owners:
                    raise conflict_error(
                        name,
                        [*owners, spec],
                        "Register it under another name, or unregister the present owner first",
                    )
            self._registered[fold(spec.name)] = (spec, added)
            self._catalog = None

    def unregister(self, name: str) -> None:
        """Take an optimizer out of this process; see the function of this name."""
        with self._lock:
            spec, _ = self._find(name)
            if spec.distribution == IN_PROCESS:
                del self._registered[fold(spec.name)]
            else:
                self._hidden.add((spec.distribution, fold(spec.name)))
            self._catalog = None

    def refresh(self) -> None:
        """Forget the plugins, so that they are looked for anew; see the function of this name."""
        with self._lock:
            forget_folders()
            self._discovered = None
            self._catalog = None
            self._hidden.clear()
            self._warned.clear()

    def diagnose(self) -> list[PluginReport]:
        """Report on every entry point; see the function of this name."""
        discovered, catalog = self._current()
        return plugin_reports(discovered.plugins, catalog)

    def active_switches(self) -> dict[str, str]:
        """Return the off switches that are in force; see the function of this name."""
        return dict(self._current()[0].switches.active)

    def _current(self) -> tuple[_Discovered, Catalog]:
        with self._lock:
            if self._discovered is None:
                self._discovered = self._discover()
            if self._catalog is None:
                self._catalog = self._build_catalog(self._discovered.plugins)
            return self._discovered, self._catalog

    def _discover(self) -> _Discovered:
        # The lock lets the same thread in again: without this, a plugin that asks the registry while it is
        # imported would start the search that is importing it.
        if self._discovering:
            raise TinymsOptimError(
                "the registry was asked for optimizers while a plugin was being loaded: a plugin states its "
                "optimizers with hooks, and may use the registry only after it is imported"
            )
        self._discovering = True
        try:
            switches = read_switches(self._environment)
            return _Discovered(switches, discover(switches, self._search_path))
        finally:
            self._discovering = False

    def _build_catalog(self, plugins: Sequence[Plugin]) -> Catalog:
        healthy = [plugin for plugin in plugins if plugin.status == "ok"]
        optimizers = [
            spec
            for plugin in healthy
            for spec in plugin.optimizers
            if (spec.distribution, fold(spec.name)) not in self._hidden
        ]
        kernels = [kernel for plugin in healthy for kernel in plugin.kernels]
        for spec, added in self._registered.values():
            optimizers.append(spec)
            kernels += added
        return build_catalog(optimizers, kernels)

    def _find(self, name: str) -> tuple[OptimizerSpec, Catalog]:
        asked = parse_asked(name)
        discovered, catalog = self._current()
        owners = catalog.owners_of(asked)
        if not owners:
            raise absence_error(asked, discovered.plugins, catalog)
        if len(owners) > 1:
            raise conflict_error(name, owners)
        return owners[0], catalog

    def _implementation_error(self, name: str, spec: OptimizerSpec, error: BaseException) -> PluginError:
        entry_points = [
            f"{plugin.entry_point} = {plugin.value}"
            for plugin in self._current()[0].plugins
            if identity(spec) in map(identity, plugin.optimizers)
        ]
        entry_point = entry_points[0] if entry_points else ""
        where = f" (entry point {entry_point})" if entry_point else ""
        return PluginError(
            f"optimizer {name!r} of {spec.distribution}{where} has an implementation that cannot be used: "
            f"{spec.implementation_name!r}: {describe(error)}",
            distribution=spec.distribution,
            entry_point=entry_point,
            stage="implementation",
        )

    def _warn(self, discovered: _Discovered, catalog: Catalog) -> None:
        messages: dict[object, str] = {
            (plugin.distribution, plugin.value): (
                f"the plugin {plugin.label} is broken at stage {plugin.stage!r} and left out: {plugin.reason}"
            )
            for plugin in discovered.plugins
            if plugin.status == "broken"
        }
        messages.update({folded: str(error) for folded, error in catalog.conflicts().items()})
        with self._lock:
            fresh = [key for key in messages if key not in self._warned]
            self._warned.update(fresh)
        for key in fresh:
            # The caller of the public function, through that function, list_optimizers and this one.
            warnings.warn(messages[key], PluginWarning, stacklevel=4)


def _own_kernel(spec: OptimizerSpec, kernel: KernelSpec) -> KernelSpec:
    if not isinstance(kernel, KernelSpec):
        raise TypeError(f"kernels must be KernelSpec objects, got {type(kernel).__name__}: {kernel!r}")
    if fold(kernel.optimizer) not in map(fold, spec.names):
        raise InvalidSpecError(
            f"KernelSpec.optimizer must be {spec.name!r}, the optimizer that it is registered with, got "
            f"{kernel.optimizer!r}"
        )
    return replace(kernel, distribution=IN_PROCESS)


def _patterns(argument: str, value: str | Iterable[str]) -> list[str]:
    patterns = [value] if isinstance(value, str) else list(value)
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise TypeError(
                f"{argument} must be a str or strs such as 'adam*', got {type(pattern).__name__}: {pattern!r}"
            )
    return [pattern.casefold() for pattern in patterns]


def _matches(patterns: Sequence[str], *names: str) -> bool:
    return any(fnmatchcase(name.casefold(), pattern) for pattern in patterns for name in names)

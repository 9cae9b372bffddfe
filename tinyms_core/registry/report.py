"""What became of every plugin, for a person who wants to know why one is not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tinyms_core.registry.catalog import Catalog, identity
from tinyms_core.registry.discovery import Plugin
from tinyms_core.registry.errors import CONTAINED, describe
from tinyms_core.registry.names import fold
from tinyms_core.registry.plain import PlainFields
from tinyms_core.registry.probe import module_exists, module_location
from tinyms_core.registry.specs import KernelStatus, OptimizerSpec


@dataclass(frozen=True)
class PluginReport(PlainFields):
    """One entry point as ``diagnose`` found it.

    Arguments:
        distribution: The distribution's canonical name.
        version: The distribution's version.
        entry_point: The entry point's name.
        value: What the entry point names.
        status: ``"ok"``; ``"broken"``; ``"disabled"`` by a switch; or ``"conflict"`` where another plugin
            claims one of its names.
        stage: Where it failed or was stopped; empty where it is ok.
        reason: Why; empty where it is ok.
        names: The names of its optimizers, as far as they are known.
        kernels: Its kernels, also those for optimizers that are not installed.
        contracts: The versions of the contract that its optimizers were written for.
        location: The file or folder of its module; empty where it is not found.
    """

    distribution: str
    version: str
    entry_point: str
    value: str
    status: Literal["ok", "broken", "disabled", "conflict"]
    stage: str
    reason: str
    names: tuple[str, ...]
    kernels: tuple[KernelStatus, ...]
    contracts: tuple[str, ...]
    location: str


def plugin_reports(plugins: Sequence[Plugin], catalog: Catalog) -> list[PluginReport]:
    """Report on every plugin.

    Arguments:
        plugins: Every plugin, whatever became of it.
        catalog: What can be used.

    Returns:
        The reports, in the plugins' order. Beyond what discovery saw, they tell of contested names and of
        implementations whose module is missing, without importing any.
    """
    return [_report(plugin, catalog) for plugin in plugins]


def _report(plugin: Plugin, catalog: Catalog) -> PluginReport:
    report = PluginReport(
        plugin.distribution,
        plugin.version,
        plugin.entry_point,
        plugin.value,
        plugin.status,
        plugin.stage,
        plugin.reason,
        plugin.names,
        tuple(catalog.status_of(kernel) for kernel in plugin.kernels),
        tuple(dict.fromkeys(spec.contract for spec in plugin.optimizers)),
        _location(plugin),
    )
    if plugin.status != "ok":
        return report
    missing = [reason for reason in map(_missing_implementation, plugin.optimizers) if reason]
    if missing:
        return replace(report, status="broken", stage="implementation", reason="; ".join(missing))
    conflicts = catalog.conflicts()
    usable = set(map(identity, catalog.optimizers))
    ours = {fold(name) for spec in plugin.optimizers if identity(spec) in usable for name in spec.names}
    contested = [str(conflicts[folded]) for folded in sorted(ours & conflicts.keys())]
    if contested:
        return replace(report, status="conflict", stage="conflict", reason=" ".join(contested))
    return report


def _location(plugin: Plugin) -> str:
    """Where a plugin's module is, or would be imported from, without importing it."""
    try:
        return module_location(plugin.value.partition(":")[0])
    except CONTAINED:
        # What goes wrong while looking for it is what its status and reason are about.
        return ""


def _missing_implementation(spec: OptimizerSpec) -> str:
    if not isinstance(spec.implementation, str):
        return ""
    module = spec.implementation.partition(":")[0]
    try:
        if module_exists(module):
            return ""
    except CONTAINED as error:
        return f"looking for module {module!r} of {spec.name!r} failed: {describe(error)}"
    return f"the module {module!r} of {spec.name!r} does not exist"

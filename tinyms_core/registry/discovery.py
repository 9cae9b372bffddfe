"""Finding plugins by their entry points and loading each so that a broken one harms no other.

A plugin is all or nothing: what it states is taken only when its import, both hooks and every specification
are sound. Its own module is light, so all enabled plugins are loaded at the first question. That makes the
answer to "who owns this name?" the same whatever was asked before, aliases included; the optimizers' classes
stay unimported.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from tinyms_core.registry.errors import CONTAINED, InvalidSpecError, describe
from tinyms_core.registry.hooks import call_hook, plugin_hooks
from tinyms_core.registry.names import canonical_distribution, fold
from tinyms_core.registry.specs import KernelSpec, OptimizerSpec, require_contract
from tinyms_core.registry.switches import Switches

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

ENTRY_POINT_GROUP: Final = "tinyms.optimizers"
"""The group of entry points in which a distribution names the module with its hooks."""

Stage = Literal["", "metadata", "switch", "import", "hooks", "call", "specification", "contract"]


@dataclass(frozen=True)
class Plugin:
    """One entry point, and what became of it.

    Arguments:
        distribution: The distribution's canonical name.
        version: The distribution's version.
        entry_point: The entry point's name.
        value: What the entry point names.
        status: Whether it was loaded, failed, or was kept from being imported.
        stage: Where it failed or was stopped.
        reason: Why, as one line.
        error: The original error of a broken plugin.
        optimizers: What it gives; for a broken plugin, what it stated before it failed.
        kernels: Its kernels; none for a broken plugin.
    """

    distribution: str
    version: str
    entry_point: str
    value: str
    status: Literal["ok", "broken", "disabled"] = "ok"
    stage: Stage = ""
    reason: str = ""
    error: BaseException | None = None
    optimizers: tuple[OptimizerSpec, ...] = ()
    kernels: tuple[KernelSpec, ...] = ()

    @property
    def label(self) -> str:
        """The plugin for a message: distribution, version and entry point."""
        where = f" (entry point {self.entry_point!r} = {self.value!r})" if self.entry_point else ""
        return f"{self.distribution} {self.version}".rstrip() + where

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its optimizers, without aliases."""
        return tuple(spec.name for spec in self.optimizers)


def discover(switches: Switches, search_path: Sequence[str] | None = None) -> tuple[Plugin, ...]:
    """Find and load every enabled plugin.

    Arguments:
        switches: What is not to be imported.
        search_path: Where to look for distributions; ``sys.path`` when None.

    Returns:
        One record for each entry point, in the order of distribution, name and value. Of a distribution that
        is there twice, such as an editable installation over a wheel, the first on the path counts, as it
        does for imports.
    """
    found: dict[str, list[tuple[Plugin, EntryPoint | None]]] = {}
    for distribution in _distributions(search_path):
        name, entries = _entry_points(distribution)
        if name:
            found.setdefault(name, entries)
    # Loaded only now, and in this order, since importing a plugin may change the path that is being searched.
    in_order = sorted(
        (pair for entries in found.values() for pair in entries),
        key=lambda pair: (pair[0].distribution, pair[0].entry_point, pair[0].value),
    )
    return tuple(_load_enabled(plugin, entry, switches) for plugin, entry in in_order)


def forget_folders() -> None:
    """Forget what folders held, so that what was installed or removed a moment ago is seen.

    Folders are cached by their time of change, which is too coarse for that.
    """
    from importlib import invalidate_caches, metadata

    invalidate_caches()
    # Before Python 3.13 the call above leaves this cache, and the method of this finder needs an instance.
    metadata.MetadataPathFinder().invalidate_caches()


def _distributions(search_path: Sequence[str] | None) -> Iterable[Distribution]:
    # Imported here because it costs more than all the rest of this package.
    from importlib import metadata

    return metadata.distributions() if search_path is None else metadata.distributions(path=list(search_path))


def _entry_points(distribution: Distribution) -> tuple[str, list[tuple[Plugin, EntryPoint | None]]]:
    try:
        # The text is looked at first: reading the metadata of every distribution would take far longer.
        if ENTRY_POINT_GROUP not in (distribution.read_text("entry_points.txt") or ""):
            return "", []
        name, version = (_metadata_field(distribution, field) for field in ("Name", "Version"))
        ours = {
            (entry.name, entry.value): entry for entry in distribution.entry_points if entry.group == ENTRY_POINT_GROUP
        }
    except CONTAINED as error:
        # A distribution without readable metadata has no public attribute that tells where it lies.
        place = str(getattr(distribution, "_path", distribution))
        return place, [(_broken(Plugin(place, "", "", ""), "metadata", error), None)]
    name = canonical_distribution(name)
    return name, [(Plugin(name, version, entry.name, entry.value), entry) for entry in ours.values()]


def _metadata_field(distribution: Distribution, field: str) -> str:
    fields = distribution.metadata
    # What an absent field gives is None in some Python releases, and an error or a warning in others.
    if field not in fields:
        raise LookupError(f"METADATA has no field {field!r}")
    return fields[field]


def _load_enabled(plugin: Plugin, entry: EntryPoint | None, switches: Switches) -> Plugin:
    if entry is None:
        return plugin
    reason = switches.reason_against(plugin.distribution, plugin.entry_point)
    if reason:
        return replace(plugin, status="disabled", stage="switch", reason=reason)
    return _load(plugin, entry)


def _load(plugin: Plugin, entry: EntryPoint) -> Plugin:
    stage: Stage = "import"
    optimizers: list[OptimizerSpec] = []
    kernels: list[KernelSpec] = []
    try:
        module = entry.load()
        stage = "hooks"
        hooks = plugin_hooks(module).hook
        stage = "call"
        for spec in call_hook(hooks.tinyms_optimizers, OptimizerSpec):
            optimizers.append(replace(spec, distribution=plugin.distribution, kernels=()))
        for kernel in call_hook(hooks.tinyms_kernels, KernelSpec):
            kernels.append(replace(kernel, distribution=plugin.distribution))
        stage = "specification"
        _require_distinct_names(optimizers)
        stage = "contract"
        for spec in optimizers:
            require_contract(spec)
    except CONTAINED as error:
        if stage == "call" and isinstance(error, InvalidSpecError):
            stage = "specification"
        return replace(_broken(plugin, stage, error), optimizers=tuple(optimizers))
    return replace(plugin, optimizers=tuple(optimizers), kernels=tuple(kernels))


def _broken(plugin: Plugin, stage: Stage, error: BaseException) -> Plugin:
    return replace(plugin, status="broken", stage=stage, reason=describe(error), error=error)


def _require_distinct_names(specs: Sequence[OptimizerSpec]) -> None:
    owners: dict[str, str] = {}
    for spec in specs:
        for folded in {fold(name) for name in spec.names}:
            if folded in owners:
                raise InvalidSpecError(
                    f"OptimizerSpec.name and aliases must be distinct within a plugin, and {folded!r} "
                    f"belongs to both {owners[folded]!r} and {spec.name!r}"
                )
            owners[folded] = spec.name

"""Who owns which name, and which optimizer each kernel is for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from tinyms_core.registry.errors import PluginConflictError
from tinyms_core.registry.names import AskedName, canonical_distribution, fold, parse_asked
from tinyms_core.registry.probe import kernel_status
from tinyms_core.registry.specs import KernelSpec, KernelStatus, OptimizerSpec


@dataclass(frozen=True)
class Catalog:
    """Every optimizer and kernel that can be used, whatever order they came in.

    Arguments:
        optimizers: The optimizers, each with its distribution.
        kernels: The kernels, each with its distribution.
    """

    optimizers: tuple[OptimizerSpec, ...]
    kernels: tuple[KernelSpec, ...]

    @cached_property
    def owners(self) -> dict[str, list[OptimizerSpec]]:
        """The optimizers that claim each folded name or alias."""
        owners: dict[str, list[OptimizerSpec]] = {}
        for spec in self.optimizers:
            for folded in {fold(name) for name in spec.names}:
                owners.setdefault(folded, []).append(spec)
        return owners

    def owners_of(self, asked: AskedName) -> list[OptimizerSpec]:
        """Return the optimizers that answer to a name: none, one, or those in conflict."""
        return [
            spec
            for spec in self.owners.get(asked.folded, [])
            if asked.distribution in ("", canonical_distribution(spec.distribution))
        ]

    def listed_name(self, spec: OptimizerSpec) -> str:
        """Return the name by which a listing gives an optimizer: one that can be asked for."""
        return spec.name if len(self.owners[fold(spec.name)]) == 1 else _qualified(spec, spec.name)

    def conflicts(self) -> dict[str, PluginConflictError]:
        """Return the error for each contested folded name."""
        return {
            folded: conflict_error(folded, owners) for folded, owners in sorted(self.owners.items()) if len(owners) > 1
        }

    def kernels_of(self, spec: OptimizerSpec) -> tuple[KernelStatus, ...]:
        """Return an optimizer's kernels, the highest priority first, then by distribution."""
        ours = [kernel for kernel in self.kernels if self._optimizer_of(kernel) is spec]
        ours.sort(key=lambda kernel: (-kernel.priority, kernel.distribution, kernel.implementation_name))
        return tuple(kernel_status(kernel) for kernel in ours)

    def status_of(self, kernel: KernelSpec) -> KernelStatus:
        """Return a kernel's status, also where no optimizer is there for it."""
        if self._optimizer_of(kernel) is not None:
            return kernel_status(kernel)
        owners = self.owners_of(parse_asked(kernel.optimizer))
        if not owners:
            return KernelStatus(kernel, False, f"no optimizer {kernel.optimizer!r} is installed and enabled")
        return KernelStatus(kernel, False, str(conflict_error(kernel.optimizer, owners)))

    def _optimizer_of(self, kernel: KernelSpec) -> OptimizerSpec | None:
        owners = self.owners_of(parse_asked(kernel.optimizer))
        own = [spec for spec in owners if spec.distribution == kernel.distribution]
        # A kernel for a contested name must not run another optimizer's rule, so it is nobody's.
        chosen = own or owners
        return chosen[0] if len(chosen) == 1 else None


def build_catalog(optimizers: Iterable[OptimizerSpec], kernels: Iterable[KernelSpec]) -> Catalog:
    """Build a catalog in an order of its own.

    Arguments:
        optimizers: The optimizers; the same one of one distribution, which two entry points for one module
            give, counts once.
        kernels: The kernels, counted likewise.

    Returns:
        The catalog.
    """
    distinct = {identity(spec): spec for spec in optimizers}
    distinct_kernels: list[KernelSpec] = []
    for kernel in kernels:
        # Not a dictionary: an implementation may be a callable object that cannot be hashed.
        if kernel not in distinct_kernels:
            distinct_kernels.append(kernel)
    return Catalog(tuple(distinct[key] for key in sorted(distinct)), tuple(distinct_kernels))


def identity(spec: OptimizerSpec) -> tuple[tuple[str, ...], str, str]:
    """Return what makes two specifications the same optimizer.

    Specifications are not compared as wholes here: a default value may be anything, with an ``__eq__`` that
    fails.
    """
    return tuple(fold(name) for name in spec.names), spec.distribution, spec.implementation_name


def conflict_error(name: str, owners: Iterable[OptimizerSpec], remedy: str = "") -> PluginConflictError:
    """Build the error for a name with several owners.

    Arguments:
        name: The contested name, with or without a distribution.
        owners: The optimizers that claim it.
        remedy: What to do; by default, to ask for one owner by its distribution.

    Returns:
        The error, which names every owner.
    """
    owners = list(owners)
    folded = parse_asked(name).folded
    name = next((own for spec in owners for own in spec.names if fold(own) == folded), name)
    choices = sorted({_qualified(spec, name) for spec in owners})
    if not remedy:
        remedy = (
            "Choose with " + " or ".join(f"get_optimizer({choice!r})" for choice in choices)
            if len(choices) == len(owners)
            else "One distribution gives it twice, which only that distribution can put right"
        )
    claims = " and ".join(f"{spec.name!r} of {spec.distribution} ({spec.implementation_name})" for spec in owners)
    return PluginConflictError(
        f"the optimizer name {name!r} is claimed by {claims}. {remedy}.", name=name, owners=choices
    )


def _qualified(spec: OptimizerSpec, name: str) -> str:
    return f"{spec.distribution}:{name}"

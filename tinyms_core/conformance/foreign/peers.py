"""Who is checked: the optimizers of ``mindspore.nn`` that have the name of one of ours, declared as ours are."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from mindspore import Tensor, nn

from tinyms_core.conformance.composite import compose
from tinyms_core.conformance.inner import MINDSPORE
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.workload import Workload
from tinyms_core.registry.api import list_optimizers, optimizer_info
from tinyms_core.registry.specs import OptimizerSpec

_PACKAGE: Final = "mindspore.nn"

# What optimizers that are built from a network need, and no declaration of an argument says: by MindSpore's name.
NETWORK_ARGUMENTS: Final[Mapping[str, Callable[[], dict[str, Any]]]] = MappingProxyType(
    {
        "thor": lambda: {
            "learning_rate": Tensor(np.full(20, 0.01, np.float32)),
            "damping": Tensor(np.full(20, 0.03, np.float32)),
            "momentum": 0.9,
            "batch_size": 32,
        }
    }
)


@dataclass(frozen=True)
class ForeignOptimizer:
    """An optimizer of MindSpore's, beside ours of the same name.

    Attributes:
        label: its full name, ``"mindspore.nn.Adam"``.
        ours: the declaration of ours.
        spec: the same declaration with MindSpore's class in it.
    """

    label: str
    ours: OptimizerSpec
    spec: OptimizerSpec

    @property
    def from_network(self) -> bool:
        """Whether it is built from a network."""
        return self.spec.capabilities.consumes_network


@functools.cache
def foreign_optimizer(name: str) -> ForeignOptimizer | None:
    """Find MindSpore's optimizer of the same class name.

    Arguments:
        name: the name of ours.

    Returns:
        MindSpore's; None where it has none.

    Raises:
        UnknownOptimizerError: there is none of ours either.
    """
    ours = optimizer_info(name)
    class_name = ours.implementation_name.rpartition(":")[2]
    found = getattr(nn, class_name, None)
    if not callable(found):
        return None
    # Its tables of arguments are about our messages, and what decides about its numbers is the reference alone.
    spec = replace(ours, implementation=found, refused="", accepted="", peers="", kernels=())
    if spec.capabilities.wraps_optimizer:
        spec, ours = (_together(wrapping) for wrapping in (spec, ours))
    return ForeignOptimizer(f"{_PACKAGE}.{class_name}", ours, spec)


@dataclass(frozen=True)
class ForeignSubject(Subject):
    """An optimizer that is not ours, under test.

    Attributes:
        scalars: whether workloads may have parameters without dimensions.
    """

    scalars: bool = True

    def workload(self, setting: int = -1, **changes: Any) -> Workload:
        """The full workload, without what is known to fail by itself."""
        full = super().workload(setting, **changes)
        if self.scalars:
            return full
        groups = tuple(replace(g, members=tuple(m for m in g.members if m.shape)) for g in full.groups)
        left = {member.name for group in groups for member in group.members}
        order = None if full.order is None else tuple(name for name in full.order if name in left)
        return replace(full, groups=groups, order=order)


def _together(wrapping: OptimizerSpec) -> OptimizerSpec:
    """An optimizer around MindSpore's momentum, declared as one of parameters."""
    spec = compose(wrapping, MINDSPORE)
    return replace(spec, capabilities=replace(spec.capabilities, wraps_optimizer=False))


def rebased(peer: ForeignOptimizer, options: tuple[tuple[str, Any], ...]) -> ForeignOptimizer:
    """The optimizer with other defaults, for one that is wrong with its own."""

    def with_defaults(spec: OptimizerSpec) -> OptimizerSpec:
        values = dict(options)
        changed = (replace(h, default=values.get(h.name, h.default)) for h in spec.hyperparameters)
        return replace(spec, hyperparameters=tuple(changed))

    return replace(peer, ours=with_defaults(peer.ours), spec=with_defaults(peer.spec))


def foreign_names() -> list[str]:
    """The names of those of our optimizers that MindSpore has as well."""
    return [name for name in list_optimizers() if foreign_optimizer(name) is not None]

"""The scalars of a step on the host: what MindSpore is asked for, and the tables that kernels are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from mindspore import nn

from tinyms_core.kernels.batch import Floats, Integers
from tinyms_core.kernels.cpu import CpuKernel, compute_type
from tinyms_core.kernels.cpu_source import PREPROCESSING
from tinyms_core.kernels.host import row_function
from tinyms_core.kernels.program import Program
from tinyms_core.kernels.rule import SUPPLIED_SCALARS
from tinyms_core.kernels.update import Plan
from tinyms_core.optimizer.addresses import element_of
from tinyms_core.optimizer.groups import Options
from tinyms_core.optimizer.rates import value_at

if TYPE_CHECKING:
    from tinyms_core.optimizer.base import Optimizer


@dataclass(frozen=True)
class ScalarGroup:
    """Parameters for which every scalar of a step is the same.

    Attributes:
        rate: their learning rate.
        rate_index: its place among the optimizer's rates.
        decay: their weight decay, a float or a Cell of the step.
        decays: whether it applies.
        kind: their dtype.
        member: index of the first of them.
        options: hyperparameters for which their group has values of its own.
    """

    rate: Any
    rate_index: int
    decay: float | nn.Cell
    decays: bool
    kind: str
    member: int
    options: Options = ()

    @property
    def wide(self) -> bool:
        """Whether their arithmetic is in float64."""
        return compute_type(self.kind) == "float64"

    def decay_value(self, step: int) -> float:
        """Their weight decay at a 0-based step, on the host.

        Raises:
            ValueError: a Cell gives a decay that is negative or not finite.
        """
        if not self.decays:
            return 0.0
        if not isinstance(self.decay, nn.Cell):
            return self.decay
        return value_at("weight_decay", self.decay, "decay", step)


class GroupValues(NamedTuple):
    """What a group's scalars of one step are made from.

    Attributes:
        rate: its learning rate.
        decay: its weight decay.
        held: the hyperparameters that may change from step to step, in the optimizer's order.
    """

    rate: float
    decay: float
    held: tuple[float, ...]


class GroupReader:
    """Asks MindSpore for what the scalars of a step are made from.

    Arguments:
        optimizer: whose step.
        groups: its groups of scalars.
    """

    def __init__(self, optimizer: Optimizer, groups: Sequence[ScalarGroup]) -> None:
        held = [getattr(optimizer, f"held_{name}") for name in optimizer.saved_hyperparameters]
        self._groups = groups
        # Several groups may share a rate, and a schedule is called once a step.
        self._rates = {(g.rate_index, g.wide): g.rate.on_host(g.wide, element_of) for g in groups}
        self._held = {g.wide: [rate.on_host(g.wide, element_of) for rate in held] for g in groups}
        self._keys = [((g.rate_index, g.wide), g.wide) for g in groups]

    def __call__(self, step: int) -> list[GroupValues]:
        """The values of each group at a 0-based step.

        Raises:
            ValueError: a schedule gives no rate, or the rates are a list and all of them have been used.
        """
        rates = {key: rate(step) for key, rate in self._rates.items()}
        held = {wide: tuple([value(0) for value in own]) for wide, own in self._held.items()}
        return [
            GroupValues(rates[rate], group.decay_value(step), held[wide])
            for group, (rate, wide) in zip(self._groups, self._keys, strict=True)
        ]


class ScalarTable:
    """The scalars that a kernel is given, a row for each group, computed anew for each step.

    Arguments:
        optimizer: whose step.
        kernel: the kernel.
        program: what it was made from, where it does not say.
        groups: the optimizer's groups of scalars.
        group_of: the group of each of the kernel's tensors.

    Attributes:
        values: float64, shape (groups that the tensors are in, scalars); the same array in each step.
        rows: the row of each of the kernel's tensors.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        kernel: Any,
        program: Program | Plan,
        groups: Sequence[ScalarGroup],
        group_of: Sequence[int],
    ) -> None:
        used, places = np.unique(np.array(group_of, dtype=np.int64), return_inverse=True)
        self._used: list[int] = used.tolist()
        self.rows: Integers = places.astype(np.int64)
        self.values: Floats = np.zeros((len(used), len(PREPROCESSING) + len(kernel.scalars)))
        self._optimizer = optimizer
        self._decays, self._scales = optimizer.decays_gradient, optimizer.scales_gradient
        # An assignment to a row of an array takes ten times as long.
        self._row = Struct(f"{self.values.shape[1]}d")
        self._memory = self.values.data.cast("B")
        # A kernel of another rule than the optimizer's has scalars of its own.
        source = kernel.program if isinstance(kernel, CpuKernel) else program
        self._functions = [
            row_function(
                source,
                kernel.scalars,
                {**optimizer.hyperparameters, **dict(groups[index].options)},
                (*SUPPLIED_SCALARS, *optimizer.saved_hyperparameters),
            )
            for index in self._used
        ]

    def fill(self, step: int, values: Sequence[GroupValues]) -> None:
        """Compute the scalars of a 0-based step.

        Arguments:
            step: the step.
            values: of each of the optimizer's groups.
        """
        loss_scale = self._optimizer.loss_scale
        added = loss_scale if self._decays else 0.0
        scale = 1.0 / loss_scale if self._scales else 1.0
        at = 0
        for index, function in zip(self._used, self._functions, strict=True):
            rate, decay, held = values[index]
            scalars = function(rate, step + 1, decay, *held)
            self._row.pack_into(self._memory, at, decay * added, scale, *scalars)
            at += self._row.size

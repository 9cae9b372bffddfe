"""The factors of a wrapping optimizer on the host: a pass over parameters and gradients that sums, and writes nothing.

The update of the optimizer that is wrapped has to see :math:`\\lambda (G / S + \\delta w)` for a gradient :math:`G` of
a loss that is scaled by :math:`S`. Its kernel computes ``(G + decay * w) * scale``, so that a row of the table of
scalars for each tensor, with ``decay`` :math:`S \\delta` and ``scale`` :math:`\\lambda / S`, is all it takes: no
gradient is written, and no memory is needed that grows with the parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyms_core.kernels.batch import Batch, Floats, Integers, make_batch
from tinyms_core.kernels.cpu import CpuKernel
from tinyms_core.kernels.cpu_source import PREPROCESSING
from tinyms_core.kernels.factor import Factor
from tinyms_core.kernels.host import host_function
from tinyms_core.kernels.rule import SUPPLIED_SCALARS
from tinyms_core.kernels.traffic import KernelCall
from tinyms_core.kernels.trampoline import KINDS
from tinyms_core.optimizer.dtypes import dtype_name

if TYPE_CHECKING:
    from tinyms_core.optimizer.base import Optimizer
    from tinyms_core.optimizer.mindspore_groups import MindsporeGroups


@dataclass(frozen=True)
class _Layout:
    """The chosen tensors among those of one kernel call.

    Attributes:
        places: which of the call's tensors they are.
        groups: the group of each.
        batch: they alone.
        kernel: computes their factors.
    """

    places: Integers
    groups: Integers
    batch: Batch
    kernel: CpuKernel


def _no_rate(step: int) -> float:
    return 0.0


class HostFactors:
    """The factors of a wrapping optimizer's chosen parameters.

    Arguments:
        factor: the rule of the factor.
        hyperparameters: the wrapping optimizer's, by name.
        optimizer: the optimizer that it is around, with its decay; or what stands for one of MindSpore's.
        chosen: which parameters get a factor.
    """

    def __init__(
        self,
        factor: Factor,
        hyperparameters: Mapping[str, Any],
        optimizer: Optimizer | MindsporeGroups,
        chosen: Sequence[bool],
    ) -> None:
        self._factor = factor
        self._hyperparameters = hyperparameters
        self._scale = optimizer.loss_scale if optimizer.scales_gradient else 1.0
        self._chosen = chosen
        self._optimizer = optimizer
        self._sizes = [parameter.size for parameter in optimizer.parameters]
        self._kinds = [dtype_name(parameter.dtype) or "float32" for parameter in optimizer.parameters]
        self._group_of: list[int]
        self._groups: list[Any]
        self._group_of, self._groups = optimizer.scalar_groups()
        reads_rate = "lr" in factor.program.scalars
        self._rates = [group.rate.on_host(group.wide) if reads_rate else _no_rate for group in self._groups]
        self._wanted = {group for group, wanted in zip(self._group_of, chosen, strict=True) if wanted}
        self._host = host_function(factor.program)
        self._layouts: dict[tuple[str, tuple[int, ...]], _Layout | None] = {}

    @property
    def group_count(self) -> int:
        """How many groups the parameters are in."""
        return len(self._groups)

    def _values_at(self, step: int) -> list[tuple[float, float]]:
        """Rate and decay of each group at a 0-based step, asked of MindSpore; zeros where there is no factor."""
        return [
            (self._rates[index](step), group.decay_value(step)) if index in self._wanted else (0.0, 0.0)
            for index, group in enumerate(self._groups)
        ]

    def at_step(self, step: int, kinds: bytes, values: Sequence[tuple[float, float]] | None = None) -> StepFactors:
        """Compute all scalars of a 0-based step, before anything is written.

        Arguments:
            step: the step.
            kinds: the gradients' dtypes, as `trampoline.KINDS` numbers them.
            values: rate and decay of each group; MindSpore is asked for them when None.

        Returns:
            What gives each kernel call its factors.

        Raises:
            ValueError: the rates are a list and all of them have been used.
        """
        values = self._values_at(step) if values is None else values
        program = self._factor.program
        decays = np.array([decay for _, decay in values])
        table = np.zeros((len(self._groups), len(PREPROCESSING) + len(program.slots)))
        table[:, PREPROCESSING.index("scale")] = 1.0 / self._scale
        for index in self._wanted:
            rate, decay = values[index]
            named = dict(self._hyperparameters)
            named.update(zip(SUPPLIED_SCALARS, (rate, step + 1, decay), strict=True))
            table[index, len(PREPROCESSING) :] = self._host(**{name: named[name] for name in program.scalars})
        return StepFactors(self, kinds, decays * self._scale, table)

    def layout(self, members: Sequence[int], gradient: str) -> _Layout | None:
        """Find the chosen tensors of a kernel call; None where there are none.

        Arguments:
            members: the call's tensors.
            gradient: the storage type of their gradients.
        """
        key = gradient, tuple(members)
        if key not in self._layouts:
            self._layouts[key] = self._lay_out(members, gradient)
        return self._layouts[key]

    def _lay_out(self, members: Sequence[int], gradient: str) -> _Layout | None:
        places = [place for place, index in enumerate(members) if self._chosen[index]]
        if not places:
            return None
        chosen = [members[place] for place in places]
        groups = np.array([self._group_of[index] for index in chosen], dtype=np.int64)
        batch = make_batch([self._sizes[index] for index in chosen])
        sums = self._optimizer.divided_sums
        if sums is not None:
            batch = sums.batch(batch, chosen, [False] * len(chosen))
        kernel = CpuKernel(self._factor.program, self._kinds[chosen[0]], gradient)
        return _Layout(np.array(places, dtype=np.int64), groups, batch, kernel)

    @property
    def scale(self) -> float:
        """The loss scale that gradients are divided by."""
        return self._scale

    @property
    def column(self) -> int:
        """The place of the factor among what the kernel computes for each tensor."""
        return self._factor.column


@dataclass(frozen=True)
class StepFactors:
    """The factors at one step.

    Attributes:
        owner: whose.
        kinds: the gradients' dtypes, as `trampoline.KINDS` numbers them.
        decays: for each group, the weight decay times the loss scale.
        table: for each group, a row of scalars for the kernel of the factors.
    """

    owner: HostFactors
    kinds: bytes
    decays: Floats
    table: Floats

    def calls(self, members: Sequence[int]) -> list[KernelCall]:
        """The kernel calls that compute the factors of a kernel call's tensors."""
        layout = self.owner.layout(members, KINDS[self.kinds[members[0]]])
        if layout is None:
            return []
        return [KernelCall(layout.kernel, layout.batch, layout.groups, self.table, layout.kernel.program.stages - 1)]

    def rows(self, members: Sequence[int], addresses: Integers, table: Floats) -> tuple[Floats, Integers]:
        """Give each tensor of a kernel call a row of its own, with decay and factor where it is chosen.

        Arguments:
            members: the call's tensors.
            addresses: where they lie, parameters and gradients first.
            table: the row of scalars of each tensor, which is changed.

        Returns:
            The table, and which row each tensor uses.
        """
        rows = np.arange(len(members), dtype=np.int64)
        layout = self.owner.layout(members, KINDS[self.kinds[members[0]]])
        if layout is not None:
            chosen = np.ascontiguousarray(addresses[:2, layout.places])
            values = layout.kernel.tensor_values(layout.batch, chosen, layout.groups, self.table)
            table[layout.places, PREPROCESSING.index("decay")] = self.decays[layout.groups]
            table[layout.places, PREPROCESSING.index("scale")] = values[:, self.owner.column] / self.owner.scale
        return table, rows

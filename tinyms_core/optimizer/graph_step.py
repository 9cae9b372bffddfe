"""A step in a graph on the host: one custom operator that runs the kernels of a step in PyNative."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mindspore
import numpy as np
from mindspore import Tensor, context, ops
from mindspore.ops import signature

from tinyms_core.kernels import trampoline
from tinyms_core.kernels.arrays import cell_at
from tinyms_core.kernels.batch import Integers
from tinyms_core.kernels.cpu import STORAGE_TYPES
from tinyms_core.optimizer.dtypes import NAMES
from tinyms_core.optimizer.kernel_choice import HOST_DEVICES, choose_kernel
from tinyms_core.optimizer.step import HostStep
from tinyms_core.optimizer.step_scalars import GroupValues

if TYPE_CHECKING:
    from tinyms_core.optimizer.base import Optimizer
    from tinyms_core.optimizer.host_factors import HostFactors

# MindSpore's custom operators on CPU know no bfloat16.
_STORAGES = frozenset(STORAGE_TYPES) - {"bfloat16"}


class GraphStep:
    """What the operator calls: a host step whose addresses come from the graph.

    The operator's inputs are the parameters, each state of all of them, the step number and the scalar states, the
    gradients, then for each group of scalars its rate, its decay and the hyperparameters that a Parameter holds, and
    at last, where gradients are multiplied by factors, rate and decay of each group of these.

    Arguments:
        optimizer: whose step.
        step: the optimizer's step on the host, for this alone.
        factors: what a wrapping optimizer multiplies gradients by.
    """

    def __init__(self, optimizer: Optimizer, step: HostStep, factors: HostFactors | None) -> None:
        self._step = step
        self._factors = factors
        self._groups = len(optimizer.scalar_groups()[1])
        self._held = len(optimizer.saved_hyperparameters)
        self._members = optimizer.param_length
        self._rows = 1 + len(optimizer.states)
        self._counters = [NAMES[state.dtype] for state in optimizer.scalar_states.values()]
        self._lock = optimizer._step_lock

    def __call__(self, addresses: Integers, kinds: bytes) -> None:
        """Do one step; it asks MindSpore for nothing, since a graph is running."""
        ends = np.cumsum([self._rows * self._members, 1 + len(self._counters), self._members])
        own, counters, gradients, controls = np.split(addresses, ends)
        with self._lock:
            number = cell_at(counters[0], "int32")
            step, dense = int(number.value), kinds[ends[1] : ends[2]]
            numbers = [float(cell_at(address, "float64").value) for address in controls]
            width = 2 + self._held
            values = [
                GroupValues(rate, decay, tuple(held))
                for rate, decay, *held in _divided(numbers[: width * self._groups], width)
            ]
            factors = None
            if self._factors is not None:
                pairs = [(rate, decay) for rate, decay in _divided(numbers[width * self._groups :], 2)]
                factors = self._factors.at_step(step, dense, pairs)
            new = self._step.at_addresses(
                step, values, dense, own.reshape(self._rows, self._members), gradients, factors
            )
            for address, kind, value in zip(counters[1:], self._counters, new, strict=True):
                cell_at(address, kind).value = value
            number.value = step + 1


def _divided(numbers: list[float], width: int) -> list[list[float]]:
    return [numbers[first : first + width] for first in range(0, len(numbers), width)]


@dataclass(frozen=True)
class GraphOperator:
    """An operator that steps.

    Attributes:
        operator: the operator.
        who: its last input, which names the step.
        step: what it calls, which somebody has to hold.
    """

    operator: Any
    who: Tensor
    step: GraphStep


def graph_operator(optimizer: Optimizer, factors: HostFactors | None = None) -> GraphOperator | None:
    """Make the operator of an optimizer's steps in graphs.

    Arguments:
        optimizer: an optimizer with a rule or an update.
        factors: what a wrapping optimizer multiplies gradients by.

    Returns:
        The operator; None where steps in graphs are made of MindSpore's operators: on another device, for bfloat16,
        for listed rates where the step returns a tuple, and where there is no C compiler.
    """
    # With a custom operator and a tuple as its result MindSpore runs a function under jit later than it is called, and
    # the error of a step past the last listed rate would reach somebody else.
    if optimizer.rate_limit and optimizer.returns == "each":
        return None
    if context.get_context("device_target") not in HOST_DEVICES or optimizer.target not in HOST_DEVICES:
        return None
    states = [parameter for row in optimizer.states.values() for parameter in row]
    storages = {str(parameter.dtype).lower() for parameter in (*optimizer.parameters, *states)}
    if not storages <= _STORAGES or trampoline.unavailable():
        return None
    factory = choose_kernel(optimizer)
    if factory is None:
        return None
    assert optimizer._program is not None
    step = GraphStep(optimizer, HostStep(optimizer, optimizer._program, factory), factors)
    operator = ops.Custom(
        f"{trampoline.library()}:{trampoline.FUNCTION}",
        out_shape=lambda *_: (1,),
        out_dtype=lambda *_: mindspore.int32,
        func_type="aot",
    )
    operator.add_prim_attr("side_effect_mem", True)
    groups = len(optimizer.scalar_groups()[1])
    written = len(optimizer.parameters) + len(states) + 1 + len(optimizer.scalar_states)
    read = len(optimizer.parameters) + groups * (2 + len(optimizer.saved_hyperparameters)) + 1
    read += 0 if factors is None else 2 * factors.group_count
    # MindSpore orders reads of Parameters before and after an operator that says that it writes them.
    operator.set_signatures(
        [
            *(signature.make_sig(f"written{i}", signature.sig_rw.RW_WRITE) for i in range(written)),
            *(signature.make_sig(f"read{i}") for i in range(read)),
        ]
    )
    return GraphOperator(operator, Tensor(np.array([trampoline.register(step)], dtype=np.int64)), step)

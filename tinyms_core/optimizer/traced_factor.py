"""The factor of a wrapping optimizer as MindSpore operators, for PyNative steps made of operators and for graphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mindspore import Tensor, nn, ops

from tinyms_core.kernels.cpu import compute_type
from tinyms_core.kernels.factor import Factor
from tinyms_core.kernels.rule import SUPPLIED_SCALARS
from tinyms_core.kernels.traced import trace_program
from tinyms_core.optimizer.dtypes import DTYPES, dtype_name
from tinyms_core.optimizer.traced_step import TracedFunction


class TracedFactor(nn.Cell):
    """The factor of one tensor.

    Arguments:
        factor: the rule of the factor.
        hyperparameters: the wrapping optimizer's, by name.
        storage: storage type of the parameter.
        wide_type: dtype of scalars and of sums.
    """

    def __init__(self, factor: Factor, hyperparameters: Mapping[str, Any], storage: str, wide_type: Any) -> None:
        super().__init__(auto_prefix=False)
        program = factor.program
        wide = dtype_name(wide_type) or "float64"
        traced = trace_program(program, dict(hyperparameters), storage, wide=wide, result=factor.slot)
        self.scalars = TracedFunction(traced.module.step_scalars)
        self.factor = TracedFunction(traced.module.update)
        self.kind = DTYPES[compute_type(storage)]
        available = (*SUPPLIED_SCALARS, *traced.constants)
        self.constants = tuple(Tensor(value, wide_type) for value in traced.constants.values())
        self.input_order = tuple(available.index(name) for name in traced.inputs)
        ready = (*traced.step_slots, *traced.fixed)
        self.step_slot_count = len(traced.step_slots)
        self.fixed_slots = tuple(Tensor(value, self.kind) for value in traced.fixed.values())
        self.slot_order = tuple(ready.index(name) for name in traced.slots)

    def construct(self, parameter: Any, gradient: Any, supplied: Any) -> Any:
        """The factor, 0-d, for an unscaled gradient; ``supplied`` are lr, t and weight_decay."""
        available = supplied + self.constants
        ready: Any = ()
        if self.step_slot_count > 0:
            inputs: Any = ()
            for index in self.input_order:
                inputs += (available[index],)
            values = self.scalars(*inputs)
            for j in range(self.step_slot_count):
                ready += (ops.cast(values[j], self.kind),)
        ready += self.fixed_slots
        arguments: Any = (parameter, gradient)
        for index in self.slot_order:
            arguments += (ready[index],)
        return self.factor(*arguments)

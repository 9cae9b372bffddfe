"""A written-out update as a Cell: what a traced step calls for each parameter."""

from __future__ import annotations

from typing import Any

import mindspore
from mindspore import Tensor, nn, ops

from tinyms_core.kernels.traced_gradients import arithmetic_dtype, prepared
from tinyms_core.kernels.update import Plan


def as_they_are(*values: Any) -> Any:
    """The scalars of a step, unchanged."""
    return values


class TracedUpdate(nn.Cell):
    """Prepares a gradient, calls an update's function in the arithmetic's dtype, and stores what it returns.

    Its arguments are those of a rule's step: the parameter, the state that is kept, the scalars of the step, the
    factors and flags of the preparation, and the gradient.

    Arguments:
        plan: the update's plan.
        wide: the dtype of scalars.
    """

    def __init__(self, plan: Plan, wide: Any) -> None:
        super().__init__(auto_prefix=False)
        update = plan.update
        self.function = update.traced
        # Places among the arguments; -1 stands for state that is not kept, and for scalars that never change.
        first = 1 + len(plan.state)
        self.state_places = tuple(1 + plan.state.index(n) if n in plan.state else -1 for n in update.state)
        scalars = [first + plan.step_scalars.index(n) if n in plan.step_scalars else -1 for n in update.scalars]
        self.scalar_places = tuple(scalars)
        self.preparation_place = first + len(plan.step_scalars)
        values = [None if n in plan.step_scalars else plan.hyperparameters[n] for n in update.scalars]
        self.constants = tuple(_constant(value, wide) for value in values)
        self.single = not update.state

    def construct(self, *arguments: Any) -> Any:
        parameter = arguments[0]
        kind = arithmetic_dtype(parameter.dtype, parameter.dtype)
        place = self.preparation_place
        gradient = prepared(
            arguments[-1], parameter, kind, arguments[place], arguments[place + 1], arguments[place + 2],
            arguments[place + 3], arguments[place + 4],
        )  # fmt: skip
        inputs: Any = (ops.cast(parameter, kind), gradient)
        for place in self.state_places:
            if place < 0:
                inputs += (None,)
            else:
                inputs += (ops.cast(arguments[place], kind),)
        for i in range(len(self.scalar_places)):
            if self.scalar_places[i] < 0:
                inputs += (self.constants[i],)
            else:
                inputs += (arguments[self.scalar_places[i]],)
        results: Any = self.function(*inputs)
        if self.single:
            results = (results,)
        # What is returned hangs on every assignment, or a graph would drop them.
        done: Any = stored(parameter, results[0], True)
        for i in range(len(self.state_places)):
            if self.state_places[i] >= 0:
                done = stored(arguments[self.state_places[i]], results[i + 1], done)
        return done


def _constant(value: Any, wide: Any) -> Any:
    """A hyperparameter as a graph takes it; one that is a Python float would be rounded to float32 there."""
    if isinstance(value, float):
        return Tensor(value, wide)
    return tuple(_constant(item, wide) for item in value) if isinstance(value, tuple) else value


def stored(target: Any, value: Any, done: Any) -> Any:
    """Write a value to a Parameter in the Parameter's dtype; the result hangs on it."""
    if target.dtype == mindspore.bfloat16:
        # On CPU, Assign has no kernel for bfloat16; the in-place copy has.
        return ops.depend(done, target.copy_(ops.cast(value, mindspore.bfloat16)))
    return ops.depend(done, ops.assign(target, ops.cast(value, target.dtype)))

"""State: the Parameters that an optimizer keeps, named as in a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor

from tinyms_core.optimizer.dtypes import dtype_name
from tinyms_core.optimizer.groups import Setting
from tinyms_core.registry.specs import StateSlot

# Bytes that a processor reads at once.
_LINE: Final = 64


def make_states(
    settings: Sequence[Setting], slots: Sequence[StateSlot], hyperparameters: Mapping[str, Any]
) -> dict[str, ParameterTuple]:
    """Make the state of all parameters.

    Arguments:
        settings: the parameters.
        slots: the state that the rule or update reads and writes.
        hyperparameters: where a slot's initial value is looked up when the slot names one.

    Returns:
        For each slot its Parameters, in the order of the settings, of the shapes and dtypes that the slot has.
    """
    own = [(setting.parameter, {**hyperparameters, **dict(setting.options)}) for setting in settings]
    return {slot.name: ParameterTuple(_states_of(own, slot)) for slot in slots}


def make_scalar_states(slots: Sequence[StateSlot], hyperparameters: Mapping[str, Any]) -> dict[str, Parameter]:
    """Make the state that is one number for the whole optimizer, in float32."""
    return {
        slot.name: Parameter(
            Tensor(np.full(slot.shape_for(()), initial_value(slot, hyperparameters), np.float32)),
            name=slot.prefix,
            requires_grad=False,
        )
        for slot in slots
    }


def initial_value(slot: StateSlot, hyperparameters: Mapping[str, Any]) -> float:
    """What a slot's elements start with: a number, or the value of the hyperparameter that the slot names."""
    return float(hyperparameters[slot.initial]) if isinstance(slot.initial, str) else float(slot.initial)


def _states_of(own: Sequence[tuple[Parameter, Mapping[str, Any]]], slot: StateSlot) -> list[Parameter]:
    """One slot's state, in one block of memory: the system gives large pages to large blocks alone."""
    shapes = [slot.shape_for(tuple(parameter.shape), values) for parameter, values in own]
    kinds = [np.dtype(slot.dtype_for(tuple(p.shape), dtype_name(p.dtype) or "float32", values)) for p, values in own]
    sizes = [math.prod(shape) * kind.itemsize for shape, kind in zip(shapes, kinds, strict=True)]
    starts = np.cumsum([0, *(-(-size // _LINE) * _LINE for size in sizes)])
    block = np.empty(starts[-1] + _LINE, dtype=np.uint8)
    first = -block.ctypes.data % _LINE
    states = []
    for index, (parameter, values) in enumerate(own):
        at = first + starts[index]
        data = block[at : at + sizes[index]].view(kinds[index]).reshape(shapes[index])
        data[...] = initial_value(slot, values)
        tensor = Tensor.from_numpy(data)
        states.append(Parameter(tensor, name=slot.parameter_name(parameter.name), requires_grad=False))
    return states

"""State: the Parameters that an optimizer keeps, named as in a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor

from tinyms_core.kernels.blocks import arrays_in_one_block
from tinyms_core.optimizer.dtypes import dtype_name
from tinyms_core.optimizer.groups import Setting
from tinyms_core.registry.specs import StateSlot


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
    """One slot's state, in one block of memory."""
    shapes = [slot.shape_for(tuple(parameter.shape), values) for parameter, values in own]
    kinds = [slot.dtype_for(tuple(p.shape), dtype_name(p.dtype) or "float32", values) for p, values in own]
    states = []
    for array, (parameter, values) in zip(arrays_in_one_block(shapes, kinds), own, strict=True):
        array[...] = initial_value(slot, values)
        # A Parameter takes the memory of a Tensor that nobody else refers to, and copies any other: a variable or an
        # argument by name is one reference too many.
        states.append(Parameter(Tensor.from_numpy(array), slot.parameter_name(parameter.name), False))
    return states

"""State: the Parameters that an optimizer keeps, named as in a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor

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
    return {slot.name: ParameterTuple([_state_of(p, slot, values) for p, values in own]) for slot in slots}


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


def _state_of(parameter: Parameter, slot: StateSlot, hyperparameters: Mapping[str, Any]) -> Parameter:
    shape = tuple(parameter.shape)
    kind = slot.dtype_for(shape, dtype_name(parameter.dtype) or "float32", hyperparameters)
    data = np.full(slot.shape_for(shape, hyperparameters), initial_value(slot, hyperparameters), dtype=kind)
    return Parameter(Tensor(data), name=slot.parameter_name(parameter.name), requires_grad=False)

"""Copies of an optimizer: `copy.deepcopy` and `pickle`.

A copy is built by the constructor and then given the state, so that it has memory, kernels and generated
functions of its own and shares nothing with the original.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from mindspore import Parameter, Tensor

from tinyms_core.optimizer.dtypes import DTYPES, dtype_name

if TYPE_CHECKING:
    from tinyms_core.optimizer.base import Optimizer

# Parameters pickle by value; schedules and other Cells that the user gave pickle if they can.
Snapshot = tuple[type, list[Any], dict[str, Any], dict[str, Any], bool]


def snapshot(optimizer: Optimizer) -> Snapshot:
    """What an optimizer can be rebuilt from: class, parameters or groups, configuration, state by name, its offload."""
    own = {setting.parameter.name for setting in optimizer.settings}
    state = {p.name: p.asnumpy().copy() for p in optimizer.get_parameters() if p.name not in own}
    return type(optimizer), optimizer._source, optimizer.get_config(), state, optimizer.use_offload


def copy_optimizer(optimizer: Optimizer, memo: dict[int, Any]) -> Optimizer:
    """A copy with copies of the parameters, or with what ``memo`` says they have been copied to already.

    ``copy.deepcopy((network, optimizer))`` therefore gives an optimizer of the new network.
    """
    cls, source, config, state, offload = snapshot(optimizer)
    return rebuild_optimizer(cls, copy.deepcopy(source, memo), copy.deepcopy(config, memo), state, offload)


def rebuild_optimizer(
    cls: type, source: list[Any], config: dict[str, Any], state: dict[str, Any], offload: bool
) -> Optimizer:
    """Build an optimizer from its `snapshot`."""
    optimizer: Optimizer = cls(source, **config)
    optimizer.use_offload = offload
    for parameter in optimizer.get_parameters():
        if parameter.name in state:
            _write(parameter, state[parameter.name])
    return optimizer


def _write(parameter: Parameter, value: Any) -> None:
    kind = dtype_name(parameter.dtype)
    tensor = Tensor(value)
    parameter.set_data(tensor if kind is None else tensor.astype(DTYPES[kind]))

"""Rates and decays of an optimizer of `mindspore.nn` on the host, in the form in which this library's own has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import mindspore
from mindspore import Tensor, nn

from tinyms_core.kernels.cpu import compute_type
from tinyms_core.optimizer.dtypes import dtype_name


def _number(held: Any, step: int) -> float:
    """A number that a Tensor holds, or a Cell of the 0-based step."""
    value = held(Tensor([step], mindspore.int32)) if isinstance(held, nn.Cell) else held
    return float(value.asnumpy().reshape(())) if isinstance(value, Tensor) else float(value)


@dataclass(frozen=True)
class HeldRate:
    """A learning rate.

    Attributes:
        held: the Parameter, or the schedule.
    """

    held: Any

    def on_host(self, wide: bool) -> Callable[[int], float]:
        """What gives the rate, which is in float32, at a 0-based step."""
        return partial(_number, self.held)


@dataclass(frozen=True)
class HeldGroup:
    """Parameters for which rate and decay are the same.

    Attributes:
        rate: their learning rate.
        decay: what holds their weight decay times the loss scale; None where none applies.
        loss_scale: the loss scale.
        wide: whether their arithmetic is in float64.
    """

    rate: HeldRate
    decay: Any
    loss_scale: float
    wide: bool

    def decay_value(self, step: int) -> float:
        """Their weight decay at a 0-based step."""
        return 0.0 if self.decay is None else _number(self.decay, step) / self.loss_scale


class MindsporeGroups:
    """An optimizer of `mindspore.nn`, as far as factors on the host need to know it.

    Arguments:
        optimizer: the optimizer.
    """

    divided_sums: Any = None

    def __init__(self, optimizer: nn.Optimizer) -> None:
        self._optimizer = optimizer
        self.loss_scale = float(optimizer.loss_scale)
        self.scales_gradient = bool(optimizer.need_scale)
        self.parameters = optimizer.parameters

    def scalar_groups(self) -> tuple[list[int], list[Any]]:
        """The group of each parameter, and the groups."""
        optimizer = self._optimizer
        found: dict[tuple[Any, ...], int] = {}
        groups: list[Any] = []
        members: list[int] = []
        for index, (flag, parameter) in enumerate(zip(optimizer.decay_flags, self.parameters, strict=True)):
            wide = compute_type(dtype_name(parameter.dtype) or "float32") == "float64"
            rate = optimizer.learning_rate[index] if optimizer.is_group_lr else optimizer.learning_rate
            decay = optimizer.weight_decay[index] if optimizer.is_group else optimizer.weight_decay
            key = id(rate), id(decay), flag, wide
            if key not in found:
                found[key] = len(groups)
                groups.append(HeldGroup(HeldRate(rate), decay if flag else None, self.loss_scale, wide))
            members.append(found[key])
        return members, groups

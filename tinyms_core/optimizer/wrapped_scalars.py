"""The rates and decays of an optimizer that another one is around, as 0-d tensors that a graph can be made of."""

from __future__ import annotations

from typing import Any

from mindspore import Tensor, nn, ops

from tinyms_core.kernels.cpu import compute_type
from tinyms_core.optimizer.base import Optimizer
from tinyms_core.optimizer.dtypes import DTYPES, dtype_name, wide_name


def wrapped_scalars(optimizer: nn.Optimizer) -> nn.Cell:
    """Make the Cell that gives an optimizer's rates and decays.

    Returns:
        A Cell without inputs, whose output is a tuple of pairs (rate, decay); its ``place_of`` says which of them
        is a parameter's, its ``wide_type`` in which dtype they are.
    """
    return BaseScalars(optimizer) if isinstance(optimizer, Optimizer) else MindsporeScalars(optimizer)


class BaseScalars(nn.Cell):
    """Rates and decays of an optimizer of this library: a pair for each of its groups.

    Arguments:
        optimizer: the optimizer.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        super().__init__(auto_prefix=False)
        members, groups = optimizer.scalar_groups()
        self.optimizer = optimizer
        self.wide_type = optimizer.wide_type
        self.place_of = tuple(members)
        self.rate_index = tuple(group.rate_index for group in groups)
        self.wide = tuple(group.wide for group in groups)
        self.member = tuple(group.member for group in groups)
        self.count = len(groups)

    def construct(self) -> Any:
        pairs: Any = ()
        for k in range(self.count):
            rate = self.optimizer.rates[self.rate_index[k]](self.optimizer.global_step, self.wide[k])
            decay = self.optimizer._decay_of(self.member[k])
            pairs += ((ops.cast(rate, self.wide_type), ops.cast(decay, self.wide_type)),)
        return pairs


class MindsporeScalars(nn.Cell):
    """Rates and decays of an optimizer of `mindspore.nn`: a pair for each parameter.

    Arguments:
        optimizer: the optimizer.
    """

    def __init__(self, optimizer: nn.Optimizer) -> None:
        super().__init__(auto_prefix=False)
        self.optimizer = optimizer
        self.wide_type = DTYPES[wide_name(optimizer.target)]
        self.count = len(optimizer.parameters)
        self.place_of = tuple(range(self.count))
        self.flags = tuple(optimizer.decay_flags)
        self.none = Tensor(0.0, self.wide_type)

    def construct(self) -> Any:
        rates = self.optimizer.get_lr()
        # MindSpore holds decays that carry the loss scale.
        decays = self.optimizer.get_weight_decay()
        pairs: Any = ()
        for i in range(self.count):
            rate = rates
            if self.optimizer.is_group_lr:
                rate = rates[i]
            decay = self.none
            if self.flags[i]:
                scaled = decays
                if self.optimizer.is_group:
                    scaled = decays[i]
                decay = ops.cast(scaled, self.wide_type).reshape(()) / self.optimizer.loss_scale
            pairs += ((ops.cast(rate, self.wide_type).reshape(()), decay),)
        return pairs


def storage_kinds(optimizer: nn.Optimizer) -> tuple[str, ...]:
    """The storage type of each parameter."""
    return tuple(dtype_name(parameter.dtype) or "float32" for parameter in optimizer.parameters)


def arithmetic_types(kinds: tuple[str, ...]) -> tuple[Any, ...]:
    """The dtype of the arithmetic for each storage type."""
    return tuple(DTYPES[compute_type(kind)] for kind in kinds)

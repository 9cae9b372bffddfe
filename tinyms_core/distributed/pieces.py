"""Pieces of parameters: what one process updates of each, as Parameters that an optimizer is built on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from mindspore import Parameter, Tensor

from tinyms_core.distributed.plan import Span
from tinyms_core.kernels.storage import WIDTHS
from tinyms_core.optimizer.addresses import ParameterAddresses, address_of
from tinyms_core.optimizer.dtypes import dtype_name


class Piece:
    """What this process updates of a parameter: all of it, a part that lies in its memory, or nothing.

    Arguments:
        parameter: the whole parameter.
        span: its elements that are this process's.
        rows: whether the part keeps all dimensions but the first, as row means need.

    Attributes:
        whole: the whole parameter.
        span: as given.
        parameter: what the optimizer updates: the parameter itself, or one of the same name with the part's elements.
    """

    def __init__(self, parameter: Parameter, span: Span, rows: bool) -> None:
        self.whole = parameter
        self.span = span
        self._start, stop = span
        size = stop - self._start
        self.is_whole = size == parameter.size
        self.is_part = 0 < size < parameter.size
        # The number of dimensions stays, which optimizers choose by.
        self.shape = (*(1,) * (parameter.ndim - 1), size)
        if rows:
            self.shape = (size // max(prod(parameter.shape[1:]), 1), *parameter.shape[1:])
        if not size:
            # No row or column is left that needs state.
            self.shape = (0,) * max(parameter.ndim, 1)
        self.parameter: Parameter = parameter if self.is_whole else self._make()
        self._empty: dict[Any, Tensor] = {}

    def _make(self) -> Parameter:
        made = Parameter(Tensor(np.zeros(self.shape, np.float32)).astype(self.whole.dtype), name=self.whole.name)
        made.requires_grad = self.whole.requires_grad
        made.unique = self.whole.unique
        if self.is_part:
            made.set_data(self._view())
        return made

    def _view(self) -> Tensor:
        """The part as a tensor in the parameter's memory."""
        return self.of(self.whole)

    def of(self, tensor: Tensor) -> Tensor:
        """This piece of a tensor of the parameter's shape, in its memory where the tensor is contiguous."""
        if self.is_whole:
            return tensor
        if not self.is_part:
            if tensor.dtype not in self._empty:
                self._empty[tensor.dtype] = Tensor(np.zeros(self.shape, np.float32)).astype(tensor.dtype)
            return self._empty[tensor.dtype]
        return tensor.reshape(-1)[slice(*self.span)].reshape(self.shape)

    @property
    def address(self) -> int:
        """Where the part has to be."""
        return address_of(self.whole) + self._start * WIDTHS[dtype_name(self.whole.dtype) or "float32"]

    def follow(self) -> bool:
        """Bring the part to where the parameter's memory is now; say whether it was elsewhere."""
        if not self.is_part or address_of(self.parameter) == self.address:
            return False
        self.parameter.set_data(self._view())
        return True

    def rename(self, state: Sequence[Parameter]) -> None:
        """Say in the names of a part and of its state which elements they are, so that nobody takes them for all."""
        if not self.is_whole:
            for parameter in (self.parameter, *state):
                parameter.name = f"{parameter.name}[{self.span[0]}:{self.span[1]}]"


def foreign_memory(pieces: Sequence[Piece]) -> ParameterAddresses:
    """The memory of parameters that an optimizer on pieces does not keep for itself."""
    others = [piece.whole for piece in pieces if not piece.is_whole]
    return ParameterAddresses(others, {id(parameter): address_of(parameter) for parameter in others})


def replaced(params: Sequence[Any], pieces: Mapping[int, Parameter]) -> list[Any]:
    """Parameters or group dicts with pieces in place of the parameters, which are found by identity."""
    if not all(isinstance(item, Mapping) for item in params):
        return [pieces[id(item)] for item in params]
    return [
        {
            key: [pieces[id(p)] for p in value] if key in ("params", "order_params") else value
            for key, value in group.items()
        }
        for group in params
    ]

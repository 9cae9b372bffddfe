"""Where tensors live: addresses for kernels that write in place, right at every step.

A Parameter may get new memory between two steps (`set_data`, `load_param_into_net`, `.data =`), so every
address is asked for at every step. A compiled library asks for all of them in one call; where there is none, Python
asks tensor after tensor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from mindspore import Parameter, Tensor, context
from mindspore._c_expression import TensorPy
from mindspore.graph.api import _pynative_executor

from tinyms_core.kernels.arrays import cell_at
from tinyms_core.kernels.batch import Integers
from tinyms_core.kernels.trampoline import KINDS
from tinyms_core.optimizer.dtypes import NAMES
from tinyms_core.optimizer.rates import read_element
from tinyms_core.optimizer.tensor_reader import flat_shapes, tensor_reader

# What is behind `data_ptr`, `is_contiguous` and `shape`: without the Python wrappers the answers cost half as much.
_address = getattr(TensorPy, "_data_ptr", Tensor.data_ptr)
_contiguous = getattr(TensorPy, "is_contiguous", Tensor.is_contiguous)
_shape = attrgetter("_shape" if hasattr(TensorPy, "_shape") else "shape")
_dtype = attrgetter("dtype")

_NUMBERS = {dtype: KINDS.index(name) for dtype, name in NAMES.items()}


def wait_for_queued_work() -> None:
    """Let every operator that was queued so far finish, so that no write overtakes a read.

    Raises:
        RuntimeError: and others, that of an operator that failed.
    """
    reader = tensor_reader()
    if reader is None or not _on_processors() or not reader.wait():
        _pynative_executor.sync()


@cache
def _on_processors() -> bool:
    """Whether nothing is queued behind what MindSpore calls its pipeline; any other device has streams of its own."""
    return bool(context.get_context("device_target") == "CPU")


def address_of(parameter: Parameter) -> int:
    """Where a Parameter's memory is now."""
    return int(_address(parameter))


def addresses_of(tensors: Sequence[Tensor]) -> Integers:
    """Where tensors are now, a list or tuple of them.

    Queued work has to be done.
    """
    reader = tensor_reader(asked=len(tensors))
    found = reader.addresses(tensors) if reader is not None else None
    return np.array(list(map(_address, tensors)), dtype=np.int64) if found is None else found


def element_of(parameter: Parameter, index: int) -> float:
    """An element of a Parameter of at most one dimension on the host.

    Queued work has to be done.
    """
    reader = tensor_reader(asked=1)
    found = reader.element(parameter, index) if reader is not None else None
    if found is not None:
        return found
    kind = NAMES.get(parameter.dtype)
    if kind not in ("float32", "float64") or not _contiguous(parameter):
        return read_element(parameter, index)
    return float(cell_at(_address(parameter) + index * parameter.itemsize, kind).value)


class ParameterAddresses:
    """The addresses of Parameters that are written in place, checked at every step.

    A Parameter that was given other memory shares it with where it came from, a loaded checkpoint say. It
    gets a copy of its own before it is written to.

    Arguments:
        parameters: the Parameters.
        known: where each of them was when the optimizer was built, by identity.
    """

    def __init__(self, parameters: Sequence[Parameter], known: Mapping[int, int]) -> None:
        self._parameters = list(parameters)
        self._kinds = [parameter.dtype for parameter in self._parameters]
        self._known = np.array([known[id(parameter)] for parameter in self._parameters], dtype=np.int64)

    def current(self) -> Integers:
        """The addresses now, the same array as before where they are. Queued work has to be done.

        Raises:
            TypeError: a Parameter has got another dtype since the optimizer was built.
        """
        reader = tensor_reader()
        if reader is not None and reader.unmoved(self._parameters, self._known):
            return self._known
        found = addresses_of(self._parameters)
        moved = np.flatnonzero(found != self._known)
        if len(moved):
            self._own(moved.tolist())
            self._known = np.array(list(map(_address, self._parameters)), dtype=np.int64)
        return self._known

    def _own(self, moved: list[int]) -> None:
        for index in moved:
            parameter, kind = self._parameters[index], self._kinds[index]
            if parameter.dtype != kind:
                raise TypeError(
                    f"parameter {parameter.name!r} is now of {parameter.dtype}, but was of {kind} when the "
                    "optimizer was built; build the optimizer after changing dtypes"
                )
        for index in moved:
            # A copy is also contiguous, where the new memory may be a view such as a transposed tensor.
            self._parameters[index].set_data(Tensor(self._parameters[index]).contiguous().copy())


class Gradients(NamedTuple):
    """Gradients as kernels want them.

    Attributes:
        addresses: of each; 0 for a sparse one.
        kinds: the dtype of each, as `trampoline.KINDS` numbers them; 0 for a sparse one.
        alive: what must stay alive as long as the addresses are in use.
    """

    addresses: Integers
    kinds: bytes
    alive: Sequence[Any]


class GradientReader:
    """Reads the gradients of parameters of given shapes.

    Arguments:
        shapes: the parameters' shapes.
    """

    def __init__(self, shapes: Sequence[tuple[int, ...]]) -> None:
        self._shapes = list(shapes)
        self._flat = flat_shapes(self._shapes)

    def dense(self, gradients: Any) -> Gradients | None:
        """Gradients in the usual form.

        Queued work has to be done.

        Arguments:
            gradients: anything.

        Returns:
            They; None where they are no tuple or list of as many contiguous tensors of floating-point numbers, each
            with its parameter's shape.
        """
        if not isinstance(gradients, tuple | list) or len(gradients) != len(self._shapes):
            return None
        reader = tensor_reader(asked=len(gradients))
        if reader is not None:
            found = reader.dense(gradients, self._flat)
            return None if found is None else Gradients(*found, gradients)
        if not all(issubclass(kind, Tensor) for kind in set(map(type, gradients))):
            return None
        numbers = bytes(_NUMBERS.get(kind, 0) for kind in map(_dtype, gradients))
        alike = 0 not in numbers and list(map(_shape, gradients)) == self._shapes
        if not alike or not all(map(_contiguous, gradients)):
            return None
        addresses = np.array(list(map(_address, gradients)), dtype=np.int64)
        return Gradients(addresses, numbers, gradients)

    def checked(self, gradients: Sequence[Any]) -> Gradients:
        """Gradients of which each is dense, perhaps a view, or sparse; they have been checked."""
        dense = [_as_contiguous(g) if isinstance(g, Tensor) else None for g in gradients]
        return Gradients(
            np.array([0 if g is None else _address(g) for g in dense], dtype=np.int64),
            bytes(0 if g is None else _NUMBERS[g.dtype] for g in dense),
            dense,
        )


def _as_contiguous(gradient: Tensor) -> Tensor:
    return gradient if gradient.is_contiguous() else gradient.contiguous()

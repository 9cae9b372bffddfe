"""Where tensors live: addresses for kernels that write in place, right at every step.

A Parameter may get new memory between two steps (`set_data`, `load_param_into_net`, `.data =`), so every
address is asked for at every step; that costs a fraction of a microsecond a tensor. Asking also waits
for work that is still queued on the tensor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter

import numpy as np
from mindspore import Parameter, Tensor
from mindspore._c_expression import TensorPy
from mindspore.graph.api import _pynative_executor

from tinyms_core.kernels.batch import Integers

# What is behind `data_ptr`, `is_contiguous` and `shape`: a step asks every tensor, and without the Python
# wrappers the answers cost half as much.
_address = getattr(TensorPy, "_data_ptr", Tensor.data_ptr)
_contiguous = getattr(TensorPy, "is_contiguous", Tensor.is_contiguous)
shape_of = attrgetter("_shape" if hasattr(TensorPy, "_shape") else "shape")
dtype_of = attrgetter("dtype")


def wait_for_queued_work() -> None:
    """Let every operator that was queued so far finish, so that no write overtakes a read."""
    _pynative_executor.sync()


def address_of(parameter: Parameter) -> int:
    """Where a Parameter's memory is now."""
    return int(_address(parameter))


class ParameterAddresses:
    """The addresses of Parameters that are written in place, checked at every step.

    A Parameter that was given other memory shares it with where it came from, a loaded checkpoint say. It
    gets a copy of its own before it is written to.

    Arguments:
        tensors: rows of Parameters: the parameters themselves, then each state.
        known: where each Parameter was when the optimizer was built, by identity.
    """

    def __init__(self, tensors: Sequence[Sequence[Parameter]], known: Mapping[int, int]) -> None:
        self._flat = [parameter for row in tensors for parameter in row]
        self._kinds = [parameter.dtype for parameter in self._flat]
        self._shape = (len(tensors), len(tensors[0]))
        self._known = [known[id(parameter)] for parameter in self._flat]
        self._array = np.array(self._known, dtype=np.int64).reshape(self._shape)

    def current(self) -> Integers:
        """The addresses now, shape (rows, tensors).

        Raises:
            TypeError: a Parameter has got another dtype since the optimizer was built.
        """
        found = list(map(_address, self._flat))
        if found != self._known:
            self._own(found)
            self._known = list(map(_address, self._flat))
            self._array = np.array(self._known, dtype=np.int64).reshape(self._shape)
        return self._array

    def _own(self, found: list[int]) -> None:
        moved = [i for i, (now, before) in enumerate(zip(found, self._known, strict=True)) if now != before]
        for index in moved:
            parameter, kind = self._flat[index], self._kinds[index]
            if parameter.dtype != kind:
                raise TypeError(
                    f"parameter {parameter.name!r} is now of {parameter.dtype}, but was of {kind} when the "
                    "optimizer was built; build the optimizer after changing dtypes"
                )
        for index in moved:
            # A copy is also contiguous, where the new memory may be a view such as a transposed tensor.
            self._flat[index].set_data(Tensor(self._flat[index]).contiguous().copy())


def gradient_addresses(gradients: Sequence[Tensor]) -> tuple[list[int], Sequence[Tensor]]:
    """The addresses of gradients.

    Arguments:
        gradients: dense tensors; views are copied to contiguous memory.

    Returns:
        The addresses, and the tensors that must stay alive while they are in use.
    """
    if not all(map(_contiguous, gradients)):
        gradients = [g if g.is_contiguous() else g.contiguous() for g in gradients]
    return list(map(_address, gradients)), gradients

"""Numpy views of a kernel's tensors, for kernels that are written in numpy."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

_CELLS: dict[str, Any] = {"float32": ctypes.c_float, "float64": ctypes.c_double, "int32": ctypes.c_int32}
# numpy has no bfloat16: such a tensor is seen as its bits.
_NUMPY_TYPES: dict[str, Any] = {
    "float32": np.float32,
    "float64": np.float64,
    "float16": np.float16,
    "bfloat16": np.uint16,
    "int32": np.int32,
    "int64": np.int64,
}


def array_at(address: int, size: int, dtype: str) -> np.ndarray[Any, Any]:
    """A tensor's memory as a numpy array; writing to it writes to the tensor.

    Arguments:
        address: where the tensor lies, as a kernel is given it.
        size: its number of elements.
        dtype: its storage type; bfloat16 is seen as uint16, its bits.

    Returns:
        A 1-D view. It must not outlive the kernel's call.

    Raises:
        ValueError: ``dtype`` is no storage type.

    Example:
        >>> import numpy as np
        >>> from tinyms_core.kernels.arrays import array_at
        >>> x = np.zeros(3, np.float32)
        >>> array_at(x.ctypes.data, 3, "float32")[1] = 5
        >>> x.tolist()
        [0.0, 5.0, 0.0]
    """
    if dtype not in _NUMPY_TYPES:
        raise ValueError(f"array_at: 'dtype' must be one of {', '.join(_NUMPY_TYPES)}, got {dtype!r}")
    kind: np.dtype[Any] = np.dtype(_NUMPY_TYPES[dtype])
    if size == 0:
        return np.empty(0, dtype=kind)
    buffer = (ctypes.c_char * (int(size) * kind.itemsize)).from_address(int(address))
    return np.ndarray((int(size),), dtype=kind, buffer=memoryview(buffer))


def cell_at(address: int, dtype: str) -> Any:
    """One number in a tensor's memory; much cheaper than an array of one.

    Arguments:
        address: where the number lies.
        dtype: ``"float32"``, ``"float64"`` or ``"int32"``.

    Returns:
        A ctypes object whose ``value`` is the number; setting it writes to the tensor.

    Raises:
        ValueError: another ``dtype``.

    Example:
        >>> import numpy as np
        >>> from tinyms_core.kernels.arrays import cell_at
        >>> x = np.array([7], np.int32)
        >>> cell_at(x.ctypes.data, "int32").value += 1
        >>> x.tolist()
        [8]
    """
    if dtype not in _CELLS:
        raise ValueError(f"cell_at: 'dtype' must be one of {', '.join(_CELLS)}, got {dtype!r}")
    return _CELLS[dtype].from_address(int(address))

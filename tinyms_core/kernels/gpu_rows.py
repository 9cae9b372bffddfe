"""Kernels for gradients that come as rows: rows of one index are added up, and buffers are set to zero.

The constants at the top are replaced where other types are wanted; see `tinyms_core.kernels.specialized`.
"""

import numpy as np
from numba import cuda

from tinyms_core.kernels.gpu_memory import integer_reader, loader, storer

VALUES = "float32"
COMPUTE = "float32"

C = getattr(np, COMPUTE)

_integer = integer_reader()
_load, _store = loader(VALUES, COMPUTE), storer(COMPUTE, COMPUTE)


@cuda.jit(cache=True)
def add_up(values: int, order: int, sums: int, count: int, width: int) -> None:
    """Write the sum of the rows of each index; ``order`` has first where an index begins, then which row comes when."""
    row, rows = np.int64(cuda.blockIdx.x), np.int64(cuda.gridDim.x)
    step = np.int64(cuda.blockDim.x)
    while row < count:
        begin, end = _integer(order, row), _integer(order, row + 1)
        column = np.int64(cuda.threadIdx.x)
        while column < width:
            total = C(0.0)
            at = begin
            while at < end:
                total += _load(values, _integer(order, count + 1 + at) * width + column)
                at += 1
            _store(sums, row * width + column, total)
            column += step
        row += rows


@cuda.jit(cache=True)
def clear(buffer: int, count: int) -> None:
    """Set a buffer to zero."""
    i = np.int64(cuda.blockIdx.x) * np.int64(cuda.blockDim.x) + np.int64(cuda.threadIdx.x)
    step = np.int64(cuda.gridDim.x) * np.int64(cuda.blockDim.x)
    while i < count:
        _store(buffer, i, C(0.0))
        i += step

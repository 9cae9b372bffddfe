"""Kernels for offloaded steps: pieces of many arrays are gathered in one place, and scattered from there.

The constants at the top are replaced where other types are wanted; see `tinyms_core.kernels.specialized`. A piece's row
in the table has the addresses of its parameter and its gradient, its place among all elements, and its length.
"""

import numpy as np
from numba import cuda

from tinyms_core.kernels.gpu_memory import integer_reader, loader, storer

STORAGE = "float32"
STAGED = "float32"
COMPUTE = "float32"
ADDED = False

_integer = integer_reader()
_load, _store = loader(STORAGE, COMPUTE), storer(STORAGE, COMPUTE)
_load_staged, _store_staged = loader(STAGED, COMPUTE), storer(STAGED, COMPUTE)


@cuda.jit(cache=True)
def gather(table: int, first: int, last: int, column: int, staging: int) -> None:
    """Copy the pieces from ``first`` to ``last`` of the arrays of a column of the table, one after the other."""
    begin = _integer(table, 4 * first + 2)
    piece = first + np.int64(cuda.blockIdx.x)
    while piece < last:
        address, place = _integer(table, 4 * piece + column), _integer(table, 4 * piece + 2) - begin
        size = _integer(table, 4 * piece + 3)
        i = np.int64(cuda.threadIdx.x)
        while i < size:
            _store_staged(staging, place + i, _load(address, i))
            i += np.int64(cuda.blockDim.x)
        piece += np.int64(cuda.gridDim.x)


@cuda.jit(cache=True)
def scatter(table: int, first: int, last: int, staging: int) -> None:
    """Give the parameters of the pieces from ``first`` to ``last`` their new values, or add displacements to them."""
    begin = _integer(table, 4 * first + 2)
    piece = first + np.int64(cuda.blockIdx.x)
    while piece < last:
        address, place = _integer(table, 4 * piece), _integer(table, 4 * piece + 2) - begin
        size = _integer(table, 4 * piece + 3)
        i = np.int64(cuda.threadIdx.x)
        while i < size:
            value = _load_staged(staging, place + i)
            if ADDED:
                value += _load(address, i)
            _store(address, i, value)
            i += np.int64(cuda.blockDim.x)
        piece += np.int64(cuda.gridDim.x)

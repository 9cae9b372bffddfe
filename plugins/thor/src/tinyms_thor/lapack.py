"""The inverse of one matrix by LAPACK, without Python's lock, so that several threads invert at once.

SciPy's own functions for Python, in `scipy.linalg.lapack`, keep the lock while they compute, which was measured. What
SciPy has for Cython is called here instead.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from numba.extending import get_cython_function_address

_EDGE = 64


def _function(name: str) -> Callable[..., None]:
    """``name(triangle, rows, matrix, rows, failed)``; all arguments are addresses."""
    address = get_cython_function_address("scipy.linalg.cython_lapack", name)
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 5)(address)


# Made when this module is imported, which loads the library: threads are counted of those that are loaded.
_FACTOR, _INVERT = _function("spotrf"), _function("spotri")


def invert(matrix: Any) -> bool:
    """Invert a symmetric matrix in place, by Cholesky.

    Arguments:
        matrix: an array of float32 of the shape (rows, rows), contiguous.

    Returns:
        Whether it was positive definite in float32; if it was not, the array holds nothing of use.
    """
    triangle, rows, failed = ctypes.c_char(b"L"), ctypes.c_int(len(matrix)), ctypes.c_int(0)
    size = ctypes.addressof(rows)
    for function in (_FACTOR, _INVERT):
        function(ctypes.addressof(triangle), size, matrix.ctypes.data, size, ctypes.addressof(failed))
        if failed.value:
            return False
    # LAPACK counts by columns: what is its lower triangle is the upper one here.
    for first in range(0, len(matrix), _EDGE):
        rest = first + _EDGE
        matrix[rest:, first:rest] = matrix[first:rest, rest:].T
        corner = np.triu(matrix[first:rest, first:rest])
        matrix[first:rest, first:rest] = corner + np.triu(corner, 1).T
    return bool(np.isfinite(matrix).all())

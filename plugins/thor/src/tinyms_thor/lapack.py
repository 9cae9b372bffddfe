"""The inverse of one matrix by LAPACK, without Python's lock, so that several threads invert at once.

SciPy's own functions for Python, in `scipy.linalg.lapack`, keep the lock while they compute, which was measured. What
SciPy has for Cython is called here instead.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import cython_lapack

_EDGE = 64

_signature_of = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))
_address_in = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def _function(name: str) -> Callable[..., None]:
    """``name(triangle, rows, matrix, rows, failed)``; all arguments are addresses."""
    # Where a module of Cython keeps the functions that others may call.
    capsule = cython_lapack.__pyx_capi__[name]
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 5)(_address_in(capsule, _signature_of(capsule)))


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

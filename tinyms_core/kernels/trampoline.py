"""The way from a graph's custom operator to a step in Python: a small C library that is compiled where it is missing.

MindSpore's custom operators of type ``aot`` are functions of a shared library that are given the addresses of their
tensors. The library's one function calls back into Python, where a step runs in the same kernels as outside of a
graph. Only addresses cross over: nothing is copied, however large the tensors are.
"""

from __future__ import annotations

import ctypes
import itertools
import traceback
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from tinyms_core.kernels.batch import Integers
from tinyms_core.kernels.compilers import CLibrary
from tinyms_core.kernels.cpu import STORAGE_TYPES

FUNCTION: Final = "tinyms_step"
SWITCH: Final = "TINYMS_OPTIM_GRAPH_KERNELS"
"""The environment variable that, set to 0, leaves steps in graphs to MindSpore's operators."""

KINDS: Final = ("", *STORAGE_TYPES)
"""What the numbers for dtypes mean; the first is for all others."""

_CALLEE: Final = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int8)
)

Step = Callable[[Integers, bytes], None]

_steps: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
_numbers = itertools.count(1)
_forgotten: Final = 2
_failed: Final = 3


def register(step: Step) -> int:
    """Remember what a custom operator calls.

    Arguments:
        step: called with the addresses of the operator's inputs but the last, and their kinds, a byte for each; see
            `KINDS`. It is forgotten when nobody else holds it.

    Returns:
        The number by which the operator's last input names it.
    """
    number = next(_numbers)
    _steps[number] = step
    return number


def _call(who: int, count: int, addresses: int, kinds: Any) -> int:
    step = _steps.get(who)
    if step is None:
        return _forgotten
    try:
        found = np.ctypeslib.as_array((ctypes.c_int64 * count).from_address(addresses))
        step(found, ctypes.string_at(kinds, count))
    except BaseException:  # An exception cannot cross C; the operator's status makes MindSpore raise.
        traceback.print_exc()
        return _failed
    return 0


# Lives as long as the process: the library calls it.
_callback = _CALLEE(_call)


def _register(library: ctypes.CDLL) -> None:
    library.tinyms_register(_callback)


LIBRARY: Final = CLibrary(Path(__file__).with_suffix(".c"), SWITCH, _register)
withheld, unavailable = LIBRARY.withheld, LIBRARY.unavailable


def library() -> Path:
    """The shared library's file; the callback of this process is registered with it.

    Raises:
        LibraryError: there is no C compiler, or it fails, or the system loads no such library.
    """
    return LIBRARY.load()[0]

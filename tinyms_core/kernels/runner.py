"""Running the passes of a kernel over its chunks: on the threads of a small C library, or else on those of Python.

A pass is compiled code with the address of a function ``pass(begin, end, frame)`` that does the chunks ``begin`` to
``end``; between two passes a function ``between(frame)`` may put together what the chunks have left. The *frame* is an
array of integers, addresses mostly, of which kernels and the makers of frames know the meaning, nobody else.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tinyms_core.kernels.batch import Integers
from tinyms_core.kernels.compilers import CLibrary
from tinyms_core.kernels.threads import run_ranges

SWITCH: Final = "TINYMS_OPTIM_RUNNER"
"""The environment variable that, set to 0, leaves the passes to threads of Python."""

_PASS: Final = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
_BETWEEN: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Passes:
    """The compiled passes of a kernel.

    Arguments:
        passes: their functions, compiled; each has an ``address``.
        between: the function for between two passes; None where there is one pass.
    """

    def __init__(self, passes: Sequence[Any], between: Any = None) -> None:
        # Compiled code lives as long as what it was compiled from.
        self._compiled = (*passes, between)
        self._passes = [_PASS(function.address) for function in passes]
        self._between = _BETWEEN(between.address) if between is not None else _BETWEEN()
        self._addresses = (ctypes.c_void_p * len(passes))(*(function.address for function in passes))
        #: How many passes have something after them that puts together what the chunks have left.
        self.joins = len(passes) - 1 if between is not None else 0

    def __call__(self, frame: int, first: int, last: int, threads: int, stages: int | None = None) -> None:
        """Do passes over a range of chunks, each when the one before is done.

        Arguments:
            frame: the address of the frame.
            first, last: the range.
            threads: how many threads take part, this one among them.
            stages: how many of the passes are done, all unless given.
        """
        stages = len(self._passes) if stages is None else stages
        joins = min(stages, self.joins)
        run = LIBRARY.found()
        if run is not None:
            run(self._addresses, stages, self._between, joins, frame, first, last, threads)
            return
        for stage, function in enumerate(self._passes[:stages]):
            run_ranges(lambda begin, end: function(first + begin, first + end, frame), last - first, threads)  # noqa: B023
            if stage < joins:
                self._between(frame)

    def alone(self, stage: int, frame: int, first: int, last: int, threads: int) -> None:
        """Do one of the passes and nothing after it; other arguments are those of a call."""
        function = self._passes[stage]
        run = LIBRARY.found()
        if run is not None:
            only = (ctypes.c_void_p * 1)(self._addresses[stage])
            run(only, 1, self._between, 0, frame, first, last, threads)
            return
        run_ranges(lambda begin, end: function(first + begin, first + end, frame), last - first, threads)

    def join(self, frame: int) -> None:
        """Put together what the chunks have left after a pass that was done alone; the frame may be another one."""
        self._between(frame)


def frame_of(*arrays: npt.NDArray[Any]) -> Integers:
    """The addresses of arrays, as part of a frame. Each is contiguous, and whoever calls keeps it alive."""
    return np.array([array.ctypes.data for array in arrays], dtype=np.int64)


def _prepared(library: ctypes.CDLL) -> Any:
    function = library.tinyms_run
    function.restype = None
    function.argtypes = (
        ctypes.c_void_p, ctypes.c_int64, _BETWEEN, ctypes.c_int64,
        ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64,
    )  # fmt: skip
    return function


LIBRARY: Final = CLibrary(Path(__file__).with_suffix(".c"), SWITCH, _prepared)
withheld, unavailable = LIBRARY.withheld, LIBRARY.unavailable

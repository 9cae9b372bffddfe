"""Memory that several arrays share: what a step writes must be each array's own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyms_core.kernels.batch import Integers
from tinyms_core.kernels.buffers import Buffer
from tinyms_core.kernels.storage import WIDTHS

# What errors call an array, and its memory.
Placed = tuple[str, Buffer]


class Written:
    """The memory that steps write, which no two arrays share.

    Arguments:
        owner: the optimizer's name, for errors.
        arrays: the arrays that are written.

    Raises:
        ValueError: two of them share memory.
    """

    def __init__(self, owner: str, arrays: Sequence[Placed]) -> None:
        self._owner = owner
        arrays = [(place, buffer) for place, buffer in arrays if buffer.size]
        starts, ends = _ranges(arrays)
        order = np.argsort(starts, kind="stable")
        self._starts, self._ends = starts[order], ends[order]
        self._places = [arrays[i][0] for i in order]
        shared = np.flatnonzero(self._ends[:-1] > self._starts[1:])
        if len(shared):
            first, second = sorted((order[shared[0]], order[shared[0] + 1]))
            raise ValueError(
                f"{owner}: {arrays[second][0]} shares memory with {arrays[first][0]}; each array is updated once"
            )

    def refuse_reading(self, arrays: Sequence[Placed]) -> None:
        """Refuse arrays that are read while the memory is written.

        Raises:
            ValueError: one of them shares memory with what is written.
        """
        arrays = [(place, buffer) for place, buffer in arrays if buffer.size]
        if not arrays or not len(self._starts):
            return
        starts, ends = _ranges(arrays)
        # Only the last range that begins before an array's end can reach into it, since ranges are apart.
        before = np.searchsorted(self._starts, ends) - 1
        shared = np.flatnonzero((before >= 0) & (self._ends[before] > starts))
        if len(shared):
            place, written = arrays[shared[0]][0], self._places[before[shared[0]]]
            raise ValueError(f"{self._owner}: {place} shares memory with {written}, which the step writes")


def _ranges(arrays: Sequence[Placed]) -> tuple[Integers, Integers]:
    """Where each array begins and ends."""
    starts = np.array([buffer.address for _, buffer in arrays], np.int64)
    return starts, starts + np.array([buffer.size * WIDTHS[buffer.dtype] for _, buffer in arrays], np.int64)

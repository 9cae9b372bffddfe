"""One step's tables, and what is computed between its passes: sums that were cut, lengths, exponents."""

from math import frexp
from typing import Any

import numpy as np

from tinyms_adafactor.layout import (
    BLOCKS,
    CLIP,
    COLUMNS_AT,
    COUNT,
    DECAY,
    EPS,
    LENGTH,
    MEANS_AT,
    MEMORY,
    RATE,
    RESULT_COLUMNS,
    ROWS_AT,
    SCALED,
    SCALING,
    SHRINKING,
    SMALLEST,
    SUM_COLUMNS,
    TILES,
    UNITS,
    UNITS_END,
    Layout,
    M,
    N,
)  # fmt: skip
from tinyms_core.kernels.arrays import array_at
from tinyms_core.kernels.runner import frame_of

# At most, of a family.
PASSES = 3

# What float16 holds in full precision, with a margin for rounding at its upper end.
LOWEST_HALF, HIGHEST_HALF, TOP_EXPONENT = 2.0**-14, 2.0**15, 15
FARTHEST = 1000.0


class Step:
    """The tables of one step over the tensors of a layout.

    Arguments:
        layout: the tensors.
        addresses: of each tensor, gradient and state, a row for each tensor.
        groups: row of ``numbers`` that each tensor uses.
        numbers: the scalars of each group.
        constants: the types of the compiled passes.
    """

    def __init__(self, layout: Layout, addresses: Any, groups: Any, numbers: Any, constants: dict[str, Any]) -> None:
        self.layout = layout
        self.results = np.ones((len(layout.sizes), RESULT_COLUMNS))
        self._addresses, self._groups, self._numbers = addresses, groups, numbers
        self._partials, self._sums = np.empty(layout.partials), np.empty((len(layout.units), SUM_COLUMNS))
        self._compute = constants["COMPUTE"]
        tables = (layout.units, layout.shapes, addresses, groups, numbers, self._partials, self._sums, self.results)
        # A frame for each pass: several threads may be in different ones.
        self._frames = np.empty((PASSES, 1 + len(tables)), np.int64)
        self._frames[:, 0] = range(PASSES)
        self._frames[:, 1:] = frame_of(*tables)
        self._first_frame, self._frame_bytes = self._frames.ctypes.data, self._frames.strides[0]

    def frame(self, stage: int) -> int:
        """The address of the frame of a pass."""
        return int(self._first_frame + stage * self._frame_bytes)

    def set_lengths(self, first: int, last: int) -> None:
        """Find how far a range of tensors goes, from the root mean squares of parameter and direction."""
        starts = self.layout.shapes[first:last, UNITS]
        units = self._sums[: self.layout.shapes[last - 1, UNITS_END], :2]
        sums = np.add.reduceat(units, starts, axis=0)
        weight, direction = np.sqrt(sums / self.layout.sizes[first:last, None]).T
        own = self._numbers[self._groups[first:last]].T
        rate = own[RATE] * np.where(own[SCALED] != 0, np.maximum(own[SMALLEST], weight), 1.0)
        self.results[first:last, SHRINKING] = own[DECAY] * rate
        with np.errstate(divide="ignore", invalid="ignore"):
            clipped = rate * own[CLIP] / direction
        self.results[first:last, LENGTH] = np.where(direction <= own[CLIP], rate, clipped)

    def join(self, k: int) -> None:
        """Find the averages of the rows and columns of a tensor that was cut, and the means of its rows."""
        shape = self.layout.shapes[k]
        n, m, count, blocks, tiles = (int(shape[c]) for c in (N, M, COUNT, BLOCKS, TILES))
        rows = array_at(self._addresses[k, 2], count * n, self._compute).reshape(count, n)
        if tiles > 1:
            parts = self._partials[shape[ROWS_AT] :][: count * tiles * n].reshape(count, tiles, n)
            self._average(k, rows, parts.sum(axis=1) / m)
        if blocks > 1:
            columns = array_at(self._addresses[k, 3], count * m, self._compute).reshape(count, m)
            parts = self._partials[shape[COLUMNS_AT] :][: count * blocks * m].reshape(count, blocks, m)
            self._average(k, columns, parts.sum(axis=1) / n)
        self._partials[shape[MEANS_AT] :][:count] = rows.mean(axis=1, dtype=np.float64)

    def _average(self, k: int, held: Any, means: Any) -> None:
        own = self._numbers[self._groups[k]]
        new = own[MEMORY] * held.astype(np.float64) + (1.0 - own[MEMORY]) * (means + own[EPS])
        # One that is finite but beyond the dtype becomes the largest number there.
        held[...] = np.where(np.isinf(new), new, np.minimum(new, np.finfo(held.dtype).max))

    def placeholder(self, k: int) -> Any:
        """The placeholder of a vector's row averages, which holds the exponent of its own."""
        return array_at(self._addresses[k, 2], 1, self._compute)

    def set_exponents(self, first: int, last: int) -> None:
        """Find the power of two that brings the largest average to the upper end of float16, where one is needed."""
        for k in range(first, last):
            units = self._sums[self.layout.shapes[k, UNITS] : self.layout.shapes[k, UNITS_END]]
            low, high = float(units[:, 2].min()), float(units[:, 3].max())
            exponent = 0.0
            if not (low >= LOWEST_HALF and high < HIGHEST_HALF) and 0.0 < high < np.inf:
                exponent = float(np.clip(TOP_EXPONENT - frexp(high)[1], -FARTHEST, FARTHEST))
            self.results[k, SCALING] = 2.0**exponent
            self.placeholder(k)[0] = exponent

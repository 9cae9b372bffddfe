"""How tensors are cut into units of work, as tables for the compiled passes; it depends on shapes alone."""

from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

# Elements of a unit, about; the width of a tile and the least height of a block of a matrix that is cut.
UNIT_ELEMENTS = 65_536
# Elements of the tensors that one thread takes at a time: as many as stay in its cache from pass to pass.
RANGE_ELEMENTS = 1_048_576
TILE_WIDTH = 1024
BLOCK_HEIGHT = 256

# Columns of the table of shapes: the last two axes and how many matrices there are, the tensor's units, where its
# partial sums are, into how many blocks of rows and tiles of columns it is cut and of what size, and where the means
# of its rows are kept (-1 where they are computed when asked for).
COLUMNS = (
    "N", "M", "COUNT", "UNITS", "UNITS_END", "ROWS_AT", "COLUMNS_AT", "BLOCKS", "TILES", "TILE", "BLOCK", "MEANS_AT",
)  # fmt: skip
N, M, COUNT, UNITS, UNITS_END, ROWS_AT, COLUMNS_AT, BLOCKS, TILES, TILE, BLOCK, MEANS_AT = range(len(COLUMNS))
# Columns of the scalars of a group, and of the results of a tensor.
SCALE, MEMORY, RATE, DECAY, EPS, SMALLEST, KEPT, SCALED, CLIP = range(9)
SHRINKING, LENGTH, UNSCALING, SCALING = range(4)
# What the frame of the compiled passes holds: which of them it is, and the addresses of tables. Compiled code knows no
# more of a table than how many columns it has.
FRAME = ("stage", "units", "shapes", "addresses", "groups", "numbers", "partials", "sums", "results")
SHAPE_COLUMNS, ADDRESS_COLUMNS, NUMBER_COLUMNS, SUM_COLUMNS, RESULT_COLUMNS = len(COLUMNS), 5, 9, 4, 4
MATRIX_COLUMNS, VECTOR_COLUMNS = 7, 3


Shares = tuple[list[int], list[tuple[int, int]]]


@dataclass(frozen=True, eq=False)
class Layout:
    """Tensors of one family, matrices or vectors, cut into units.

    Attributes:
        members: places of the tensors in the batch.
        sizes: elements of each tensor.
        units: for each unit its tensor and its ranges of matrices, rows and columns; of a vector, of elements.
        shapes: for each tensor a row of `COLUMNS`.
        partials: how many partial sums are kept between passes.
    """

    members: Any
    sizes: Any
    units: Any
    shapes: Any
    partials: int
    _shares: dict[int, Shares] = field(default_factory=dict, repr=False)

    @cached_property
    def joined(self) -> Any:
        """The tensors that were cut, whose partial sums are put together between passes, in order."""
        return np.flatnonzero(self.shapes[:, MEANS_AT] >= 0)

    def shares(self, threads: int) -> Shares:
        """Tensors that so many threads do together, and ranges of tensors that one thread does alone."""
        found = self._shares.get(threads)
        if found is None:
            # What would keep one thread busy for long after the others are done is shared by all of them.
            most = max(self.sizes.sum() / (2 * threads), RANGE_ELEMENTS / 2)
            together = (self.sizes > most) & (threads > 1)
            found = np.flatnonzero(together).tolist(), _ranges(self.sizes, together)
            self._shares[threads] = found
        return found


def matrix_layout(members: list[int], shapes: list[tuple[int, ...]]) -> Layout:
    """Cut tensors of two or more dimensions, none of them empty."""
    units: list[tuple[int, ...]] = []
    rows: list[tuple[int, ...]] = []
    partials = 0
    for k, shape in enumerate(shapes):
        (n, m), count, first = shape[-2:], prod(shape[:-2]), len(units)
        if n * m <= UNIT_ELEMENTS and m <= TILE_WIDTH:
            at_once = max(1, UNIT_ELEMENTS // (n * m))
            units += [(k, b, min(b + at_once, count), 0, n, 0, m) for b in range(0, count, at_once)]
            rows.append((n, m, count, first, len(units), 0, 0, 1, 1, m, n, -1))
            continue
        width, height = min(m, TILE_WIDTH), max(BLOCK_HEIGHT, UNIT_ELEMENTS // min(m, TILE_WIDTH))
        tiles, blocks = -(-m // width), -(-n // height)
        for b in range(count):
            units += [
                (k, b, b + 1, i, min(i + height, n), j, min(j + width, m))
                for i in range(0, n, height)
                for j in range(0, m, width)
            ]
        rows_at = partials
        columns_at = rows_at + (count * tiles * n if tiles > 1 else 0)
        means_at = columns_at + (count * blocks * m if blocks > 1 else 0)
        partials = means_at + count
        rows.append((n, m, count, first, len(units), rows_at, columns_at, blocks, tiles, width, height, means_at))
    return _layout(members, shapes, units, rows, partials)


def vector_layout(members: list[int], shapes: list[tuple[int, ...]]) -> Layout:
    """Cut tensors of fewer than two dimensions, none of them empty."""
    units: list[tuple[int, ...]] = []
    rows: list[tuple[int, ...]] = []
    for k, shape in enumerate(shapes):
        size, first = prod(shape), len(units)
        units += [(k, i, min(i + UNIT_ELEMENTS, size)) for i in range(0, size, UNIT_ELEMENTS)]
        rows.append((size, 1, 1, first, len(units), *(0,) * 7))
    return _layout(members, shapes, units, rows, 0)


def _layout(members: list[int], shapes: list[tuple[int, ...]], units: Any, rows: Any, partials: int) -> Layout:
    sizes = np.array([prod(shape) for shape in shapes], np.int64)
    return Layout(np.array(members, np.int64), sizes, np.array(units, np.int64), np.array(rows, np.int64), partials)


def _ranges(sizes: Any, together: Any) -> list[tuple[int, int]]:
    """Ranges of consecutive tensors of about `RANGE_ELEMENTS` together, without those that threads do together."""
    found: list[tuple[int, int]] = []
    elements = RANGE_ELEMENTS
    for k, (size, skipped) in enumerate(zip(sizes.tolist(), together.tolist(), strict=True)):
        if skipped:
            elements = RANGE_ELEMENTS
        elif elements + size > RANGE_ELEMENTS:
            found.append((k, k + 1))
            elements = size
        else:
            found[-1] = (found[-1][0], k + 1)
            elements += size
    return found

"""How tensors are cut into units of work, as tables for the compiled passes; it depends on shapes alone."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

# Elements of a unit, about; the width of a tile and the least height of a block of a matrix that is cut.
UNIT_ELEMENTS = 65_536
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


@dataclass(frozen=True)
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

"""How tensors are cut into units of work for a GPU, as tables for the compiled passes; it depends on shapes alone."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

# Columns of a unit: its tensor, its matrix, its rows and columns, how many threads share a row, and where its partial
# sums of rows and of columns begin. Of a vector only its tensor and its range of elements (as rows) count.
UNIT = ("TENSOR", "MATRIX", "ROW", "ROW_END", "COLUMN", "COLUMN_END", "LANES", "ROW_SUMS", "COLUMN_SUMS")
TENSOR, MATRIX, ROW, ROW_END, COLUMN, COLUMN_END, LANES, ROW_SUMS, COLUMN_SUMS = range(len(UNIT))
# Columns of a tensor: its last two axes, its elements, its units, into how many blocks of rows and tiles of columns
# its matrices are cut, where its partial sums and its factors are, its group, and its addresses.
SHAPE = (
    "N", "M", "SIZE", "UNITS", "UNITS_END", "BLOCKS", "TILES", "ROW_SUMS_AT", "COLUMN_SUMS_AT", "ROW_FACTORS",
    "COLUMN_FACTORS", "GROUP", "W", "G", "ROWS", "COLUMNS", "FULL", "AVERAGE",
)  # fmt: skip
(
    N, M, SIZE, UNITS, UNITS_END, BLOCKS, TILES, ROW_SUMS_AT, COLUMN_SUMS_AT, ROW_FACTORS, COLUMN_FACTORS, GROUP, W, G,
    ROWS, COLUMNS, FULL, AVERAGE,
) = range(len(SHAPE))  # fmt: skip
# A range of a tensor's rows (0) or columns (1), counted over all its matrices.
LINE = ("LINE_TENSOR", "LINE_KIND", "LINE_FIRST", "LINE_LAST")
LINE_TENSOR, LINE_KIND, LINE_FIRST, LINE_LAST = range(len(LINE))
# Rows or columns that a thread takes of such a range.
LINES = 4


@dataclass(frozen=True)
class GpuLayout:
    """Tensors of one family, matrices or vectors, cut into units.

    Attributes:
        members: places of the tensors in the batch.
        units: a row of `UNIT` for each unit.
        shapes: a row of `SHAPE` for each tensor; groups and addresses are filled in at each step.
        lines: a row of `LINE` for each range of rows or columns.
        matrices: for each matrix its tensor and its place in it.
        partials: how many partial sums are kept between passes.
        factors: how many factors of rows and columns are.
    """

    members: Any
    units: Any
    shapes: Any
    lines: Any
    matrices: Any
    partials: int
    factors: int


def matrix_layout(members: list[int], shapes: list[tuple[int, ...]], elements: int, threads: int) -> GpuLayout:
    """Cut tensors of two or more dimensions, none of them empty, into units of about as many elements.

    A unit is no wider than its threads need: the higher it is, the fewer are the partial sums of columns.
    """
    units: list[tuple[int, ...]] = []
    rows: list[list[int]] = []
    lines: list[tuple[int, ...]] = []
    matrices: list[tuple[int, int]] = []
    partials = factors = 0
    for k, shape in enumerate(shapes):
        (n, m), count, first = shape[-2:], prod(shape[:-2]), len(units)
        width = min(m, 2 * threads)
        height = min(n, max(1, elements // width))
        tiles, blocks = -(-m // width), -(-n // height)
        lanes = min(threads, 1 << (width.bit_length() - 1))
        row_sums, column_sums = partials, partials + count * tiles * n
        partials = column_sums + count * blocks * m
        for b in range(count):
            matrices.append((k, b))
            units += [
                (
                    k, b, i, min(i + height, n), j, min(j + width, m), lanes,
                    row_sums + (b * tiles + j // width) * n, column_sums + (b * blocks + i // height) * m,
                )
                for i in range(0, n, height) for j in range(0, m, width)
            ]  # fmt: skip
        row = [0] * len(SHAPE)
        row[: COLUMN_FACTORS + 1] = [
            n, m, prod(shape), first, len(units), blocks, tiles, row_sums, column_sums, factors, factors + count * n,
        ]  # fmt: skip
        factors += count * (n + m)
        rows.append(row)
        for kind, total in enumerate((count * n, count * m)):
            lines += [(k, kind, at, min(at + LINES * threads, total)) for at in range(0, total, LINES * threads)]
    return _layout(members, units, rows, lines, matrices, partials, factors)


def vector_layout(members: list[int], shapes: list[tuple[int, ...]], elements: int) -> GpuLayout:
    """Cut tensors of fewer than two dimensions, none of them empty."""
    units: list[tuple[int, ...]] = []
    rows: list[list[int]] = []
    for k, shape in enumerate(shapes):
        size, first = prod(shape), len(units)
        units += [(k, 0, at, min(at + elements, size), 0, 1, 1, 0, 0) for at in range(0, size, elements)]
        row = [0] * len(SHAPE)
        row[: UNITS_END + 1] = [size, 1, size, first, len(units)]
        rows.append(row)
    return _layout(members, units, rows, [], [], 0, 0)


def _layout(
    members: list[int], units: Any, rows: Any, lines: Any, matrices: Any, partials: int, factors: int
) -> GpuLayout:
    tables = [
        np.array(table, np.int64).reshape(len(table), columns)
        for table, columns in ((units, len(UNIT)), (rows, len(SHAPE)), (lines, len(LINE)), (matrices, 2))
    ]
    return GpuLayout(np.array(members, np.int64), *tables, partials, factors)

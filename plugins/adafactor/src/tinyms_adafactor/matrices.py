"""Parameters of two or more dimensions: row and column averages over the last two axes, in three passes.

Work comes in units: a range of whole small matrices, or a block of rows and a tile of columns of one large matrix.
How a tensor is cut depends on its shape alone, and partial sums are added in the order of the units, so that
the number of threads changes no bit. No unit needs more memory than a tile's width.

The constants at the top are replaced where other types are wanted; see `tinyms_core.kernels.specialized`.
"""

import numpy as np
from numba import cfunc, njit

from tinyms_adafactor.layout import (
    ADDRESS_COLUMNS,
    BLOCK,
    BLOCKS,
    COLUMNS_AT,
    EPS,
    KEPT,
    LENGTH,
    MATRIX_COLUMNS,
    MEANS_AT,
    MEMORY,
    NUMBER_COLUMNS,
    RESULT_COLUMNS,
    ROWS_AT,
    SCALE,
    SHAPE_COLUMNS,
    SHRINKING,
    SUM_COLUMNS,
    TILE,
    TILE_WIDTH,
    TILES,
    M,
    N,
)  # fmt: skip
from tinyms_core.kernels.memory import accumulate, floats_at, integers_at, loader, scratch, storer

PARAMETER = "float32"
GRADIENT = "float32"
COMPUTE = "float32"
AVERAGED = False

# A function beside its caller would be compiled a second time, by itself, and add up in another order there. What is
# put into its caller before types are found compiles in four fifths of the time.
OPTIONS = {"error_model": "numpy", "fastmath": {"contract"}, "forceinline": True}
INLINED = {**OPTIONS, "inline": "always"}
C = getattr(np, COMPUTE)
LARGEST = float(np.finfo(COMPUTE).max)
# Where a short sum of squares leaves this range, digits were lost, and it is computed once more in float64.
LOW, HIGH = 1e-28, 1e28
# How many rows are summed before they are added up in float64.
ROWS = 8

_load_w, _store_w = loader(PARAMETER, COMPUTE, 0), storer(PARAMETER, COMPUTE, 0)
_load_g = loader(GRADIENT, COMPUTE, 1)
_load_r, _store_r = loader(COMPUTE, COMPUTE, 2), storer(COMPUTE, COMPUTE, 2)
_load_c, _store_c = loader(COMPUTE, COMPUTE, 3), storer(COMPUTE, COMPUTE, 3)
_load_m, _store_m = loader(COMPUTE, COMPUTE, 4), storer(COMPUTE, COMPUTE, 4)
_room_for_columns, _room_for_totals = scratch("float64", TILE_WIDTH), scratch("float64", ROWS)
_room_for_factors, _room_for_short = scratch(COMPUTE, TILE_WIDTH), scratch(COMPUTE, TILE_WIDTH)


@njit(**INLINED)
def _averaged(before, mean, memory, eps):
    """An average as it is stored: one that is finite but beyond the dtype becomes the largest number there."""
    value = memory * np.float64(before) + (1.0 - memory) * (mean + eps)
    return C(LARGEST) if LARGEST < value < np.inf else C(value)


@njit(**INLINED)
def _safe(total):
    """Whether a sum of squares has kept its digits."""
    return LOW < total < HIGH


@njit(**INLINED)
def _square_row(a_w, a_g, at, width, scale, columns):
    """Add the squares of a row of the gradient to the columns; returns the row's sum and that of the parameter."""
    total, weight = 0.0, 0.0
    for j in range(width):
        g = np.float64(_load_g(a_g, at + j) * scale)
        square = g * g
        columns[j] += square
        total = accumulate(total, square)
        w = np.float64(_load_w(a_w, at + j))
        weight = accumulate(weight, w * w)
    return total, weight


@njit(**INLINED)
def _square_row_short(a_w, a_g, at, width, scale, short):
    """The same in the arithmetic's own type, which is several times faster; ``short`` are the columns."""
    total, weight = C(0.0), C(0.0)
    for j in range(width):
        g = _load_g(a_g, at + j) * scale
        square = g * g
        short[j] += square
        total = accumulate(total, square)
        w = _load_w(a_w, at + j)
        weight = accumulate(weight, w * w)
    return total, weight


@njit(**INLINED)
def _sum_rows(a_w, a_g, at, stride, width, scale, columns, short, totals, rows):
    """Add the squares of some rows to the columns; ``totals`` gets the rows' sums, and the parameter's is returned.

    Their sums are short, and computed once more in float64 where one of them has lost digits.
    """
    kept, weight = True, 0.0
    for j in range(width):
        short[j] = C(0.0)
    for r in range(rows):
        total, more = _square_row_short(a_w, a_g, at + r * stride, width, scale, short)
        kept = kept and _safe(total) and _safe(more)
        totals[r] = total
        weight += np.float64(more)
    lost = 0
    for j in range(width):
        lost += 0 if short[j] > LOW else 1
    if kept and lost == 0:
        for j in range(width):
            columns[j] += np.float64(short[j])
        return weight
    weight = 0.0
    for r in range(rows):
        totals[r], more = _square_row(a_w, a_g, at + r * stride, width, scale, columns)
        weight += more
    return weight


@njit(**INLINED)
def _measure_row_wide(a_g, at, width, factor, factors):
    """The sum of the squares of a row of the direction, of any size."""
    total = 0.0
    for j in range(width):
        u = np.float64(_load_g(a_g, at + j) * factor * factors[j])
        total = accumulate(total, u * u)
    return total


@njit(**INLINED)
def _measure_row(a_g, at, width, factor, factors):
    """The sum of the squares of a row of the direction."""
    total = C(0.0)
    for j in range(width):
        u = _load_g(a_g, at + j) * factor * factors[j]
        total = accumulate(total, u * u)
    return np.float64(total) if _safe(total) else _measure_row_wide(a_g, at, width, factor, factors)


@njit(**INLINED)
def _apply_row(a_w, a_g, a_m, at, width, factor, factors, shrinking, length, kept, new):
    """The new parameter, and the average of its changes where there is one."""
    for j in range(width):
        w = _load_w(a_w, at + j)
        change = length * (_load_g(a_g, at + j) * factor * factors[j])
        if AVERAGED:
            change = kept * _load_m(a_m, at + j) + new * change
            _store_m(a_m, at + j, change)
        _store_w(a_w, at + j, w - (shrinking * w + change))


@cfunc("void(int64, int64, CPointer(int64))", **OPTIONS)
def run_units(begin, end, frame):
    """Do a range of units' part of a pass; the frame is that of `layout.FRAME`.

    The first pass finds the averages, as far as a unit has all of a row or column, else partial sums, and the sum of
    the parameter's squares; the second the sum of the direction's squares; the third writes.
    """
    stage, units, shapes, addresses = frame[0], integers_at(frame[1]), integers_at(frame[2]), integers_at(frame[3])
    groups, numbers, partials = integers_at(frame[4]), floats_at(frame[5]), floats_at(frame[6])
    sums, results = floats_at(frame[7]), floats_at(frame[8])
    columns, totals, factors, short = _room_for_columns(), _room_for_totals(), _room_for_factors(), _room_for_short()
    for u in range(begin, end):
        unit = u * MATRIX_COLUMNS
        k, i0, i1, j0, width = units[unit], units[unit + 3], units[unit + 4], units[unit + 5], units[unit + 6]
        width -= j0
        shape, place, s, result = k * SHAPE_COLUMNS, k * ADDRESS_COLUMNS, groups[k] * NUMBER_COLUMNS, k * RESULT_COLUMNS
        n, m, blocks, tiles = shapes[shape + N], shapes[shape + M], shapes[shape + BLOCKS], shapes[shape + TILES]
        means_at = shapes[shape + MEANS_AT]
        a_w, a_g, a_r, a_c, a_m = (
            addresses[place], addresses[place + 1], addresses[place + 2], addresses[place + 3], addresses[place + 4],
        )  # fmt: skip
        scale, memory, eps = C(numbers[s + SCALE]), numbers[s + MEMORY], numbers[s + EPS]
        kept, new = C(numbers[s + KEPT]), C(1.0 - numbers[s + KEPT])
        shrinking, length = C(results[result + SHRINKING]), C(results[result + LENGTH])
        found, weight = 0.0, 0.0
        for b in range(units[unit + 1], units[unit + 2]):
            mean = 0.0
            if stage == 0:
                for j in range(width):
                    columns[j] = 0.0
            else:
                if means_at >= 0:
                    mean = partials[means_at + b]
                else:
                    for i in range(n):
                        mean += np.float64(_load_r(a_r, b * n + i))
                    mean /= n
                for j in range(width):
                    column = np.float64(_load_c(a_c, b * m + j0 + j))
                    # Zero is the average where every gradient has been zero.
                    factors[j] = C(1.0 / np.sqrt(column)) if column != 0.0 else C(0.0)
            for i in range(i0, i1 if stage == 0 else i0, ROWS):
                at, rows = (b * n + i) * m + j0, min(ROWS, i1 - i)
                weight += _sum_rows(a_w, a_g, at, m, width, scale, columns, short, totals, rows)
                rows_at = shapes[shape + ROWS_AT] + (b * tiles + j0 // shapes[shape + TILE]) * n + i
                for r in range(rows):
                    if tiles == 1:
                        row = b * n + i + r
                        _store_r(a_r, row, _averaged(_load_r(a_r, row), totals[r] / m, memory, eps))
                    else:
                        partials[rows_at + r] = totals[r]
            for i in range(i0 if stage > 0 else i1, i1):
                at, row = (b * n + i) * m + j0, b * n + i
                share = np.float64(_load_r(a_r, row))
                factor = scale * (C(1.0 / np.sqrt(share / mean)) if share != 0.0 else C(0.0))
                if stage == 1:
                    found += _measure_row(a_g, at, width, factor, factors)
                else:
                    _apply_row(a_w, a_g, a_m, at, width, factor, factors, shrinking, length, kept, new)
            if stage == 0:
                at = shapes[shape + COLUMNS_AT] + (b * blocks + i0 // shapes[shape + BLOCK]) * m + j0
                for j in range(width):
                    if blocks == 1:
                        column_at = b * m + j0 + j
                        _store_c(a_c, column_at, _averaged(_load_c(a_c, column_at), columns[j] / n, memory, eps))
                    else:
                        partials[at + j] = columns[j]
        if stage == 0:
            sums[u * SUM_COLUMNS] = weight
        elif stage == 1:
            sums[u * SUM_COLUMNS + 1] = found

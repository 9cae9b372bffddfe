"""AdaFactor's passes on a GPU. Sums are added in the order of the tables, so that no number of blocks changes a bit.

A block takes units in turn. In a matrix's unit some threads, a power of two, share a row, and as many rows as there
are threads left are read at a time.

The constants at the top are replaced where other types are wanted; see `tinyms_core.kernels.specialized`.
"""

import math

import numpy as np
from numba import cuda, float64

from tinyms_adafactor.gpu_layout import (
    AVERAGE,
    BLOCKS,
    COLUMN,
    COLUMN_END,
    COLUMN_FACTORS,
    COLUMN_SUMS,
    COLUMN_SUMS_AT,
    COLUMNS,
    FULL,
    GROUP,
    LANES,
    LINE,
    LINE_FIRST,
    LINE_KIND,
    LINE_LAST,
    LINE_TENSOR,
    MATRIX,
    ROW,
    ROW_END,
    ROW_FACTORS,
    ROW_SUMS,
    ROW_SUMS_AT,
    ROWS,
    SHAPE,
    SIZE,
    TENSOR,
    TILES,
    UNIT,
    UNITS,
    UNITS_END,
    G,
    M,
    N,
    W,
)  # fmt: skip
from tinyms_adafactor.layout import (
    CLIP,
    DECAY,
    EPS,
    KEPT,
    LENGTH,
    MEMORY,
    RATE,
    SCALE,
    SCALED,
    SCALING,
    SHRINKING,
    SMALLEST,
    UNSCALING,
)  # fmt: skip
from tinyms_adafactor.sums import FARTHEST, HIGHEST_HALF, LOWEST_HALF, TOP_EXPONENT
from tinyms_core.kernels.gpu_math import sqrt
from tinyms_core.kernels.gpu_memory import integer_reader, loader, storer

PARAMETER = "float32"
GRADIENT = "float32"
COMPUTE = "float32"
AVERAGED = False
HALVED = False
THREADS = 256

C = getattr(np, COMPUTE)
LARGEST = float(np.finfo(COMPUTE).max)
FULL_STORED = "float16" if HALVED else COMPUTE
FULL_COMPUTE = "float32" if HALVED else COMPUTE
F = getattr(np, FULL_COMPUTE)
FULL_LARGEST = float(np.finfo(FULL_COMPUTE).max)
UNIT_COLUMNS, SHAPE_COLUMNS, LINE_COLUMNS = len(UNIT), len(SHAPE), len(LINE)
# Columns of the scalars of a group, of the sums of a unit and of the results of a tensor.
NUMBERS, SUMS, RESULTS = 9, 4, 4

_integer = integer_reader()
_real, _set_real = loader("float64", "float64"), storer("float64", "float64")
_load_w, _store_w = loader(PARAMETER, COMPUTE), storer(PARAMETER, COMPUTE)
_load_g = loader(GRADIENT, COMPUTE)
_load, _store = loader(COMPUTE, COMPUTE), storer(COMPUTE, COMPUTE)
_load_f, _store_f = loader(FULL_STORED, FULL_COMPUTE), storer(FULL_STORED, FULL_COMPUTE)


@cuda.jit(device=True, cache=True)
def _joined(shared, thread, member, step, team, value):
    """The sum over a team of threads, which are ``step`` apart, in a fixed order; all threads of the block call it."""
    shared[thread] = value
    cuda.syncthreads()
    half = team // 2
    while half > 0:
        if member < half:
            shared[thread] += shared[thread + half * step]
        cuda.syncthreads()
        half //= 2
    total = shared[thread - member * step]
    cuda.syncthreads()
    return total


@cuda.jit(device=True, cache=True)
def _largest(shared, thread, value):
    """The largest value of a block's threads; NaN where one is."""
    shared[thread] = value
    cuda.syncthreads()
    half = THREADS // 2
    while half > 0:
        if thread < half:
            other = shared[thread + half]
            if other > shared[thread] or other != other:
                shared[thread] = other
        cuda.syncthreads()
        half //= 2
    found = shared[0]
    cuda.syncthreads()
    return found


@cuda.jit(device=True, cache=True)
def _averaged(before, mean, memory, eps):
    """An average as it is stored: one that is finite but beyond the dtype becomes the largest number there."""
    value = memory * np.float64(before) + (1.0 - memory) * (mean + eps)
    return C(LARGEST) if LARGEST < value < np.inf else C(value)


@cuda.jit(device=True, cache=True)
def _inverse_root(value):
    """Zero of zero, which is the average where every gradient has been zero."""
    return C(1.0 / sqrt(value)) if value != 0.0 else C(0.0)


@cuda.jit(cache=True)
def square_units(units, shapes, numbers, partials, sums, count):
    """Sums of squares of the gradient over a unit's rows and columns, and of the parameter over the unit."""
    thread = np.int64(cuda.threadIdx.x)
    shared = cuda.shared.array(0, float64)
    u = np.int64(cuda.blockIdx.x)
    while u < count:
        at = UNIT_COLUMNS * u
        shape = SHAPE_COLUMNS * _integer(units, at + TENSOR)
        a_w, a_g = _integer(shapes, shape + W), _integer(shapes, shape + G)
        n, m = _integer(shapes, shape + N), _integer(shapes, shape + M)
        scale = C(_real(numbers, NUMBERS * _integer(shapes, shape + GROUP) + SCALE))
        first, last = _integer(units, at + ROW), _integer(units, at + ROW_END)
        left, right = _integer(units, at + COLUMN), _integer(units, at + COLUMN_END)
        lanes = _integer(units, at + LANES)
        lane, group, groups = thread % lanes, thread // lanes, THREADS // lanes
        base = _integer(units, at + MATRIX) * n * m
        weight = 0.0
        begin = left
        while begin < right:
            column, total = begin + lane, 0.0
            i = first + group
            while i < last and column < right:
                g = np.float64(_load_g(a_g, base + i * m + column) * scale)
                w = np.float64(_load_w(a_w, base + i * m + column))
                total += g * g
                weight += w * w
                i += groups
            total = _joined(shared, thread, group, lanes, groups, total)
            if group == 0 and column < right:
                _set_real(partials, _integer(units, at + COLUMN_SUMS) + column, total)
            begin += lanes
        begin = first
        while begin < last:
            row, total = begin + group, 0.0
            column = left + lane
            while column < right and row < last:
                g = np.float64(_load_g(a_g, base + row * m + column) * scale)
                total += g * g
                column += lanes
            total = _joined(shared, thread, lane, 1, lanes, total)
            if lane == 0 and row < last:
                _set_real(partials, _integer(units, at + ROW_SUMS) + row, total)
            begin += groups
        weight = _joined(shared, thread, thread, 1, THREADS, weight)
        if thread == 0:
            _set_real(sums, SUMS * u, weight)
        u += np.int64(cuda.gridDim.x)


@cuda.jit(cache=True)
def average_lines(lines, shapes, numbers, partials, factors, count):
    """The new averages of rows and columns, and the factors of columns."""
    line = np.int64(cuda.blockIdx.x)
    while line < count:
        at = LINE_COLUMNS * line
        shape = SHAPE_COLUMNS * _integer(lines, at + LINE_TENSOR)
        of_columns = _integer(lines, at + LINE_KIND) == 1
        n, m = _integer(shapes, shape + N), _integer(shapes, shape + M)
        numbers_at = NUMBERS * _integer(shapes, shape + GROUP)
        memory, eps = _real(numbers, numbers_at + MEMORY), _real(numbers, numbers_at + EPS)
        length = m if of_columns else n
        parts = _integer(shapes, shape + (BLOCKS if of_columns else TILES))
        partial = _integer(shapes, shape + (COLUMN_SUMS_AT if of_columns else ROW_SUMS_AT))
        held = _integer(shapes, shape + (COLUMNS if of_columns else ROWS))
        i = _integer(lines, at + LINE_FIRST) + np.int64(cuda.threadIdx.x)
        while i < _integer(lines, at + LINE_LAST):
            place = partial + i // length * parts * length + i % length
            total = 0.0
            for part in range(parts):
                total += _real(partials, place + part * length)
            average = _averaged(_load(held, i), total / (n if of_columns else m), memory, eps)
            _store(held, i, average)
            if of_columns:
                _store(factors, _integer(shapes, shape + COLUMN_FACTORS) + i, _inverse_root(np.float64(average)))
            i += THREADS
        line += np.int64(cuda.gridDim.x)


@cuda.jit(cache=True)
def average_matrices(matrices, shapes, factors, count):
    """The factors of rows: each relative to the mean of its matrix's."""
    thread = np.int64(cuda.threadIdx.x)
    shared = cuda.shared.array(0, float64)
    matrix = np.int64(cuda.blockIdx.x)
    while matrix < count:
        shape = SHAPE_COLUMNS * _integer(matrices, 2 * matrix)
        n = _integer(shapes, shape + N)
        first = _integer(matrices, 2 * matrix + 1) * n
        a_r, at = _integer(shapes, shape + ROWS), _integer(shapes, shape + ROW_FACTORS)
        total = 0.0
        i = thread
        while i < n:
            total += np.float64(_load(a_r, first + i))
            i += THREADS
        mean = _joined(shared, thread, thread, 1, THREADS, total) / n
        i = thread
        while i < n:
            share = np.float64(_load(a_r, first + i))
            _store(factors, at + first + i, _inverse_root(share / mean) if share != 0.0 else C(0.0))
            i += THREADS
        matrix += np.int64(cuda.gridDim.x)


@cuda.jit(cache=True)
def step_units(units, shapes, numbers, factors, sums, results, applied, count):
    """The sum of the squares of a unit's direction, or with ``applied`` its step."""
    thread = np.int64(cuda.threadIdx.x)
    shared = cuda.shared.array(0, float64)
    u = np.int64(cuda.blockIdx.x)
    while u < count:
        at = UNIT_COLUMNS * u
        k = _integer(units, at + TENSOR)
        shape = SHAPE_COLUMNS * k
        a_w, a_g, a_m = (
            _integer(shapes, shape + W), _integer(shapes, shape + G), _integer(shapes, shape + AVERAGE),
        )  # fmt: skip
        n, m = _integer(shapes, shape + N), _integer(shapes, shape + M)
        numbers_at = NUMBERS * _integer(shapes, shape + GROUP)
        scale = C(_real(numbers, numbers_at + SCALE))
        kept, new = C(_real(numbers, numbers_at + KEPT)), C(1.0 - _real(numbers, numbers_at + KEPT))
        shrinking, length = C(_real(results, RESULTS * k + SHRINKING)), C(_real(results, RESULTS * k + LENGTH))
        lanes = _integer(units, at + LANES)
        matrix = _integer(units, at + MATRIX)
        row_factors = _integer(shapes, shape + ROW_FACTORS) + matrix * n
        column_factors = _integer(shapes, shape + COLUMN_FACTORS) + matrix * m
        last, right = _integer(units, at + ROW_END), _integer(units, at + COLUMN_END)
        found = 0.0
        i = _integer(units, at + ROW) + thread // lanes
        while i < last:
            factor = scale * _load(factors, row_factors + i)
            j = _integer(units, at + COLUMN) + thread % lanes
            while j < right:
                place = (matrix * n + i) * m + j
                direction = _load_g(a_g, place) * factor * _load(factors, column_factors + j)
                if applied == 0:
                    found += np.float64(direction) * np.float64(direction)
                else:
                    w = _load_w(a_w, place)
                    change = length * direction
                    if AVERAGED:
                        change = kept * _load(a_m, place) + new * change
                        _store(a_m, place, change)
                    _store_w(a_w, place, w - (shrinking * w + change))
                j += lanes
            i += THREADS // lanes
        if applied == 0:
            found = _joined(shared, thread, thread, 1, THREADS, found)
            if thread == 0:
                _set_real(sums, SUMS * u + 1, found)
        u += np.int64(cuda.gridDim.x)


@cuda.jit(cache=True)
def vector_units(units, shapes, numbers, sums, results, applied, count):
    """Of a range of a vector the sums of squares, the least and the largest average; with ``applied`` its step."""
    thread = np.int64(cuda.threadIdx.x)
    shared = cuda.shared.array(0, float64)
    u = np.int64(cuda.blockIdx.x)
    while u < count:
        at = UNIT_COLUMNS * u
        k = _integer(units, at + TENSOR)
        shape = SHAPE_COLUMNS * k
        a_w, a_g, a_f, a_m = (
            _integer(shapes, shape + W), _integer(shapes, shape + G), _integer(shapes, shape + FULL),
            _integer(shapes, shape + AVERAGE),
        )  # fmt: skip
        numbers_at = NUMBERS * _integer(shapes, shape + GROUP)
        scale = C(_real(numbers, numbers_at + SCALE))
        memory, eps = _real(numbers, numbers_at + MEMORY), _real(numbers, numbers_at + EPS)
        kept, new = C(_real(numbers, numbers_at + KEPT)), C(1.0 - _real(numbers, numbers_at + KEPT))
        unscaling, scaling = 1.0, 1.0
        if HALVED:
            if applied == 0:
                unscaling = math.ldexp(1.0, -int(_load(_integer(shapes, shape + ROWS), 0)))
            else:
                unscaling = _real(results, RESULTS * k + UNSCALING)
                scaling = _real(results, RESULTS * k + SCALING)
        shrinking, length = C(_real(results, RESULTS * k + SHRINKING)), C(_real(results, RESULTS * k + LENGTH))
        weight, square, low, high = 0.0, 0.0, np.inf, 0.0
        i = _integer(units, at + ROW) + thread
        last = _integer(units, at + ROW_END)
        while i < last:
            g = np.float64(_load_g(a_g, i) * scale)
            moment = np.float64(_load_f(a_f, i)) * unscaling
            moment = memory * moment + (1.0 - memory) * (g * g + eps)
            direction = C(g / sqrt(moment)) if moment != 0.0 else C(0.0)
            w = _load_w(a_w, i)
            if applied == 0:
                square += np.float64(direction) * np.float64(direction)
                weight += np.float64(w) * np.float64(w)
                low = moment if moment < low else low
                high = moment if moment > high else high
            else:
                change = length * direction
                if AVERAGED:
                    change = kept * _load(a_m, i) + new * change
                    _store(a_m, i, change)
                _store_w(a_w, i, w - (shrinking * w + change))
                moment *= scaling
                _store_f(a_f, i, F(FULL_LARGEST) if FULL_LARGEST < moment < np.inf else F(moment))
            i += THREADS
        if applied == 0:
            weight = _joined(shared, thread, thread, 1, THREADS, weight)
            square = _joined(shared, thread, thread, 1, THREADS, square)
            low, high = -_largest(shared, thread, -low), _largest(shared, thread, high)
            if thread == 0:
                _set_real(sums, SUMS * u, weight)
                _set_real(sums, SUMS * u + 1, square)
                _set_real(sums, SUMS * u + 2, low)
                _set_real(sums, SUMS * u + 3, high)
        u += np.int64(cuda.gridDim.x)


@cuda.jit(cache=True)
def set_results(shapes, numbers, sums, results, vectors, count):
    """How far each tensor goes; of a compressed vector also the power of two that its averages are stored with."""
    thread = np.int64(cuda.threadIdx.x)
    shared = cuda.shared.array(0, float64)
    k = np.int64(cuda.blockIdx.x)
    while k < count:
        shape = SHAPE_COLUMNS * k
        numbers_at = NUMBERS * _integer(shapes, shape + GROUP)
        weight, direction, low, high = 0.0, 0.0, np.inf, 0.0
        u = _integer(shapes, shape + UNITS) + thread
        while u < _integer(shapes, shape + UNITS_END):
            weight += _real(sums, SUMS * u)
            direction += _real(sums, SUMS * u + 1)
            if HALVED and vectors == 1:
                least, largest = _real(sums, SUMS * u + 2), _real(sums, SUMS * u + 3)
                low = least if least < low else low
                high = largest if largest > high else high
            u += THREADS
        size = _integer(shapes, shape + SIZE)
        weight = sqrt(_joined(shared, thread, thread, 1, THREADS, weight) / size)
        direction = sqrt(_joined(shared, thread, thread, 1, THREADS, direction) / size)
        low, high = -_largest(shared, thread, -low), _largest(shared, thread, high)
        if thread == 0:
            rate, clip = _real(numbers, numbers_at + RATE), _real(numbers, numbers_at + CLIP)
            if _real(numbers, numbers_at + SCALED) != 0.0:
                smallest = _real(numbers, numbers_at + SMALLEST)
                rate *= weight if weight > smallest or weight != weight else smallest
            _set_real(results, RESULTS * k + SHRINKING, _real(numbers, numbers_at + DECAY) * rate)
            _set_real(results, RESULTS * k + LENGTH, rate if direction <= clip else rate * clip / direction)
            if HALVED and vectors == 1:
                place = _integer(shapes, shape + ROWS)
                exponent = 0
                whole = low >= LOWEST_HALF and high < HIGHEST_HALF
                if not whole and 0.0 < high < np.inf:
                    exponent = int(min(max(TOP_EXPONENT - math.frexp(high)[1], -FARTHEST), FARTHEST))
                _set_real(results, RESULTS * k + UNSCALING, math.ldexp(1.0, -int(_load(place, 0))))
                _set_real(results, RESULTS * k + SCALING, math.ldexp(1.0, exponent))
                _store(place, 0, C(exponent))
        k += np.int64(cuda.gridDim.x)

"""Parameters of fewer than two dimensions: one average for each element, in two passes.

The first pass stores nothing, so that the second one computes the same averages again. Under compression they are
stored in float16, multiplied by a power of two: its exponent is in the placeholder of the row averages, which such
a parameter has no other use for. It is 0 as long as float16 holds every average in full precision.

The constants at the top are replaced where other types are wanted; see `tinyms_core.kernels.specialized`.
"""

import numpy as np
from numba import cfunc

from tinyms_adafactor.layout import (
    ADDRESS_COLUMNS,
    EPS,
    KEPT,
    LENGTH,
    MEMORY,
    NUMBER_COLUMNS,
    RESULT_COLUMNS,
    SCALE,
    SCALING,
    SHRINKING,
    SUM_COLUMNS,
    UNSCALING,
    VECTOR_COLUMNS,
)  # fmt: skip
from tinyms_core.kernels.memory import accumulate, floats_at, integers_at, loader, storer

PARAMETER = "float32"
GRADIENT = "float32"
COMPUTE = "float32"
AVERAGED = False
HALVED = False

OPTIONS = {"error_model": "numpy", "fastmath": {"contract"}, "forceinline": True}
C = getattr(np, COMPUTE)
FULL = "float16" if HALVED else COMPUTE
# float16 is converted from float32 alone: not every processor's library has the way from float64.
FULL_COMPUTE = "float32" if HALVED else COMPUTE
F = getattr(np, FULL_COMPUTE)
LARGEST = float(np.finfo(FULL_COMPUTE).max)

_load_w, _store_w = loader(PARAMETER, COMPUTE, 0), storer(PARAMETER, COMPUTE, 0)
_load_g = loader(GRADIENT, COMPUTE, 1)
_load_f, _store_f = loader(FULL, FULL_COMPUTE, 3), storer(FULL, FULL_COMPUTE, 3)
_load_m, _store_m = loader(COMPUTE, COMPUTE, 4), storer(COMPUTE, COMPUTE, 4)


@cfunc("void(int64, int64, CPointer(int64))", **OPTIONS)
def run_units(begin, end, frame):
    """Do a range of units' part of a pass; the frame is that of `layout.FRAME`.

    The first pass finds the sums of squares of parameter and direction, and the least and the largest average; the
    second writes.
    """
    stage, units, addresses, groups = frame[0], integers_at(frame[1]), integers_at(frame[3]), integers_at(frame[4])
    numbers, sums, results = floats_at(frame[5]), floats_at(frame[7]), floats_at(frame[8])
    for u in range(begin, end):
        unit = u * VECTOR_COLUMNS
        k = units[unit]
        place, s, result = k * ADDRESS_COLUMNS, groups[k] * NUMBER_COLUMNS, k * RESULT_COLUMNS
        a_w, a_g, a_f, a_m = addresses[place], addresses[place + 1], addresses[place + 3], addresses[place + 4]
        scale, memory, eps = C(numbers[s + SCALE]), numbers[s + MEMORY], numbers[s + EPS]
        kept, new = C(numbers[s + KEPT]), C(1.0 - numbers[s + KEPT])
        shrinking, length = C(results[result + SHRINKING]), C(results[result + LENGTH])
        unscaling, scaling = results[result + UNSCALING], results[result + SCALING]
        weight, direction, low, high = 0.0, 0.0, np.inf, 0.0
        for i in range(units[unit + 1], units[unit + 2]):
            g = np.float64(_load_g(a_g, i) * scale)
            moment = np.float64(_load_f(a_f, i))
            if HALVED:
                moment *= unscaling
            moment = memory * moment + (1.0 - memory) * (g * g + eps)
            # Zero is the average where every gradient has been zero.
            step = C(g / np.sqrt(moment)) if moment != 0.0 else C(0.0)
            w = _load_w(a_w, i)
            if stage == 0:
                direction = accumulate(direction, np.float64(step) * np.float64(step))
                weight = accumulate(weight, np.float64(w) * np.float64(w))
                if HALVED:
                    low = moment if moment < low else low
                    high = moment if moment > high else high
                continue
            change = length * step
            if AVERAGED:
                change = kept * _load_m(a_m, i) + new * change
                _store_m(a_m, i, change)
            _store_w(a_w, i, w - (shrinking * w + change))
            if HALVED:
                moment *= scaling
            # One that is finite but beyond the dtype becomes the largest number there.
            _store_f(a_f, i, F(LARGEST) if LARGEST < moment < np.inf else F(moment))
        if stage == 0:
            at = u * SUM_COLUMNS
            sums[at], sums[at + 1], sums[at + 2], sums[at + 3] = weight, direction, low, high

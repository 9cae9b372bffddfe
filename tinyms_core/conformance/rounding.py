"""The floating-point dtypes as arithmetic: rounding to them, and their unit in the last place."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Bits of the significand with the hidden one, smallest and largest exponent (as of 2 ** e <= x < 2 ** (e + 1)).
_FORMATS: Final = {
    "float64": (53, -1022, 1023),
    "float32": (24, -126, 127),
    "float16": (11, -14, 15),
    "bfloat16": (8, -126, 127),
}
NARROW: Final = ("float16", "bfloat16")


def state_dtype(dtype: str) -> str:
    """The dtype that the contract gives to the state of a parameter."""
    return "float64" if dtype == "float64" else "float32"


def unit(values: Any, dtype: str) -> Array:
    """The unit in the last place of each value, in a dtype."""
    precision, smallest, _ = _FORMATS[dtype]
    _, exponent = np.frexp(np.asarray(values, np.float64))
    return np.asarray(np.ldexp(1.0, np.maximum(exponent - 1, smallest) - precision + 1), np.float64)


def rounded(values: Any, dtype: str) -> Array:
    """Each value, rounded to the nearest of a dtype, ties to even, and given back in float64."""
    wide = np.asarray(values, np.float64)
    if dtype == "float64":
        return wide.copy()
    _, _, largest = _FORMATS[dtype]
    finite = np.where(np.isfinite(wide), wide, 0.0)
    step = unit(finite, dtype)
    nearest = np.rint(finite / step) * step
    nearest = np.where(np.abs(nearest) >= 2.0 ** (largest + 1), np.copysign(np.inf, nearest), nearest)
    return np.asarray(np.where(np.isfinite(wide), nearest, wide), np.float64)

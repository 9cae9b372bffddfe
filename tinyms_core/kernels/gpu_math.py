"""The mathematical functions of generated GPU kernels, by the names that the table of functions spells them with.

On a device they are those of the standard library, which numba compiles for it in float32 and in float64. numba's
CUDA simulator calls them as they are: there they are numpy's, which keep float32 and give NaN where the others raise.
"""

from __future__ import annotations

import math

import numpy as np

from tinyms_core.kernels.gpu_memory import SIMULATED

if SIMULATED:
    sqrt, exp, log, expm1, log1p = np.sqrt, np.exp, np.log, np.expm1, np.log1p
else:
    sqrt, exp, log, expm1, log1p = math.sqrt, math.exp, math.log, math.expm1, math.log1p  # type: ignore[assignment]

"""Muon's kernel on the CPU: matrices one by one with BLAS, all other parameters in one fused pass."""

from collections.abc import Mapping
from math import prod, sqrt
from typing import Any

import numpy as np

from tinyms_core import math, on_arrays, rule
from tinyms_core.kernels.parts import by_rule, divided

# What a momentum is divided by is never less, so that one of zero stays zero.
SMALLEST_NORM = 1e-7


def is_matrix(shape: tuple[int, ...], hyperparameters: Mapping[str, Any]) -> bool:
    """Whether a parameter's momentum is made orthogonal."""
    return bool(hyperparameters["orthogonal"]) and len(shape) > 1


def step_size(rows: int, columns: int, match_adamw: bool) -> float:
    """What an orthogonal matrix is multiplied by, beside the rate."""
    return 0.2 * sqrt(max(rows, columns)) if match_adamw else sqrt(max(1.0, rows / columns))


def matrix_step(
    w: Any, g: Any, m: Any, v: Any, lr: Any, t: Any, weight_decay: Any, momentum: Any, nesterov: Any, ns_steps: Any,
    ns_coefficients: Any, orthogonal: Any, match_adamw: Any, adamw_scale: Any, adamw_beta1: Any, adamw_beta2: Any,
    adamw_eps: Any,
) -> Any:  # fmt: skip
    """One step of one parameter of two or more dimensions, in numpy."""
    if w.size == 0:
        return w, m, v
    kind = w.dtype.type
    m = kind(momentum) * m + kind(1.0 - momentum) * g
    ahead = kind(momentum) * m + kind(1.0 - momentum) * g if nesterov else m
    matrix = ahead.reshape(w.shape[0], -1)
    size = lr * step_size(*matrix.shape, match_adamw)
    step = orthogonalised(matrix, ns_steps, ns_coefficients).reshape(w.shape)
    step *= kind(size)
    step += kind(lr * weight_decay) * w
    return w - step, m, v


def orthogonalised(matrix: Any, steps: int, coefficients: tuple[float, float, float]) -> Any:
    """A matrix with all singular values near 1, by Newton and Schulz's iteration of the fifth order."""
    kind = matrix.dtype.type
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    # In float64, where no square of a float32 is too large or too small.
    norm = float(np.sqrt(np.einsum("ij,ij->", x, x, dtype=np.float64)))
    x = x * kind(1.0 / max(norm, SMALLEST_NORM))
    first, second, third = (kind(c) for c in coefficients)
    # The same memory serves in every round; a matrix may be large.
    gram, polynomial, change = np.empty((len(x), len(x)), kind), np.empty((len(x), len(x)), kind), np.empty_like(x)
    for _ in range(steps):
        np.matmul(x, x.T, out=gram)
        np.matmul(gram, gram, out=polynomial)
        polynomial *= third
        gram *= second
        polynomial += gram
        np.matmul(polynomial, x, out=change)
        x *= first
        x += change
    return x.T if tall else x


def matrix_flops(shape: tuple[int, ...], hyperparameters: Mapping[str, Any]) -> int:
    """Operations of the products of `orthogonalised`: in each round one of the matrix with itself, and two more."""
    if 0 in shape:
        return 0
    short, long = sorted((shape[0], prod(shape[1:])))
    return int(hyperparameters["ns_steps"]) * (4 * short**2 * long + 2 * short**3)


@rule(state=("m", "v"))
def adamw(w, g, m, v, lr, t, weight_decay, match_adamw, adamw_scale, adamw_beta1, adamw_beta2, adamw_eps):
    """AdamW, for all other parameters."""
    if match_adamw:
        rate = lr
    else:
        rate = lr * adamw_scale
    root = math.sqrt(1 - adamw_beta2**t)
    m = adamw_beta1 * m + (1 - adamw_beta1) * g
    v = adamw_beta2 * v + (1 - adamw_beta2) * g * g
    change = rate * root / (1 - adamw_beta1**t) * m / (math.sqrt(v) + adamw_eps * root)
    return w - (rate * weight_decay * w + change), m, v


KERNEL = divided(is_matrix, on_arrays(matrix_step, matrix_flops), by_rule(adamw))

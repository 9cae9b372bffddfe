"""Muon in float64 numpy, apart from the kernels: what these are compared with.

Where the kernels multiply matrices, this one takes the singular values of the momentum and moves them, each by
itself, as the products do.
"""

from typing import Any

import numpy as np


def reference(
    w: Any,
    g: Any,
    state: dict[str, Any],
    *,
    lr: float,
    t: int,
    weight_decay: float,
    momentum: float,
    nesterov: bool,
    ns_steps: int,
    ns_coefficients: tuple[float, float, float],
    orthogonal: bool,
    match_adamw: bool,
    adamw_scale: float,
    adamw_beta1: float,
    adamw_beta2: float,
    adamw_eps: float,
) -> tuple[Any, dict[str, Any]]:
    """One step on float64 arrays; returns the new parameter and the new state."""
    if w.ndim < 2 or not orthogonal:
        rate = lr if match_adamw else lr * adamw_scale
        first = adamw_beta1 * state["m"] + (1.0 - adamw_beta1) * g
        second = adamw_beta2 * state["v"] + (1.0 - adamw_beta2) * np.square(g)
        root = np.sqrt(second / (1.0 - adamw_beta2**t)) + adamw_eps
        step = first / (1.0 - adamw_beta1**t) / root
        return w - rate * weight_decay * w - rate * step, {"m": first, "v": second}
    if w.size == 0:
        return w, dict(state)
    average = momentum * state["m"] + (1.0 - momentum) * g
    ahead = momentum * average + (1.0 - momentum) * g if nesterov else average
    matrix = ahead.reshape(w.shape[0], -1)
    rows, columns = matrix.shape
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    values = values / max(float(np.sqrt(np.sum(np.square(values)))), 1e-7)
    a, b, c = ns_coefficients
    for _ in range(ns_steps):
        values = values * (a + b * values**2 + c * values**4)
    size = 0.2 * max(rows, columns) ** 0.5 if match_adamw else max(1.0, rows / columns) ** 0.5
    step = size * ((left * values) @ right).reshape(w.shape)
    return (1.0 - lr * weight_decay) * w - lr * step, {"m": average, "v": state["v"]}

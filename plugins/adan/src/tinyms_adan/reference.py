"""Adan in float64 numpy, written from the paper and apart from the rule: what the kernels are compared with."""

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
    beta1: float,
    beta2: float,
    beta3: float,
    eps: float,
    no_prox: bool,
) -> tuple[Any, dict[str, Any]]:
    """One step on float64 arrays; returns the new parameter and the new state."""
    before = g if t == 1 else state["previous"]
    first = beta1 * state["m"] + (1.0 - beta1) * g
    change = beta2 * state["d"] + (1.0 - beta2) * (g - before)
    second = beta3 * state["n"] + (1.0 - beta3) * np.square(g + beta2 * (g - before))
    size = lr / (np.sqrt(second / (1.0 - beta3**t)) + eps)
    step = size * (first / (1.0 - beta1**t) + beta2 * change / (1.0 - beta2**t))
    moved = (1.0 - lr * weight_decay) * w - step if no_prox else (w - step) / (1.0 + lr * weight_decay)
    return moved, {"m": first, "d": change, "n": second, "previous": g}

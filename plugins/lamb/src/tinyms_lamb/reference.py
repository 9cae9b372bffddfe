"""Lamb in float64 numpy, written from the paper and apart from the rule: what the kernels are compared with."""

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
    eps: float,
) -> tuple[Any, dict[str, Any]]:
    """One step on float64 arrays; returns the new parameter and the new state."""
    first = beta1 * state["m"] + (1.0 - beta1) * g
    second = beta2 * state["v"] + (1.0 - beta2) * np.square(g)
    unbiased = first / (1.0 - beta1**t)
    spread = np.sqrt(second / (1.0 - beta2**t))
    direction = unbiased / (spread + eps) + weight_decay * w
    weight_length, direction_length = np.linalg.norm(np.ravel(w)), np.linalg.norm(np.ravel(direction))
    trust = weight_length / direction_length if weight_length > 0 and direction_length > 0 else 1.0
    return w - lr * trust * direction, {"m": first, "v": second}

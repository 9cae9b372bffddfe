"""Lion in float64 numpy, written from the paper and apart from the rule: what the kernels are compared with."""

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
) -> tuple[Any, dict[str, Any]]:
    """One step on float64 arrays; returns the new parameter and the new state."""
    interpolated = state["m"] * beta1 + g * (1.0 - beta1)
    update = np.sign(interpolated) + weight_decay * w
    return w - lr * update, {"m": state["m"] * beta2 + g * (1.0 - beta2)}

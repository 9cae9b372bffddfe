"""Adam in float64 numpy, apart from the rule: what the kernels are compared with."""

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
    use_locking: bool,
    use_nesterov: bool,
) -> tuple[Any, dict[str, Any]]:
    """One step on float64 arrays; returns the new parameter and the new state."""
    first = beta1 * state["m"] + (1.0 - beta1) * g
    second = beta2 * state["v"] + (1.0 - beta2) * np.square(g)
    numerator = beta1 * first + (1.0 - beta1) * g if use_nesterov else first
    size = lr * np.sqrt(1.0 - beta2**t) / (1.0 - beta1**t)
    moved = w - size * numerator / (np.sqrt(second) + eps)
    return moved, {"m": first, "v": second, "beta1_power": beta1**t, "beta2_power": beta2**t}

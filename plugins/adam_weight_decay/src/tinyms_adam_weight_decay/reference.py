"""Adam with decoupled weight decay in float64 numpy, apart from the rule: what the kernels are compared with."""

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
    decayed = (1.0 - lr * weight_decay) * w
    return decayed - lr * first / (np.sqrt(second) + eps), {"m": first, "v": second}

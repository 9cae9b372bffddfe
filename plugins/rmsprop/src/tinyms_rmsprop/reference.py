"""RMSProp in float64 numpy, apart from the rule: what the kernels are compared with."""

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
    decay: float,
    momentum: float,
    epsilon: float,
    use_locking: bool,
    centered: bool,
) -> tuple[Any, dict[str, Any]]:
    """One step on float64 arrays; returns the new parameter and the new state."""
    square = (1.0 - decay) * np.square(g) + decay * state["s"]
    mean = (1.0 - decay) * g + decay * state["mean"] if centered else state["mean"]
    spread = square - np.square(mean) + epsilon if centered else square + epsilon
    good = spread > 0 if centered else np.full(np.shape(g), True)
    step = momentum * state["buffer"] + lr * g * spread**-0.5
    buffer = np.where(good, step, state["buffer"])
    return np.where(good, w - step, w), {"s": square, "buffer": buffer, "mean": mean}

"""Stochastic gradient descent in float64 numpy, apart from the rule: what the kernels are compared with."""

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
    dampening: float,
    nesterov: bool,
) -> tuple[Any, dict[str, Any]]:
    """One step on float64 arrays; returns the new parameter and the new state."""
    if momentum == 0:
        return w - lr * g, dict(state)
    velocity = momentum * state["v"] + g - dampening * g
    # The first gradient is taken whole.
    velocity = np.where(state["stat"] > 0, g, velocity)
    direction = g + momentum * velocity if nesterov else velocity
    return w - lr * direction, {"v": velocity, "stat": np.zeros_like(state["stat"])}

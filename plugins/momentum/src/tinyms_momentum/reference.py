"""Momentum in float64 numpy, written from the paper and apart from the rule: what the kernels are compared with."""

from typing import Any


def reference(
    w: Any,
    g: Any,
    state: dict[str, Any],
    *,
    lr: float,
    t: int,
    weight_decay: float,
    momentum: float,
    use_nesterov: bool,
) -> tuple[Any, dict[str, Any]]:
    """One step on float64 arrays; returns the new parameter and the new state."""
    velocity = momentum * state["v"] + g
    direction = g + momentum * velocity if use_nesterov else velocity
    return w - lr * direction, {"v": velocity}

"""FTRL in float64 numpy, apart from the rule: what the kernels are compared with."""

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
    initial_accum: float,
    lr_power: float,
    l1: float,
    l2: float,
    use_locking: bool,
) -> tuple[Any, dict[str, Any]]:
    """One step on float64 arrays; returns the new parameter and the new state."""
    total = state["a"] + np.square(g)
    old_strength = state["a"] ** -lr_power / lr
    new_strength = total**-lr_power / lr
    linear = state["u"] + (g - (new_strength - old_strength) * w)
    denominator = new_strength + 2.0 * l2
    # Soft thresholding: what l1 leaves of the sum, against its sign.
    excess = np.maximum(np.abs(linear) - l1, 0.0)
    quotient = np.divide(excess, denominator, out=np.zeros_like(excess), where=denominator > 0)
    return -np.sign(linear) * quotient, {"a": total, "u": linear}

"""FTRL in float64 numpy, apart from the rule: what the kernels are compared with.

The strengths, of which it takes a difference, are in the widest float of numpy: where gradients are small beside what
has been accumulated, a difference of float64 numbers has lost the digits that a kernel in float64 is compared in.
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
    initial_accum: float,
    lr_power: float,
    l1: float,
    l2: float,
    use_locking: bool,
) -> tuple[Any, dict[str, Any]]:
    """One step on float64 arrays; returns the new parameter and the new state."""
    before = np.asarray(state["a"], np.longdouble)
    after = before + np.square(np.asarray(g, np.longdouble))
    old_strength = before**-lr_power / lr
    new_strength = after**-lr_power / lr
    growth = np.asarray(new_strength - old_strength, np.float64)
    new_strength, total = np.asarray(new_strength, np.float64), np.asarray(after, np.float64)
    linear = state["u"] + (g - growth * w)
    denominator = new_strength + 2.0 * l2
    # Soft thresholding: what l1 leaves of the sum, against its sign.
    excess = np.maximum(np.abs(linear) - l1, 0.0)
    quotient = np.divide(excess, denominator, out=np.zeros_like(excess), where=denominator > 0)
    return -np.sign(linear) * quotient, {"a": total, "u": linear}

"""ProximalAdagrad in float64 numpy, apart from the rule: what the kernels are compared with."""

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
    accum: float,
    l1: float,
    l2: float,
    use_locking: bool,
) -> tuple[Any, dict[str, Any]]:
    """One step on float64 arrays; returns the new parameter and the new state."""
    total = state["h"] + np.square(g)
    root = np.sqrt(total)
    forward = w - lr * np.divide(g, root, out=np.zeros_like(root), where=root > 0)
    # The minimum of (x - forward)^2 / 2 + lr * (l1 * |x| + l2 * x^2 / 2), element by element.
    threshold = lr * l1
    kept = np.where(forward > threshold, forward - threshold, np.where(forward < -threshold, forward + threshold, 0.0))
    return kept / (1.0 + lr * l2), {"h": total}

"""Adagrad in float64 numpy, apart from the rule: what the kernels are compared with."""

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
    update_slots: bool,
) -> tuple[Any, dict[str, Any]]:
    """One step on float64 arrays; returns the new parameter and the new state."""
    total = state["h"] + np.square(g) if update_slots else state["h"]
    root = np.sqrt(total)
    return w - lr * np.divide(g, root, out=np.zeros_like(root), where=root > 0), {"h": total}

"""AdamW in float64 numpy, written from the paper and apart from the rule: what the kernels are compared with."""

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
    amsgrad: bool,
) -> tuple[Any, dict[str, Any]]:
    """One step on float64 arrays; returns the new parameter and the new state."""
    first = beta1 * state["m"] + (1.0 - beta1) * g
    second = beta2 * state["v"] + (1.0 - beta2) * np.square(g)
    new = {"m": first, "v": second}
    if amsgrad:
        new["largest"] = second = np.maximum(state["largest"], second)
    decayed = w * (1.0 - lr * weight_decay)
    corrected = first / (1.0 - beta1**t), second / (1.0 - beta2**t)
    return decayed - lr * corrected[0] / (np.sqrt(corrected[1]) + eps), new

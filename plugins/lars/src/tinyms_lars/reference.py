"""LARS in float64 numpy, written from the paper and apart from the rule: what the kernels are compared with."""

from typing import Any

import numpy as np


def reference(
    w: Any,
    g: Any,
    *,
    lr: float,
    t: int,
    weight_decay: float,
    name: str,
    epsilon: float,
    coefficient: float,
    use_clip: bool,
    lars_filter: Any,
) -> Any:
    """The gradient that the wrapped optimizer's update sees, or None where it takes its ordinary path."""

    class Named:
        pass

    asked: Any = Named()
    asked.name = name
    if not lars_filter(asked):
        return None
    length = np.sqrt(np.sum(np.square(w)))
    trust = 1.0
    if length > 0.0:
        trust = coefficient * length / (np.sqrt(np.sum(np.square(g))) + weight_decay * length + epsilon)
    if use_clip:
        trust = 1.0 if lr == 0.0 else np.minimum(trust / lr, 1.0)
    return trust * (g + weight_decay * w)

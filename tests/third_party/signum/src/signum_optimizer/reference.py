"""Signum in float64 numpy."""

import numpy as np


def reference(w, g, state, *, lr, t, weight_decay, beta):
    """One step; returns the new parameter and the new state."""
    momentum = beta * state["m"] + (1.0 - beta) * g
    return w - lr * np.sign(momentum) - lr * weight_decay * w, {"m": momentum}

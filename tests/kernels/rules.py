"""Update rules that exercise every part of the rule language."""

from __future__ import annotations

import numpy as np

from tinyms_core import math, rule

SCALE = 0.5


@rule()
def descent(w, g, lr):
    return w - lr * g


@rule(state=("m", "v", "power"))
def adaptive(w, g, m, v, power, lr, t, beta, eps, ahead):
    """Scalars of every kind, a static condition, scalar state."""
    power = beta**t
    m = beta * m + (1 - beta) * g
    v = beta * v + (1 - beta) * g**2
    if ahead:
        direction = beta * m + (1 - beta) * g
    else:
        direction = m
    w -= lr * math.sqrt(1 - power) / (1 - power) * direction / (math.sqrt(v) + eps)
    return w, m, v, power


@rule(state=("m",))
def layerwise(w, g, m, lr, weight_decay, beta):
    """Two norms, a condition between tensor scalars, a state that a later pass loads again."""
    m = beta * m + g
    update = m + weight_decay * w
    w_norm = math.norm(w)
    u_norm = math.norm(update)
    ratio = w_norm / u_norm if (w_norm > 0) & (u_norm > 0) else 1.0
    return w - lr * ratio * update, m


@rule(state=("h",))
def clipped(w, g, h, lr, limit):
    """Reductions that depend on reductions: three passes."""
    h = h + g * g
    step = g / math.sqrt(h)
    size = math.root_mean_square(step)
    step = step / math.maximum(1.0, size / limit)
    center = math.mean(step)
    return w - lr * (step - center) * math.total(w * 0 + 1) / math.total(w * 0 + 1), h


@rule(state=("z",))
def piecewise(w, g, z, lr, l1):
    """Conditions on elements, signs, a module constant, synonyms of the standard library and numpy."""
    z = z + SCALE * g
    shrunk = np.sign(z) * np.maximum(abs(z) - l1, 0.0)
    w = math.where((z > 0) & (z <= 3) | (z < -1), w - lr * shrunk, w * 0.99)
    return w, z


HYPERPARAMETERS = {
    "descent": {},
    "adaptive": {"beta": 0.9, "eps": 1e-6, "ahead": True},
    "layerwise": {"beta": 0.8},
    "clipped": {"limit": 0.7},
    "piecewise": {"l1": 0.1},
}
RULES = [descent, adaptive, layerwise, clipped, piecewise]

"""Lamb's update rule, from which its kernels are derived."""

from tinyms_core import math, rule


@rule(state=("m", "v"))
def lamb(w, g, m, v, lr, weight_decay, t, beta1, beta2, eps):
    """The norms are over the whole tensor; where either is zero the step keeps its own length."""
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    corrected = 1 / (1 - beta1**t) * m / (math.sqrt(1 / (1 - beta2**t) * v) + eps)
    update = corrected + weight_decay * w
    weight_norm = math.norm(w)
    update_norm = math.norm(update)
    ratio = math.where((weight_norm > 0) & (update_norm > 0), weight_norm / update_norm, 1.0)
    return w - lr * ratio * update, m, v

"""Lazy Adam's update rule, from which its kernels are derived."""

from tinyms_core import math, rule


@rule(state=("m", "v", "beta1_power", "beta2_power"))
def lazy_adam(w, g, m, v, beta1_power, beta2_power, lr, t, beta1, beta2, eps, use_nesterov):
    """m and v are moving averages; the rate corrects their bias towards their start at zero."""
    beta1_power = beta1**t
    beta2_power = beta2**t
    rate = lr * math.sqrt(1 - beta2_power) / (1 - beta1_power)
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    if use_nesterov:
        w = w - rate * (beta1 * m + (1 - beta1) * g) / (math.sqrt(v) + eps)
    else:
        w = w - rate * m / (math.sqrt(v) + eps)
    return w, m, v, beta1_power, beta2_power

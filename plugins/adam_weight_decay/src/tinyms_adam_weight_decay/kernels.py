"""The update rule of Adam with decoupled weight decay, from which its kernels are derived."""

from tinyms_core import math, rule


@rule(state=("m", "v"))
def adam_weight_decay(w, g, m, v, lr, weight_decay, beta1, beta2, eps):
    """m and v are moving averages, used as they are; the decay joins the step after their quotient."""
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    update = m / (math.sqrt(v) + eps) + weight_decay * w
    return w - lr * update, m, v

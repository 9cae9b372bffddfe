"""Lion's update rule, from which its kernels are derived."""

from tinyms_core import math, rule


@rule(state=("m",))
def lion(w, g, m, lr, weight_decay, beta1, beta2):
    """The step's direction and the momentum that is kept are two averages of the same numbers."""
    direction = math.sign(beta1 * m + (1 - beta1) * g)
    m = beta2 * m + (1 - beta2) * g
    w = w - (lr * direction + lr * weight_decay * w)
    return w, m

"""Adan's update rule, from which its kernels are derived."""

from tinyms_core import math, rule


@rule(state=("m", "d", "n", "previous"))
def adan(w, g, m, d, n, previous, lr, t, weight_decay, beta1, beta2, beta3, eps, no_prox):
    """m, d and n are moving averages of gradients, of their differences, and of the squares that both make."""
    # Before the first step there was no gradient, from which the first could differ.
    difference = math.where(t > 1, g - previous, 0)
    ahead = g + beta2 * difference
    m = beta1 * m + (1 - beta1) * g
    d = beta2 * d + (1 - beta2) * difference
    n = beta3 * n + (1 - beta3) * ahead * ahead
    root = math.sqrt(1 - beta3**t)
    along = lr * root / (1 - beta1**t) * m + lr * root * beta2 / (1 - beta2**t) * d
    change = along / (math.sqrt(n) + eps * root)
    if no_prox:
        w = w - (lr * weight_decay * w + change)
    else:
        # Divided by 1 + lr * weight_decay, whose last digits float32 would not hold.
        moved = w - change
        w = moved - lr * weight_decay / (1 + lr * weight_decay) * moved
    return w, m, d, n, g

"""The update rule of AdamW, from which its kernels are derived."""

from tinyms_core import math, rule


@rule(state=("m", "v", "largest"))
def adamw(w, g, m, v, largest, lr, t, weight_decay, beta1, beta2, eps, amsgrad):
    """m and v are moving averages, corrected for their start at zero; with amsgrad, largest is the maximum of v."""
    # Both corrections are numbers of the step: v's leaves the root, so that eps is added to what it was meant for.
    root = math.sqrt(1 - beta2**t)
    rate = lr * root / (1 - beta1**t)
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    if amsgrad:
        largest = math.maximum(largest, v)
        change = rate * m / (math.sqrt(largest) + eps * root)
    else:
        change = rate * m / (math.sqrt(v) + eps * root)
    # Decay and step are subtracted together: the weight is rounded once.
    w = w - (lr * weight_decay * w + change)
    return w, m, v, largest

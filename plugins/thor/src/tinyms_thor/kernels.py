"""The update of THOR for gradients that are preconditioned and decayed already, from which its kernels are derived."""

from tinyms_core import math, rule


@rule(state=("v",))
def thor(w, g, v, lr, momentum, use_nesterov, enable_clip_grad):
    """The norm is of the whole tensor; clipping keeps it at 1 or below."""
    if enable_clip_grad:
        g = g / math.maximum(math.norm(g), 1.0)
    v = momentum * v + g
    if use_nesterov:
        w = w - lr * (g + momentum * v)
    else:
        w = w - lr * v
    return w, v

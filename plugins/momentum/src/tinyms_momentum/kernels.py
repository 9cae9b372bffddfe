"""Momentum's update rule, from which its kernels are derived."""

from tinyms_core import rule


@rule(state=("v",))
def momentum(w, g, v, lr, momentum, use_nesterov):
    """v is the running sum; Nesterov looks one step ahead along it."""
    v = momentum * v + g
    if use_nesterov:
        w = w - lr * (g + momentum * v)
    else:
        w = w - lr * v
    return w, v

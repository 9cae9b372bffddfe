"""Adagrad's update rule, from which its kernels are derived."""

from tinyms_core import math, rule


@rule(state=("h",))
def adagrad(w, g, h, lr, update_slots):
    """h sums squared gradients."""
    if update_slots:
        h = h + g * g
    # Where nothing has been accumulated there is nothing to divide by.
    w = w - math.where(h > 0, lr * g / math.sqrt(h), 0)
    return w, h

"""ProximalAdagrad's update rule, from which its kernels are derived."""

from tinyms_core import math, rule


@rule(state=("h",))
def proximal_adagrad(w, g, h, lr, l1, l2):
    """h sums squared gradients; the gradient's step comes first, then the regularization's."""
    h = h + g * g
    # Where nothing has been accumulated the gradient is zero, and 0 / 0 is no step.
    moved = w - math.where(h > 0, lr * g / math.sqrt(h), 0)
    kept = math.sign(moved) * math.maximum(math.absolute(moved) - lr * l1, 0)
    # The same as kept / (1 + lr * l2), whose rounding, a little more than 1, would add up over the steps.
    w = kept - lr * l2 / (1 + lr * l2) * kept
    return w, h

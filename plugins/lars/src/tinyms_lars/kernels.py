"""The factor of LARS, from which its kernels are derived."""

from tinyms_core import math, rule


@rule()
def lars(w, g, lr, weight_decay, epsilon, coefficient, use_clip):
    """The norms are over the whole tensor; weights of zero keep their gradient, or they would never move."""
    weight_norm = math.norm(w)
    ratio = coefficient * weight_norm / (math.norm(g) + weight_decay * weight_norm + epsilon)
    ratio = math.where(weight_norm > 0, ratio, 1.0)
    if use_clip:
        # Over a rate of zero this is infinite, and the minimum 1.
        ratio = math.minimum(ratio / lr, 1.0)
    return ratio

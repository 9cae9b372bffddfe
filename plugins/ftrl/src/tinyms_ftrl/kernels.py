"""FTRL's update rule, from which its kernels are derived."""

from tinyms_core import math, rule


@rule(state=("a", "u"))
def ftrl(w, g, a, u, lr, lr_power, l1, l2):
    """a sums squared gradients; u sums gradients, less what the growth of a adds to the pull towards w."""
    square = g * g
    total = a + square
    # Once a step instead of twice an element; a rate of zero, set while training, divides by zero: infinity.
    per_rate = math.where(lr > 0, 1 / lr, 1e308 * 10)
    # The growth is small beside the power it is the growth of, so it is not computed as a difference.
    if lr_power == -0.5:
        # A root is several times faster than a power, and this is the usual exponent.
        after = math.sqrt(total)
        growth = math.where(total > 0, square / (math.sqrt(a) + after), 0)
    else:
        before = math.power(a, -lr_power)
        precise = before * math.expm1(-lr_power * math.log1p(square / a))
        growth = math.where(square < a, precise, math.power(total, -lr_power) - before)
        after = before + growth
    strength = after * per_rate + 2 * l2
    # Only a finite number less itself is zero: an element whose sum has overflowed keeps its weight.
    finite = strength - strength
    u = math.where(finite == 0, u + g - growth * per_rate * w, u)
    # A gradient whose square underflows, with nothing accumulated, leaves no strength to divide by.
    shrunk = math.where((math.absolute(u) > l1) & (strength > 0), (math.sign(u) * l1 - u) / strength, 0)
    w = math.where(finite == 0, shrunk, w)
    return w, total, u

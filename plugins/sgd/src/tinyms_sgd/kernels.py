"""The update rule of stochastic gradient descent, from which its kernels are derived."""

from tinyms_core import math, rule


@rule(state=("v", "stat"))
def sgd(w, g, v, stat, lr, momentum, dampening, nesterov):
    """v is the running sum, stat is positive until v holds its first gradient; without momentum both rest."""
    # The momentum may change while training, so what depends on it is chosen in each step.
    summed = math.where(stat > 0, g, momentum * v + (1 - dampening) * g)
    if nesterov:
        direction = g + momentum * summed
    else:
        direction = summed
    w = w - lr * math.where(momentum > 0, direction, g)
    v = math.where(momentum > 0, summed, v)
    stat = math.where(momentum > 0, 0, stat)
    return w, v, stat

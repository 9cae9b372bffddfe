"""RMSProp's update rule, from which its kernels are derived."""

from tinyms_core import math, rule


@rule(state=("s", "buffer", "mean"))
def rmsprop(w, g, s, buffer, mean, lr, decay, momentum, epsilon, centered):
    """s and mean are moving averages of the squared gradient and of the gradient; buffer is the last step."""
    # Moved towards the new value, an average does not drift with the rounding of its two weights, of which the
    # difference below would make more. Where the old value counts for little, the move would cost digits.
    if decay >= 0.5:
        s = s + (1 - decay) * (g * g - s)
    else:
        s = decay * s + (1 - decay) * g * g
    if centered:
        if decay >= 0.5:
            mean = mean + (1 - decay) * (g - mean)
        else:
            mean = decay * mean + (1 - decay) * g
        variance = s - mean * mean + epsilon
        moved = momentum * buffer + lr * g / math.sqrt(variance)
        # Rounding can make the difference of the two averages negative; such an element waits.
        w = math.where(variance > 0, w - moved, w)
        buffer = math.where(variance > 0, moved, buffer)
    else:
        buffer = momentum * buffer + lr * g / math.sqrt(s + epsilon)
        w = w - buffer
    return w, s, buffer, mean

"""The rule and the class."""

from signum_optimizer import SPEC
from tinyms_core import Optimizer, math, rule


@rule(state=("m",))
def signum(w, g, m, lr, weight_decay, beta):
    """A step of fixed length along the sign of the average gradient."""
    m = beta * m + (1 - beta) * g
    return w - lr * (math.sign(m) + weight_decay * w), m


class Signum(Optimizer):
    r"""Signum: :math:`w \leftarrow w - \eta(\operatorname{sign}(m) + \lambda w)`.

    Arguments:
        params: Parameters, or group dicts.
        learning_rate: length of a step.
        beta: decay rate of the momentum, in [0, 1).
        weight_decay: decoupled decay, >= 0.
        loss_scale: what gradients are divided by, > 0.
    """

    spec = SPEC
    rule = signum

    def __init__(self, params, learning_rate=1e-3, beta=0.9, weight_decay=0.0, loss_scale=1.0):
        super().__init__(learning_rate, params, weight_decay, loss_scale, hyperparameters={"beta": beta})

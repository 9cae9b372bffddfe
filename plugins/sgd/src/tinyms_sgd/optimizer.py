"""The SGD optimizer."""

from numbers import Real
from typing import Any

from tinyms_core import Optimizer
from tinyms_sgd import SPEC
from tinyms_sgd.kernels import sgd as sgd_rule


class SGD(Optimizer):
    r"""Stochastic gradient descent, with momentum on demand.

    .. math::
        v_1 = g_1, \qquad
        v_t = \mu v_{t-1} + (1 - d) g_t, \qquad
        w_t = w_{t-1} - \eta v_t
        \quad\text{or, with nesterov,}\quad
        w_t = w_{t-1} - \eta (g_t + \mu v_t)

    Without momentum, :math:`\mu = 0`, it is :math:`w_t = w_{t-1} - \eta g_t`, whatever the dampening.

    Arguments:
        params: Parameters, or group dicts with ``params``, ``lr``, ``weight_decay``,
            ``grad_centralization``, and one with ``order_params``.
        learning_rate: :math:`\eta`, float or int >= 0, Tensor, iterable of rates, or LearningRateSchedule.
        momentum: :math:`\mu`, float or int >= 0. It is held in a Parameter, so a checkpoint brings it along.
        dampening: :math:`d`, how much of each gradient after the first is left out, float or int >= 0.
        weight_decay: L2 penalty added to the gradient, float or int >= 0, or a Cell of the step.
        nesterov: whether the step looks ahead along the new momentum; it needs momentum > 0 and no dampening.
        loss_scale: what the gradients are divided by, float or int > 0.

    Returns:
        Each call with a tuple of gradients, shaped as the parameters, returns a Tensor True.

    Raises:
        TypeError: an argument of a wrong type.
        ValueError: an argument out of range, or ``nesterov`` without momentum or with dampening.

    Example:
        >>> import tinyms_core
        >>> from tinyms_core.examples import parameter, tensor
        >>> w = parameter("w", [1.0])
        >>> optimizer = tinyms_core.get_optimizer("sgd")([w], learning_rate=0.5, momentum=0.5)
        >>> bool(optimizer((tensor([1.0]),))), bool(optimizer((tensor([1.0]),)))
        (True, True)
        >>> w.asnumpy().round(6).tolist()
        [-0.25]

    Source:
        Sutskever, Martens, Dahl, Hinton: On the importance of initialization and momentum in deep
        learning, ICML 2013.
    """

    spec = SPEC
    rule = sgd_rule
    returns = "one"

    def __init__(
        self,
        params: Any,
        learning_rate: Any = 0.1,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: Any = 0.0,
        nesterov: bool = False,
        loss_scale: float = 1.0,
    ) -> None:
        # A value of a wrong type is left to the base class, which names it.
        if nesterov is True and _is_number(momentum) and _is_number(dampening):
            if not momentum > 0:
                raise ValueError(f"sgd: 'nesterov' needs 'momentum' > 0, got momentum={momentum!r}")
            if dampening != 0:
                raise ValueError(f"sgd: 'nesterov' needs 'dampening' to be 0, got dampening={dampening!r}")
        super().__init__(
            learning_rate,
            params,
            weight_decay,
            loss_scale,
            hyperparameters={"momentum": momentum, "dampening": dampening, "nesterov": nesterov},
        )


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)

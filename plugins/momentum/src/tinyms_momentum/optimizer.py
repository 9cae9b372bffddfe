"""The Momentum optimizer."""

from typing import Any

from tinyms_core import Optimizer
from tinyms_momentum import SPEC
from tinyms_momentum.kernels import momentum as momentum_rule


class Momentum(Optimizer):
    r"""Gradient descent with momentum.

    .. math::
        v_{t} = \mu v_{t-1} + g_t, \qquad
        w_{t} = w_{t-1} - \eta v_t
        \quad\text{or, with use\_nesterov,}\quad
        w_{t} = w_{t-1} - \eta (g_t + \mu v_t)

    Arguments:
        params: Parameters, or group dicts with ``params``, ``lr``, ``weight_decay``,
            ``grad_centralization``, and one with ``order_params``.
        learning_rate: :math:`\eta`, float or int >= 0, Tensor, iterable of rates, or LearningRateSchedule.
        momentum: :math:`\mu`, a float >= 0. It is held in a Parameter, so a checkpoint brings it along.
        weight_decay: L2 penalty added to the gradient, float or int >= 0, or a Cell of the step.
        loss_scale: what the gradients are divided by, float or int > 0.
        use_nesterov: whether the step looks ahead along the new momentum.

    Returns:
        Each call with a tuple of gradients, shaped as the parameters, returns a tuple of True.

    Raises:
        TypeError: an argument of a wrong type; ``momentum`` must be a float.
        ValueError: an argument out of range.

    Example:
        >>> import tinyms_core
        >>> from tinyms_core.examples import parameter, tensor
        >>> w = parameter("w", [1.0])
        >>> optimizer = tinyms_core.get_optimizer("momentum")([w], learning_rate=0.5, momentum=0.5)
        >>> optimizer((tensor([1.0]),)), optimizer((tensor([1.0]),))
        ((True,), (True,))
        >>> w.asnumpy().tolist()
        [-0.25]

    Source:
        Sutskever, Martens, Dahl, Hinton: On the importance of initialization and momentum in deep
        learning, ICML 2013.
    """

    spec = SPEC
    rule = momentum_rule

    def __init__(
        self,
        params: Any,
        learning_rate: Any,
        momentum: float,
        weight_decay: Any = 0.0,
        loss_scale: float = 1.0,
        use_nesterov: bool = False,
    ) -> None:
        super().__init__(
            learning_rate,
            params,
            weight_decay,
            loss_scale,
            hyperparameters={"momentum": momentum, "use_nesterov": use_nesterov},
        )

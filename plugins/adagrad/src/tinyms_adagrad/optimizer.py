"""The Adagrad optimizer."""

from typing import Any

from tinyms_adagrad import SPEC
from tinyms_adagrad.kernels import adagrad as adagrad_rule
from tinyms_core import Optimizer


class Adagrad(Optimizer):
    r"""Gradients divided by the root of the sum of their squares.

    .. math::
        h_t = h_{t-1} + g_t^2, \qquad
        w_t = w_{t-1} - \frac{\eta g_t}{\sqrt{h_t}}

    Where :math:`h_t` is zero, the weight stays. Without ``update_slots`` the sum stays at its start.

    Arguments:
        params: Parameters, or group dicts with ``params``, ``lr``, ``weight_decay``,
            ``grad_centralization``, and one with ``order_params``.
        accum: :math:`h_0`, a float >= 0.
        learning_rate: :math:`\eta`, float or int >= 0, Tensor, iterable of rates, or LearningRateSchedule.
        update_slots: whether squared gradients are added to the sum.
        loss_scale: what the gradients are divided by, float or int > 0.
        weight_decay: L2 penalty added to the gradient, float or int >= 0, or a Cell of the step.

    Returns:
        Each call with a tuple of gradients, shaped as the parameters, returns a Tensor True.

    Raises:
        TypeError: an argument of a wrong type; ``accum`` must be a float.
        ValueError: an argument out of range.

    Example:
        >>> import tinyms_core
        >>> from tinyms_core.examples import parameter, tensor
        >>> w = parameter("w", [1.0, -1.0])
        >>> optimizer = tinyms_core.get_optimizer("adagrad")([w], accum=0.0, learning_rate=0.5)
        >>> bool(optimizer((tensor([3.0, -0.1]),)))
        True
        >>> w.asnumpy().round(6).tolist()
        [0.5, -0.5]

    Source:
        Duchi, Hazan, Singer: Adaptive Subgradient Methods for Online Learning and Stochastic Optimization,
        Journal of Machine Learning Research 12, 2011.
    """

    spec = SPEC
    rule = adagrad_rule
    returns = "one"

    def __init__(
        self,
        params: Any,
        accum: float = 0.1,
        learning_rate: Any = 1e-3,
        update_slots: bool = True,
        loss_scale: float = 1.0,
        weight_decay: Any = 0.0,
    ) -> None:
        super().__init__(
            learning_rate,
            params,
            weight_decay,
            loss_scale,
            hyperparameters={"accum": accum, "update_slots": update_slots},
        )

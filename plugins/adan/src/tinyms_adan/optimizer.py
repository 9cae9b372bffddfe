"""The Adan optimizer."""

from typing import Any

from tinyms_adan import SPEC
from tinyms_adan.kernels import adan as adan_rule
from tinyms_core import Optimizer


class Adan(Optimizer):
    r"""Nesterov momentum, estimated from the differences between gradients, with adaptive steps.

    .. math::
        m_t = \beta_1 m_{t-1} + (1-\beta_1) g_t, \qquad
        d_t = \beta_2 d_{t-1} + (1-\beta_2) (g_t - g_{t-1})

        n_t = \beta_3 n_{t-1} + (1-\beta_3) \big( g_t + \beta_2 (g_t - g_{t-1}) \big)^2

        u_t = \frac{m_t / (1-\beta_1^t) + \beta_2 d_t / (1-\beta_2^t)}{\sqrt{n_t / (1-\beta_3^t)} + \epsilon}, \qquad
        w_t = \frac{w_{t-1} - \eta u_t}{1 + \eta \lambda}

    with :math:`t = 1` and :math:`g_0 = g_1` at the first step, where no gradient was before. With ``no_prox`` it is
    :math:`w_t = (1 - \eta \lambda) w_{t-1} - \eta u_t`, as in AdamW. There is no restart of the averages. The betas
    are the weights of the past, as in Adam; the paper gives the weights of the present, :math:`1-\beta`.

    Arguments:
        params: Parameters, or group dicts with ``params``, ``lr``, ``weight_decay``,
            ``grad_centralization``, and one with ``order_params``.
        learning_rate: :math:`\eta`, float or int >= 0, Tensor, iterable of rates, or LearningRateSchedule.
        beta1: :math:`\beta_1`, decay rate of the average of gradients, a float in [0, 1).
        beta2: :math:`\beta_2`, decay rate of the average of differences, a float in [0, 1).
        beta3: :math:`\beta_3`, decay rate of the average of squares, a float in [0, 1).
        eps: :math:`\epsilon`, a float > 0.
        weight_decay: :math:`\lambda`, float or int >= 0, or a Cell of the step. Multiplied by the rate.
        no_prox: whether decay is that of AdamW, in place of a proximal step.
        loss_scale: what the gradients are divided by, float or int > 0.

    Returns:
        Each call with a tuple of gradients, shaped as the parameters, returns a tuple of True.

    Raises:
        TypeError: an argument of a wrong type; the betas and ``eps`` must be floats.
        ValueError: an argument out of range.

    Example:
        >>> import tinyms_core
        >>> from tinyms_core.examples import parameter, tensor
        >>> w = parameter("w", [1.0, -1.0])
        >>> optimizer = tinyms_core.get_optimizer("adan")([w], learning_rate=0.25)
        >>> optimizer((tensor([5.0, -0.5]),))
        (True,)
        >>> w.asnumpy().round(6).tolist()
        [0.75, -0.75]

    Source:
        Xie, Zhou, Li, Lin, Yan: Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models,
        IEEE TPAMI 2024, arXiv:2208.06677.
    """

    spec = SPEC
    rule = adan_rule

    def __init__(
        self,
        params: Any,
        learning_rate: Any = 1e-3,
        beta1: float = 0.98,
        beta2: float = 0.92,
        beta3: float = 0.99,
        eps: float = 1e-8,
        weight_decay: Any = 0.0,
        no_prox: bool = False,
        loss_scale: float = 1.0,
    ) -> None:
        super().__init__(
            learning_rate,
            params,
            weight_decay,
            loss_scale,
            hyperparameters={"beta1": beta1, "beta2": beta2, "beta3": beta3, "eps": eps, "no_prox": no_prox},
        )

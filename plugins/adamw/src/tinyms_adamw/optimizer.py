"""The AdamW optimizer."""

from typing import Any

from tinyms_adamw import SPEC
from tinyms_adamw.kernels import adamw as adamw_rule
from tinyms_core import Optimizer


class AdamW(Optimizer):
    r"""Adam with decoupled weight decay and bias correction.

    .. math::
        m_t = \beta_1 m_{t-1} + (1-\beta_1) g_t, \qquad
        v_t = \beta_2 v_{t-1} + (1-\beta_2) g_t^2

        w_t = w_{t-1} - \eta \lambda w_{t-1} - \eta \frac{m_t / (1-\beta_1^t)}{\sqrt{v_t / (1-\beta_2^t)} + \epsilon}

    with :math:`t = 1` at the first step. With ``amsgrad`` the largest :math:`v` so far stands for :math:`v_t` in the
    last line.

    Arguments:
        params: Parameters, or group dicts with ``params``, ``lr``, ``weight_decay``,
            ``grad_centralization``, and one with ``order_params``.
        learning_rate: :math:`\eta`, float or int >= 0, Tensor, iterable of rates, or LearningRateSchedule.
        beta1: :math:`\beta_1`, decay rate of the first moment, a float in [0, 1).
        beta2: :math:`\beta_2`, decay rate of the second moment, a float in [0, 1).
        eps: :math:`\epsilon`, a float > 0.
        weight_decay: :math:`\lambda`, float or int >= 0, or a Cell of the step. Multiplied by the rate.
        amsgrad: whether a step is divided by the largest second moment so far.
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
        >>> optimizer = tinyms_core.get_optimizer("adamw")([w], learning_rate=0.25, weight_decay=0.5)
        >>> optimizer((tensor([5.0, -0.5]),))
        (True,)
        >>> w.asnumpy().round(6).tolist()
        [0.625, -0.625]

    Source:
        Loshchilov, Hutter: Decoupled Weight Decay Regularization, ICLR 2019, arXiv:1711.05101; ``amsgrad``: Reddi,
        Kale, Kumar: On the Convergence of Adam and Beyond, ICLR 2018, arXiv:1904.09237.
    """

    spec = SPEC
    rule = adamw_rule

    def __init__(
        self,
        params: Any,
        learning_rate: Any = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: Any = 1e-2,
        amsgrad: bool = False,
        loss_scale: float = 1.0,
    ) -> None:
        super().__init__(
            learning_rate,
            params,
            weight_decay,
            loss_scale,
            hyperparameters={"beta1": beta1, "beta2": beta2, "eps": eps, "amsgrad": amsgrad},
        )

"""The Lion optimizer."""

from typing import Any

from tinyms_core import Optimizer
from tinyms_lion import SPEC
from tinyms_lion.kernels import lion as lion_rule


class Lion(Optimizer):
    r"""Steps of one size along the sign of a momentum, with decoupled weight decay.

    .. math::
        w_t = w_{t-1} - \eta \big( \operatorname{sign}(\beta_1 m_{t-1} + (1-\beta_1) g_t) + \lambda w_{t-1} \big),
        \qquad m_t = \beta_2 m_{t-1} + (1-\beta_2) g_t

    Every element moves by :math:`\eta` in a step, whatever its gradient, unless the sign is that of zero. So a good
    rate is smaller than AdamW's, by 3 to 10 times as the authors found, and a good decay larger by as much.

    Arguments:
        params: Parameters, or group dicts with ``params``, ``lr``, ``weight_decay``,
            ``grad_centralization``, and one with ``order_params``.
        learning_rate: :math:`\eta`, float or int >= 0, Tensor, iterable of rates, or LearningRateSchedule.
        beta1: :math:`\beta_1`, the momentum's weight in the direction, a float in [0, 1).
        beta2: :math:`\beta_2`, decay rate of the momentum, a float in [0, 1).
        weight_decay: :math:`\lambda`, float or int >= 0, or a Cell of the step. Multiplied by the rate.
        loss_scale: what the gradients are divided by, float or int > 0.

    Returns:
        Each call with a tuple of gradients, shaped as the parameters, returns a tuple of True.

    Raises:
        TypeError: an argument of a wrong type; the betas must be floats.
        ValueError: an argument out of range.

    Example:
        >>> import tinyms_core
        >>> from tinyms_core.examples import parameter, tensor
        >>> w = parameter("w", [1.0, -1.0])
        >>> optimizer = tinyms_core.get_optimizer("lion")([w], learning_rate=0.25)
        >>> optimizer((tensor([5.0, -0.001]),))
        (True,)
        >>> w.asnumpy().tolist()
        [0.75, -0.75]

    Source:
        Chen et al.: Symbolic Discovery of Optimization Algorithms, NeurIPS 2023, arXiv:2302.06675.
    """

    spec = SPEC
    rule = lion_rule

    def __init__(
        self,
        params: Any,
        learning_rate: Any = 1e-4,
        beta1: float = 0.9,
        beta2: float = 0.99,
        weight_decay: Any = 0.0,
        loss_scale: float = 1.0,
    ) -> None:
        super().__init__(
            learning_rate,
            params,
            weight_decay,
            loss_scale,
            hyperparameters={"beta1": beta1, "beta2": beta2},
        )

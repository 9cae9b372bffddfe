"""The Lamb optimizer."""

from typing import Any

from tinyms_core import Optimizer
from tinyms_lamb import SPEC
from tinyms_lamb.kernels import lamb as lamb_rule


class Lamb(Optimizer):
    r"""Layer-wise adaptive moments for batch training.

    .. math::
        m_t = \beta_1 m_{t-1} + (1-\beta_1) g_t, \qquad
        v_t = \beta_2 v_{t-1} + (1-\beta_2) g_t^2

        u_t = \frac{m_t / (1-\beta_1^t)}{\sqrt{v_t / (1-\beta_2^t)} + \epsilon} + \lambda w_{t-1}, \qquad
        w_t = w_{t-1} - \eta \frac{\lVert w_{t-1} \rVert}{\lVert u_t \rVert} u_t

    The norms are those of a whole parameter; where either is zero, their quotient counts as 1.

    Arguments:
        params: Parameters, or group dicts with ``params``, ``lr``, ``weight_decay``,
            ``grad_centralization``, and one with ``order_params``.
        learning_rate: :math:`\eta`, float or int >= 0, Tensor, iterable of rates, or LearningRateSchedule.
        beta1: :math:`\beta_1`, decay rate of the first moment, a float in (0, 1).
        beta2: :math:`\beta_2`, decay rate of the second moment, a float in (0, 1).
        eps: :math:`\epsilon`, a float > 0.
        weight_decay: :math:`\lambda`, float or int >= 0, or a Cell of the step.

    Returns:
        Each call with a tuple of gradients, shaped as the parameters, returns a tuple of True.

    Raises:
        TypeError: an argument of a wrong type; the betas and ``eps`` must be floats.
        ValueError: an argument out of range.

    Example:
        >>> import tinyms_core
        >>> from tinyms_core.examples import parameter, tensor
        >>> w = parameter("w", [3.0, 4.0])
        >>> optimizer = tinyms_core.get_optimizer("lamb")([w], learning_rate=0.5)
        >>> optimizer((tensor([1.0, -1.0]),))
        (True,)
        >>> [round(float(value), 4) for value in w.asnumpy()]
        [1.2322, 5.7678]

    Source:
        You et al.: Large Batch Optimization for Deep Learning: Training BERT in 76 minutes, ICLR 2020,
        arXiv:1904.00962.
    """

    spec = SPEC
    rule = lamb_rule

    def __init__(
        self,
        params: Any,
        learning_rate: Any,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-6,
        weight_decay: Any = 0.0,
    ) -> None:
        super().__init__(
            learning_rate,
            params,
            weight_decay,
            hyperparameters={"beta1": beta1, "beta2": beta2, "eps": eps},
        )

"""The AdamWeightDecay optimizer."""

from typing import Any

from tinyms_adam_weight_decay import SPEC
from tinyms_adam_weight_decay.kernels import adam_weight_decay as adam_weight_decay_rule
from tinyms_core import Optimizer


class AdamWeightDecay(Optimizer):
    r"""Adam with decoupled weight decay and without bias correction.

    .. math::
        m_t = \beta_1 m_{t-1} + (1-\beta_1) g_t, \qquad
        v_t = \beta_2 v_{t-1} + (1-\beta_2) g_t^2, \qquad
        w_t = w_{t-1} - \eta \left( \frac{m_t}{\sqrt{v_t}+\epsilon} + \lambda w_{t-1} \right)

    Since nothing corrects the averages' start at zero, the first step is about
    :math:`(1-\beta_1) / \sqrt{1-\beta_2}` times as long as a corrected one: 3.2 times with the defaults.

    Arguments:
        params: Parameters, or group dicts with ``params``, ``lr``, ``weight_decay``, and one with
            ``order_params``.
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
        >>> w = parameter("w", [1.0, -1.0])
        >>> optimizer = tinyms_core.get_optimizer("adam_weight_decay")([w], learning_rate=0.5, beta2=0.99)
        >>> optimizer((tensor([5.0, -0.5]),))
        (True,)
        >>> w.asnumpy().round(4).tolist()
        [0.5, -0.5]

    Source:
        Loshchilov, Hutter: Decoupled Weight Decay Regularization, ICLR 2019, arXiv:1711.05101; without
        its bias correction, as in BERT: Devlin et al., NAACL 2019, arXiv:1810.04805.
    """

    spec = SPEC
    rule = adam_weight_decay_rule

    def __init__(
        self,
        params: Any,
        learning_rate: Any = 1e-3,
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

"""The AdamOffload optimizer."""

from typing import Any

from tinyms_adam_offload import SPEC
from tinyms_adam_offload.kernels import adam_offload as adam_offload_rule
from tinyms_core import Optimizer


class AdamOffload(Optimizer):
    r"""Adam with its moments on the host, so that the device keeps the parameters alone.

    .. math::
        m_t = \beta_1 m_{t-1} + (1-\beta_1) g_t, \qquad
        v_t = \beta_2 v_{t-1} + (1-\beta_2) g_t^2, \qquad
        w_t = w_{t-1} - \eta \frac{\sqrt{1-\beta_2^t}}{1-\beta_1^t} \cdot \frac{m_t}{\sqrt{v_t}+\epsilon}

    With ``use_nesterov`` the numerator is :math:`\beta_1 m_t + (1-\beta_1) g_t`.

    The numbers are those of Adam. Where MindSpore's device is the CPU, host and device are the same memory; arrays on a
    GPU are stepped by ``tinyms_core.kernels.ArrayOptimizer("adam_offload", ...)``.

    Arguments:
        params: Parameters, or group dicts with ``params``, ``lr``, ``weight_decay``, and one with
            ``order_params``.
        learning_rate: :math:`\eta`, float or int >= 0, Tensor, iterable of rates, or LearningRateSchedule.
        beta1: :math:`\beta_1`, decay rate of the first moment, a float in (0, 1).
        beta2: :math:`\beta_2`, decay rate of the second moment, a float in (0, 1).
        eps: :math:`\epsilon`, a float > 0.
        use_locking: accepted for compatibility; a step always holds the optimizer's lock.
        use_nesterov: whether the step looks ahead along the new first moment.
        weight_decay: L2 penalty added to the gradient, float or int >= 0, or a Cell of the step.
        loss_scale: what the gradients are divided by, float or int > 0.

    Returns:
        Each call with a tuple of gradients, shaped as the parameters, returns a Tensor True.

    Raises:
        TypeError: an argument of a wrong type; the betas and ``eps`` must be floats.
        ValueError: an argument out of range.
        MissingKernelError: MindSpore's device is not the CPU.

    Example:
        >>> import tinyms_core
        >>> from tinyms_core.examples import parameter, tensor
        >>> w = parameter("w", [1.0, -1.0])
        >>> optimizer = tinyms_core.get_optimizer("adam_offload")([w], learning_rate=0.25)
        >>> bool(optimizer((tensor([5.0, -0.5]),)))
        True
        >>> w.asnumpy().round(6).tolist()
        [0.75, -0.75]

    Source:
        Kingma, Ba: Adam: A Method for Stochastic Optimization, ICLR 2015, arXiv:1412.6980.
    """

    spec = SPEC
    rule = adam_offload_rule
    returns = "one"

    def __init__(
        self,
        params: Any,
        learning_rate: Any = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        use_locking: bool = False,
        use_nesterov: bool = False,
        weight_decay: Any = 0.0,
        loss_scale: float = 1.0,
    ) -> None:
        super().__init__(
            learning_rate,
            params,
            weight_decay,
            loss_scale,
            hyperparameters={
                "beta1": beta1,
                "beta2": beta2,
                "eps": eps,
                "use_locking": use_locking,
                "use_nesterov": use_nesterov,
            },
        )

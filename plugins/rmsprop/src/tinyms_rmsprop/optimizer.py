"""The RMSProp optimizer."""

from typing import Any

from tinyms_core import Optimizer
from tinyms_rmsprop import SPEC
from tinyms_rmsprop.kernels import rmsprop as rmsprop_rule


class RMSProp(Optimizer):
    r"""Gradients divided by their running root mean square.

    .. math::
        s_t = \rho s_{t-1} + (1-\rho) g_t^2, \qquad
        b_t = \mu b_{t-1} + \frac{\eta g_t}{\sqrt{s_t + \epsilon}}, \qquad
        w_t = w_{t-1} - b_t

    With ``centered``, :math:`\bar g_t = \rho \bar g_{t-1} + (1-\rho) g_t` is kept as well and the root is that
    of :math:`s_t - \bar g_t^2 + \epsilon`; an element for which this is not positive keeps its weight and its
    :math:`b`. The average :math:`s` starts at 1, the others at 0.

    Arguments:
        params: Parameters, or group dicts with ``params``, ``lr``, ``weight_decay``,
            ``grad_centralization``, and one with ``order_params``.
        learning_rate: :math:`\eta`, float or int >= 0, Tensor, iterable of rates, or LearningRateSchedule.
        decay: :math:`\rho`, decay rate of the averages, a float >= 0.
        momentum: :math:`\mu`, a float >= 0.
        epsilon: :math:`\epsilon`, a float > 0; it stands under the root.
        use_locking: accepted for compatibility; a step always holds the optimizer's lock.
        centered: whether the gradient's running mean is taken out of its mean square.
        loss_scale: what the gradients are divided by, float or int > 0.
        weight_decay: L2 penalty added to the gradient, float or int >= 0, or a Cell of the step.

    Returns:
        Each call with a tuple of gradients, shaped as the parameters, returns a Tensor True.

    Raises:
        TypeError: an argument of a wrong type; ``decay``, ``momentum`` and ``epsilon`` must be floats.
        ValueError: an argument out of range.

    Example:
        >>> import tinyms_core
        >>> from tinyms_core.examples import parameter, tensor
        >>> w = parameter("w", [1.0, -1.0])
        >>> optimizer = tinyms_core.get_optimizer("rmsprop")([w], learning_rate=0.5, decay=0.75)
        >>> bool(optimizer((tensor([1.0, -1.0]),)))
        True
        >>> w.asnumpy().round(6).tolist()
        [0.5, -0.5]

    Source:
        Hinton: Neural Networks for Machine Learning, lecture 6, 2012; centered: Graves: Generating
        Sequences With Recurrent Neural Networks, arXiv:1308.0850.
    """

    spec = SPEC
    rule = rmsprop_rule
    returns = "one"

    def __init__(
        self,
        params: Any,
        learning_rate: Any = 0.1,
        decay: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-10,
        use_locking: bool = False,
        centered: bool = False,
        loss_scale: float = 1.0,
        weight_decay: Any = 0.0,
    ) -> None:
        super().__init__(
            learning_rate,
            params,
            weight_decay,
            loss_scale,
            hyperparameters={
                "decay": decay,
                "momentum": momentum,
                "epsilon": epsilon,
                "use_locking": use_locking,
                "centered": centered,
            },
        )

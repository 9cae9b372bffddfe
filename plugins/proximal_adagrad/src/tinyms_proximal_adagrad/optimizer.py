"""The ProximalAdagrad optimizer."""

from typing import Any

from tinyms_core import Optimizer
from tinyms_proximal_adagrad import SPEC
from tinyms_proximal_adagrad.kernels import proximal_adagrad as proximal_adagrad_rule


class ProximalAdagrad(Optimizer):
    r"""Adagrad with L1 and L2 regularization by proximal steps.

    .. math::
        h_t = h_{t-1} + g_t^2, \qquad
        p_t = w_{t-1} - \frac{\eta g_t}{\sqrt{h_t}}, \qquad
        w_t = \frac{\operatorname{sign}(p_t)}{1 + \eta l_2} \max(\lvert p_t \rvert - \eta l_1, 0)

    Where :math:`h_t` is zero, :math:`p_t` is the weight itself.

    Arguments:
        params: Parameters, or group dicts with ``params``, ``lr``, ``weight_decay``,
            ``grad_centralization``, and one with ``order_params``.
        accum: :math:`h_0`, a float >= 0.
        learning_rate: :math:`\eta`, float or int >= 0, Tensor, iterable of rates, or LearningRateSchedule.
        l1: :math:`l_1`, what sets small weights to exactly zero, a float >= 0.
        l2: :math:`l_2`, what shrinks all weights, a float >= 0.
        use_locking: accepted for compatibility; a step always holds the optimizer's lock.
        loss_scale: what the gradients are divided by, float or int > 0.
        weight_decay: L2 penalty added to the gradient, float or int >= 0, or a Cell of the step.

    Returns:
        Each call with a tuple of gradients, shaped as the parameters, returns a Tensor True.

    Raises:
        TypeError: an argument of a wrong type; ``accum``, ``l1`` and ``l2`` must be floats.
        ValueError: an argument out of range.

    Example:
        >>> import tinyms_core
        >>> from tinyms_core.examples import parameter, tensor
        >>> w = parameter("w", [1.0, -0.375])
        >>> optimizer = tinyms_core.get_optimizer("proximal_adagrad")([w], accum=0.0, learning_rate=0.5, l1=0.5)
        >>> bool(optimizer((tensor([3.0, -0.1]),)))
        True
        >>> w.asnumpy().round(6).tolist()
        [0.25, 0.0]

    Source:
        Duchi, Singer: Efficient Online and Batch Learning Using Forward Backward Splitting, Journal of
        Machine Learning Research 10, 2009.
    """

    spec = SPEC
    rule = proximal_adagrad_rule
    returns = "one"

    def __init__(
        self,
        params: Any,
        accum: float = 0.1,
        learning_rate: Any = 1e-3,
        l1: float = 0.0,
        l2: float = 0.0,
        use_locking: bool = False,
        loss_scale: float = 1.0,
        weight_decay: Any = 0.0,
    ) -> None:
        super().__init__(
            learning_rate,
            params,
            weight_decay,
            loss_scale,
            hyperparameters={
                "accum": accum,
                "l1": l1,
                "l2": l2,
                "use_locking": use_locking,
            },
        )

"""The FTRL optimizer."""

from typing import Any

from tinyms_core import Optimizer
from tinyms_ftrl import SPEC
from tinyms_ftrl.kernels import ftrl as ftrl_rule


class FTRL(Optimizer):
    r"""Follow the regularized leader, with one rate for each element.

    .. math::
        a_t = a_{t-1} + g_t^2, \qquad
        u_t = u_{t-1} + g_t - \frac{a_t^{-p} - a_{t-1}^{-p}}{\eta} w_{t-1}

        w_t = \frac{\operatorname{sign}(u_t)\, l_1 - u_t}{a_t^{-p} / \eta + 2 l_2}
        \quad\text{where } \lvert u_t \rvert > l_1, \text{ else } 0

    with :math:`p` for ``lr_power``. A weight is a function of the two sums alone: where :math:`u_t` is zero the
    weight becomes zero, whatever it was.

    Arguments:
        params: Parameters, or group dicts with ``params``, ``lr``, ``weight_decay``,
            ``grad_centralization``, and one with ``order_params``.
        initial_accum: :math:`a_0`, a float >= 0.
        learning_rate: :math:`\eta`, one fixed number > 0 for all steps and all groups.
        lr_power: :math:`p`, a float <= 0; 0 makes the rate the same at every step.
        l1: :math:`l_1`, what keeps small weights at exactly zero, a float >= 0.
        l2: :math:`l_2`, what shrinks all weights, a float >= 0.
        use_locking: accepted for compatibility; a step always holds the optimizer's lock.
        loss_scale: what the gradients are divided by, float or int > 0.
        weight_decay: L2 penalty added to the gradient, float or int >= 0, or a Cell of the step.
            Ungrouped, it applies to every parameter, whatever its name.

    Returns:
        Each call with a tuple of gradients, shaped as the parameters, returns the updated parameters as a tuple.

    Raises:
        TypeError: an argument of a wrong type; ``initial_accum``, ``lr_power``, ``l1`` and ``l2`` must be floats.
        ValueError: an argument out of range, or a rate that is zero, changes from step to step, or differs
            between groups.

    Example:
        >>> import tinyms_core
        >>> from tinyms_core.examples import parameter, tensor
        >>> w = parameter("w", [0.0, 0.0])
        >>> optimizer = tinyms_core.get_optimizer("ftrl")([w], initial_accum=0.0, learning_rate=0.5, l1=1.0)
        >>> optimizer((tensor([4.0, 0.5]),))[0] is w
        True
        >>> w.asnumpy().round(6).tolist()
        [-0.375, 0.0]

    Source:
        McMahan et al.: Ad Click Prediction: a View from the Trenches, KDD 2013.
    """

    spec = SPEC
    rule = ftrl_rule
    returns = "parameters"

    def __init__(
        self,
        params: Any,
        initial_accum: float = 0.1,
        learning_rate: Any = 1e-3,
        lr_power: float = -0.5,
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
                "initial_accum": initial_accum,
                "lr_power": lr_power,
                "l1": l1,
                "l2": l2,
                "use_locking": use_locking,
            },
        )
        # A rate enters the sum u and stays there: with another one later, or none, the sum means nothing.
        rate = self.get_config()["learning_rate"]
        if rate <= 0.0:
            raise ValueError(f"ftrl: 'learning_rate' must be > 0, got {rate!r}")

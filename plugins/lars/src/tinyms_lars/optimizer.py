"""The LARS optimizer."""

from collections.abc import Callable
from typing import Any

from mindspore import Parameter, nn

from tinyms_core import WrappingOptimizer
from tinyms_lars import SPEC, neither_norm_nor_bias
from tinyms_lars.kernels import lars as lars_factor


class LARS(WrappingOptimizer):
    r"""Layer-wise adaptive rate scaling, around another optimizer.

    For each parameter that ``lars_filter`` accepts, with the gradient :math:`g` without the loss scale,

    .. math::
        \lambda = \theta \frac{\|w\|}{\|g\| + \delta \|w\| + \epsilon}
        \quad\text{and, with use\_clip,}\quad
        \lambda \leftarrow \min(\lambda / \eta, 1)

    and the wrapped optimizer's update sees :math:`\lambda (g + \delta w)`; its own weight decay :math:`\delta` and
    its own loss scale are not applied again. The norms are those of a whole parameter; where :math:`\|w\|` is zero,
    the first :math:`\lambda` is 1. Parameters that ``lars_filter`` refuses take the wrapped optimizer's ordinary path.

    Arguments:
        optimizer: the wrapped optimizer, one of tinyms_core or of `mindspore.nn`; :math:`\eta` is its learning rate,
            :math:`\delta` its weight decay, for the parameter at the step.
        epsilon: :math:`\epsilon`, a float > 0.
        coefficient: the trust coefficient :math:`\theta`, a float > 0.
        use_clip: whether :math:`\lambda` is divided by the rate and kept at 1 or below; at a rate of zero it is 1.
        lars_filter: called with each Parameter when LARS is built; returns whether LARS applies to it. By default it
            does not where ``LayerNorm`` or ``bias`` is in the name.

    Returns:
        Each call with a tuple of gradients, shaped as the parameters, returns what the wrapped optimizer returns.

    Raises:
        TypeError: an argument of a wrong type; ``epsilon`` and ``coefficient`` must be floats.
        ValueError: an argument out of range.

    Example:
        >>> import tinyms_core
        >>> from tinyms_core.examples import parameter, tensor
        >>> w = parameter("w", [3.0, 4.0])
        >>> momentum = tinyms_core.get_optimizer("momentum")([w], learning_rate=10.0, momentum=0.9)
        >>> optimizer = tinyms_core.get_optimizer("lars")(momentum, coefficient=0.01)
        >>> optimizer((tensor([60.0, 80.0]),))
        (True,)
        >>> print(w.asnumpy().round(4))
        [2.7 3.6]

    Source:
        You, Gitman, Ginsburg: Large Batch Training of Convolutional Networks, 2017, arXiv:1708.03888.
    """

    spec = SPEC
    factor = lars_factor

    def __init__(
        self,
        optimizer: nn.Optimizer,
        epsilon: float = 1e-5,
        coefficient: float = 0.001,
        use_clip: bool = False,
        lars_filter: Callable[[Parameter], bool] = neither_norm_nor_bias,
    ) -> None:
        given: dict[str, Any] = {
            "epsilon": epsilon,
            "coefficient": coefficient,
            "use_clip": use_clip,
            "lars_filter": lars_filter,
        }
        super().__init__(optimizer, hyperparameters=given, chosen_by="lars_filter")

"""The AdaFactor optimizer."""

from typing import Any

from mindspore import ops

from tinyms_adafactor import SPEC
from tinyms_adafactor.update import UPDATE, relative_rate
from tinyms_core import Optimizer


class AdaFactor(Optimizer):
    r"""Adaptive rates from row and column averages of squared gradients.

    For a parameter of two or more dimensions, with the averages over its last two axes:

    .. math::
        R_t = \hat\beta_t R_{t-1} + (1-\hat\beta_t) \operatorname{mean}_j (g_t^2 + \epsilon_1), \qquad
        C_t = \hat\beta_t C_{t-1} + (1-\hat\beta_t) \operatorname{mean}_i (g_t^2 + \epsilon_1)

        u_t = \frac{g_t}{\sqrt{R_t / \operatorname{mean}(R_t)} \sqrt{C_t}}, \qquad
        \hat u_t = \frac{u_t}{\max(1, \operatorname{RMS}(u_t) / d)}, \qquad
        \alpha_t = \rho_t \max(\epsilon_2, \operatorname{RMS}(w_{t-1}))

        m_t = \beta_1 m_{t-1} + (1-\beta_1) \alpha_t \hat u_t, \qquad
        w_t = w_{t-1} - \lambda \alpha_t w_{t-1} - m_t

    with :math:`\hat\beta_t = 1 - t^{-c}` and :math:`t = 1` at the first step. Other parameters have one average for
    each element in place of :math:`R` and :math:`C`; without ``beta1``, :math:`m_t` is :math:`\alpha_t \hat u_t`.

    Arguments:
        params: Parameters, or group dicts with ``params``, ``lr`` (where there is a rate), ``weight_decay``, and
            one with ``order_params``.
        learning_rate: :math:`\rho_t` with ``relative_step=False``: float or int >= 0, Tensor, iterable of rates, or
            LearningRateSchedule. None with ``relative_step=True``.
        eps: :math:`\epsilon_1` and :math:`\epsilon_2`, two floats > 0.
        clip_threshold: :math:`d`, the largest root mean square of a direction, a float > 0.
        decay_rate: :math:`c`, a float in (0, 1).
        beta1: :math:`\beta_1`, a float in (0, 1), or None for no average of the changes.
        weight_decay: :math:`\lambda`, float or int >= 0, or a Cell of the step.
        scale_parameter: whether :math:`\alpha_t` is relative to the parameter; otherwise it is :math:`\rho_t`.
        relative_step: whether :math:`\rho_t = \min(10^{-2}, 1 / \sqrt t)`.
        warmup_init: whether the :math:`10^{-2}` there is :math:`10^{-6} t`; only with ``relative_step``.
        compression: whether averages of elements are stored in float16, multiplied by a power of two for each
            parameter, whose exponent is kept in the placeholder of the row averages.
        loss_scale: what the gradients are divided by, float or int > 0.

    Returns:
        Each call with a tuple of gradients, shaped as the parameters, returns a tuple of True.

    Raises:
        TypeError: an argument of a wrong type; ``eps``, ``clip_threshold``, ``decay_rate`` and ``beta1`` must be
            floats.
        ValueError: an argument out of range, a rate beside ``relative_step=True``, no rate with
            ``relative_step=False``, or ``warmup_init`` with ``relative_step=False``.

    Example:
        >>> import tinyms_core
        >>> from tinyms_core.examples import parameter, tensor
        >>> w = parameter("w", [[3.0, 4.0], [4.0, 3.0]])
        >>> optimizer = tinyms_core.get_optimizer("adafactor")([w])
        >>> optimizer((tensor([[1.0, -1.0], [0.5, 0.5]]),))
        (True,)
        >>> [round(float(value), 4) for value in w.asnumpy().ravel()]
        [2.9646, 4.0354, 3.9646, 2.9646]

    Source:
        Shazeer and Stern: Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, ICML 2018,
        arXiv:1804.04235.
    """

    spec = SPEC
    update = UPDATE

    def __init__(
        self,
        params: Any,
        learning_rate: Any = None,
        eps: tuple[float, float] = (1e-30, 1e-3),
        clip_threshold: float = 1.0,
        decay_rate: float = 0.8,
        beta1: float | None = None,
        weight_decay: Any = 0.0,
        scale_parameter: bool = True,
        relative_step: bool = True,
        warmup_init: bool = False,
        compression: bool = False,
        loss_scale: float = 1.0,
    ) -> None:
        super().__init__(
            learning_rate,
            params,
            weight_decay,
            loss_scale,
            hyperparameters={
                "eps": eps,
                "clip_threshold": clip_threshold,
                "decay_rate": decay_rate,
                "beta1": beta1,
                "scale_parameter": scale_parameter,
                "relative_step": relative_step,
                "warmup_init": warmup_init,
                "compression": compression,
            },
        )
        self.relative_step = relative_step
        self.warmup_init = warmup_init

    def get_lr(self) -> Any:
        """The rate of the current step, before it is scaled to a parameter; asking changes nothing."""
        if self.relative_step:
            step = ops.cast(self.global_step, self.wide_type).reshape(()) + 1
            return ops.cast(relative_rate(step, self.warmup_init), self.rates[0].learning_rate.dtype)
        return super().get_lr()

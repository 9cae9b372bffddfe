"""The Muon optimizer."""

from typing import Any

from tinyms_core import Optimizer
from tinyms_muon import SPEC
from tinyms_muon.iteration import LIMIT, largest_singular_value
from tinyms_muon.update import UPDATE


class Muon(Optimizer):
    r"""Momentum that is made orthogonal, for matrices; AdamW for all other parameters.

    For a parameter of two or more dimensions, taken as a matrix of :math:`n` rows, its first axis, and :math:`k`
    columns:

    .. math::
        m_t = \mu m_{t-1} + (1-\mu) g_t, \qquad
        \tilde m_t = \mu m_t + (1-\mu) g_t, \qquad
        X_0 = \tilde m_t / \max(\lVert \tilde m_t \rVert_F, 10^{-7})

        X_{i+1} = a X_i + (b X_i X_i^T + c (X_i X_i^T)^2) X_i, \qquad
        w_t = w_{t-1} - \eta \lambda w_{t-1} - \eta \sqrt{\max(1, n / k)} X_s

    Without ``nesterov``, :math:`\tilde m_t` is :math:`m_t`. The iteration brings all singular values near 1. With
    ``match_adamw`` the step is :math:`0.2 \eta \sqrt{\max(n, k)} X_s`, whose elements are about as large as those of
    AdamW's steps. All other parameters take AdamW's step, with the rate :math:`\kappa \eta`, or with ``match_adamw``
    :math:`\eta`; so do those of groups with ``orthogonal=False``, as is right for embeddings and for the last layer.

    Arguments:
        params: Parameters, or group dicts with ``params``, ``lr``, ``weight_decay``, ``grad_centralization``,
            ``orthogonal``, ``adamw_scale``, and one with ``order_params``.
        learning_rate: :math:`\eta`, float or int >= 0, Tensor, iterable of rates, or LearningRateSchedule.
        momentum: :math:`\mu`, a float in [0, 1).
        nesterov: whether the step looks ahead along the new momentum.
        ns_steps: :math:`s`, how often the iteration is done, an int in [1, 100].
        ns_coefficients: :math:`a`, :math:`b` and :math:`c`, three floats.
        weight_decay: :math:`\lambda`, float or int >= 0, or a Cell of the step. Multiplied by the parameter's rate.
        orthogonal: whether parameters of two or more dimensions are taken as matrices; else they take AdamW's step.
        match_adamw: whether a rate means to matrices what it means to AdamW.
        adamw_scale: :math:`\kappa`, what the rate is multiplied by for AdamW's steps, a float > 0; only without
            ``match_adamw``.
        adamw_beta1: AdamW's decay rate of the first moment, a float in [0, 1).
        adamw_beta2: AdamW's decay rate of the second moment, a float in [0, 1).
        adamw_eps: what AdamW adds to the root of the second moment, a float > 0.
        loss_scale: what the gradients are divided by, float or int > 0.

    Returns:
        Each call with a tuple of gradients, shaped as the parameters, returns a tuple of True.

    Raises:
        TypeError: an argument of a wrong type; ``momentum``, the coefficients and AdamW's numbers must be floats.
        ValueError: an argument out of range, coefficients with which the iteration diverges, or ``adamw_scale`` with
            ``match_adamw``.

    Example:
        >>> import tinyms_core
        >>> from tinyms_core.examples import parameter, tensor
        >>> w = parameter("w", [[1.0, 0.0], [0.0, 1.0]])
        >>> optimizer = tinyms_core.get_optimizer("muon")([w], learning_rate=0.5, ns_coefficients=(1.5, -0.5, 0.0))
        >>> optimizer((tensor([[3.0, 0.0], [0.0, -3.0]]),))
        (True,)
        >>> w.asnumpy().round(3).tolist()
        [[0.5, 0.0], [0.0, 1.5]]

    Source:
        Jordan, Jin, Boza, You, Cesista, Newhouse, Bernstein: Muon: An optimizer for hidden layers in neural networks,
        2024; ``match_adamw``: Liu et al.: Muon is Scalable for LLM Training, 2025, arXiv:2502.16982.
    """

    spec = SPEC
    update = UPDATE

    def __init__(
        self,
        params: Any,
        learning_rate: Any = 0.02,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        weight_decay: Any = 0.0,
        orthogonal: bool = True,
        match_adamw: bool = False,
        adamw_scale: float = 0.015,
        adamw_beta1: float = 0.9,
        adamw_beta2: float = 0.95,
        adamw_eps: float = 1e-8,
        loss_scale: float = 1.0,
    ) -> None:
        super().__init__(
            learning_rate,
            params,
            weight_decay,
            loss_scale,
            hyperparameters={
                "momentum": momentum,
                "nesterov": nesterov,
                "ns_steps": ns_steps,
                "ns_coefficients": ns_coefficients,
                "orthogonal": orthogonal,
                "match_adamw": match_adamw,
                "adamw_scale": adamw_scale,
                "adamw_beta1": adamw_beta1,
                "adamw_beta2": adamw_beta2,
                "adamw_eps": adamw_eps,
            },
        )
        largest = largest_singular_value(self.hyperparameters["ns_coefficients"], ns_steps)
        if not largest <= LIMIT:
            raise ValueError(
                f"{self.name}: 'ns_coefficients' must keep singular values near 1, but with {ns_coefficients!r} they "
                f"grow to {largest:.3g} in ns_steps={ns_steps}; (3.4445, -4.775, 2.0315) keeps them below {LIMIT}"
            )

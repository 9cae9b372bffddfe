"""Sound optimizers, small but whole: the twins that each defect differs from in one thing."""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import ops

from tinyms_core import Capabilities, Hyperparameter, Optimizer, OptimizerSpec, StateSlot, Update, math, rule
from tinyms_core.kernels.parts import by_rule


@rule(state=("v",))
def descend(w, g, v, lr, momentum, use_nesterov):
    """Momentum."""
    v = momentum * v + g
    if use_nesterov:
        w = w - lr * (g + momentum * v)
    else:
        w = w - lr * v
    return w, v


def descend_reference(
    w: Any,
    g: Any,
    state: dict[str, Any],
    *,
    lr: float,
    t: int,
    weight_decay: float,
    momentum: float,
    use_nesterov: bool,
) -> tuple[Any, dict[str, Any]]:
    """Momentum in float64."""
    velocity = momentum * state["v"] + g
    return w - lr * (g + momentum * velocity if use_nesterov else velocity), {"v": velocity}


class SoundMomentum(Optimizer):
    r"""Gradient descent with a running sum of gradients.

    .. math::
        v \leftarrow \mu v + g, \qquad w \leftarrow w - \eta v

    Arguments:
        params: Parameters, or group dicts.
        learning_rate: :math:`\eta`, a rate >= 0.
        momentum: :math:`\mu`, a float >= 0.
        weight_decay: L2 penalty, >= 0.
        loss_scale: what gradients are divided by, > 0.
        use_nesterov: whether the step looks ahead along the new momentum.

    Raises:
        TypeError: an argument of a wrong type.
        ValueError: an argument out of range.
    """

    spec = OptimizerSpec(
        name="sound_momentum",
        implementation=f"{__name__}:SoundMomentum",
        summary="Gradient descent with a running sum of gradients.",
        reference="Sutskever et al., ICML 2013",
        oracle=descend_reference,
        hyperparameters=(
            Hyperparameter("learning_rate", 0.1, kind="rate"),
            Hyperparameter("momentum", 0.9, "[0, inf)", saved_as="momentum"),
            Hyperparameter("weight_decay", 0.0, kind="decay"),
            Hyperparameter("loss_scale", 1.0, "(0, inf)", kind="number"),
            Hyperparameter("use_nesterov", False, kind="flag"),
        ),
        state=(StateSlot("v", prefix="moments"),),
        capabilities=Capabilities(sparse="lazy"),
    )
    rule = descend

    def __init__(
        self,
        params: Any,
        learning_rate: Any = 0.1,
        momentum: float = 0.9,
        weight_decay: Any = 0.0,
        loss_scale: float = 1.0,
        use_nesterov: bool = False,
    ) -> None:
        super().__init__(
            learning_rate,
            params,
            weight_decay,
            loss_scale,
            hyperparameters={"momentum": momentum, "use_nesterov": use_nesterov},
        )


@rule(state=("m", "v", "beta1_power"))
def adapt(w, g, m, v, beta1_power, lr, t, beta1, beta2, eps):
    """Adam."""
    beta1_power = beta1**t
    rate = lr * math.sqrt(1 - beta2**t) / (1 - beta1_power)
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    return w - rate * m / (math.sqrt(v) + eps), m, v, beta1_power


def adapt_reference(
    w: Any,
    g: Any,
    state: dict[str, Any],
    *,
    lr: float,
    t: int,
    weight_decay: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> tuple[Any, dict[str, Any]]:
    """Adam in float64."""
    first = beta1 * state["m"] + (1.0 - beta1) * g
    second = beta2 * state["v"] + (1.0 - beta2) * np.square(g)
    size = lr * np.sqrt(1.0 - beta2**t) / (1.0 - beta1**t)
    moved = w - size * first / (np.sqrt(second) + eps)
    return moved, {"m": first, "v": second, "beta1_power": beta1**t}


class SoundAdam(Optimizer):
    r"""Adaptive moment estimation.

    Arguments:
        params: Parameters, or group dicts.
        learning_rate: a rate >= 0.
        beta1: decay rate of the first moment, a float in (0, 1).
        beta2: decay rate of the second moment, a float in (0, 1).
        eps: what is added to the root of the second moment, a float > 0.
        weight_decay: L2 penalty, >= 0.
        loss_scale: what gradients are divided by, > 0.

    Raises:
        TypeError: an argument of a wrong type.
        ValueError: an argument out of range.
    """

    spec = OptimizerSpec(
        name="sound_adam",
        implementation=f"{__name__}:SoundAdam",
        summary="Adaptive moment estimation.",
        reference="Kingma and Ba, ICLR 2015",
        oracle=adapt_reference,
        hyperparameters=(
            Hyperparameter("learning_rate", 1e-3, kind="rate"),
            Hyperparameter("beta1", 0.9, "(0, 1)"),
            Hyperparameter("beta2", 0.999, "(0, 1)"),
            Hyperparameter("eps", 1e-8, "(0, inf)"),
            Hyperparameter("weight_decay", 0.0, kind="decay"),
            Hyperparameter("loss_scale", 1.0, "(0, inf)", kind="number"),
        ),
        state=(
            StateSlot("m", prefix="moment1"),
            StateSlot("v", prefix="moment2"),
            StateSlot("beta1_power", prefix="beta1_power", initial=1.0, shape="scalar"),
        ),
        capabilities=Capabilities(sparse="exact"),
    )
    rule = adapt
    returns = "one"

    def __init__(
        self,
        params: Any,
        learning_rate: Any = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: Any = 0.0,
        loss_scale: float = 1.0,
    ) -> None:
        super().__init__(
            learning_rate,
            params,
            weight_decay,
            loss_scale,
            hyperparameters={"beta1": beta1, "beta2": beta2, "eps": eps},
        )


@rule(state=("v",))
def trust(w, g, v, lr, weight_decay, momentum):
    """Momentum whose step is as long as the weights, layer by layer."""
    v = momentum * v + g
    update = v + weight_decay * w
    weight_norm = math.norm(w)
    update_norm = math.norm(update)
    ratio = math.where((weight_norm > 0) & (update_norm > 0), weight_norm / update_norm, 1.0)
    return w - lr * ratio * update, v


def trust_reference(
    w: Any, g: Any, state: dict[str, Any], *, lr: float, t: int, weight_decay: float, momentum: float
) -> tuple[Any, dict[str, Any]]:
    """The layer-wise momentum in float64."""
    velocity = momentum * state["v"] + g
    direction = velocity + weight_decay * w
    length, own = np.sqrt(np.sum(np.square(direction))), np.sqrt(np.sum(np.square(w)))
    ratio = own / length if own > 0 and length > 0 else 1.0
    return w - lr * ratio * direction, {"v": velocity}


class SoundTrust(Optimizer):
    r"""Momentum with a layer-wise trust ratio and decay in its own update.

    Arguments:
        params: Parameters, or group dicts.
        learning_rate: a rate >= 0.
        momentum: a float in [0, 1).
        weight_decay: decay in the update, >= 0.

    Raises:
        TypeError: an argument of a wrong type.
        ValueError: an argument out of range.
    """

    spec = OptimizerSpec(
        name="sound_trust",
        implementation=f"{__name__}:SoundTrust",
        summary="Momentum with a layer-wise trust ratio.",
        reference="You et al., ICLR 2020",
        oracle=trust_reference,
        hyperparameters=(
            Hyperparameter("learning_rate", 0.1, kind="rate"),
            Hyperparameter("momentum", 0.9, "[0, 1)"),
            Hyperparameter("weight_decay", 0.0, kind="decay"),
        ),
        state=(StateSlot("v", prefix="trust_v"),),
        capabilities=Capabilities(weight_decay="update", loss_scale=False, layerwise=True),
    )
    rule = trust

    def __init__(self, params: Any, learning_rate: Any = 0.1, momentum: float = 0.9, weight_decay: Any = 0.0) -> None:
        super().__init__(learning_rate, params, weight_decay, hyperparameters={"momentum": momentum})


def lengthen(w: Any, g: Any, v: Any, lr: Any, momentum: Any, factor: Any) -> Any:
    """Momentum whose steps are multiplied by a factor, as operators."""
    v = ops.cast(momentum, w.dtype) * v + g
    return w - ops.cast(lr * factor, w.dtype) * v, v


@rule(state=("v",))
def lengthen_by_rule(w, g, v, lr, momentum, factor):
    """The same for the host."""
    v = momentum * v + g
    return w - lr * factor * v, v


def lengthen_reference(
    w: Any, g: Any, state: dict[str, Any], *, lr: float, t: int, weight_decay: float, momentum: float, factor: float
) -> tuple[Any, dict[str, Any]]:
    """The momentum with a factor in float64."""
    velocity = momentum * state["v"] + g
    return w - lr * factor * velocity, {"v": velocity}


class SoundFactor(Optimizer):
    r"""Momentum whose steps are multiplied by a factor, which a group may have of its own.

    Arguments:
        params: Parameters, or group dicts, also with ``factor``.
        learning_rate: a rate >= 0.
        momentum: a float in [0, 1).
        factor: what steps are multiplied by, a float > 0.
        weight_decay: L2 penalty, >= 0.

    Raises:
        TypeError: an argument of a wrong type.
        ValueError: an argument out of range.
    """

    spec = OptimizerSpec(
        name="sound_factor",
        implementation=f"{__name__}:SoundFactor",
        summary="Momentum whose steps are multiplied by a factor.",
        reference="Sutskever et al., ICML 2013",
        oracle=lengthen_reference,
        hyperparameters=(
            Hyperparameter("learning_rate", 0.1, kind="rate"),
            Hyperparameter("momentum", 0.9, "[0, 1)"),
            Hyperparameter("factor", 1.0, "(0, inf)"),
            Hyperparameter("weight_decay", 0.0, kind="decay"),
        ),
        state=(StateSlot("v", prefix="factor_v"),),
        capabilities=Capabilities(loss_scale=False, group_options=("factor",)),
    )
    update = Update(lengthen, state=("v",), host=by_rule(lengthen_by_rule))

    def __init__(
        self,
        params: Any,
        learning_rate: Any = 0.1,
        momentum: float = 0.9,
        factor: float = 1.0,
        weight_decay: Any = 0.0,
    ) -> None:
        super().__init__(learning_rate, params, weight_decay, hyperparameters={"momentum": momentum, "factor": factor})


TWINS = (SoundMomentum, SoundAdam, SoundTrust, SoundFactor)

"""Small optimizers for wrapping optimizers to be around: one of each kind that the contract names.

All their arguments are required, and those of their own are named so that no wrapping optimizer has them too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
from mindspore import nn, ops

from tinyms_core.kernels.rule import rule
from tinyms_core.optimizer.base import Optimizer
from tinyms_core.registry.specs import Capabilities, Hyperparameter, OptimizerSpec, StateSlot


@rule(state=("v",))
def descend(w, g, v, lr, inner_momentum):  # type: ignore[no-untyped-def]
    """Momentum; decay is in the gradient."""
    v = inner_momentum * v + g
    return w - lr * v, v


@rule(state=("v",))
def descend_decoupled(w, g, v, lr, weight_decay, inner_momentum):  # type: ignore[no-untyped-def]
    """Momentum with decay beside the gradient."""
    v = inner_momentum * v + g
    return w - lr * (v + weight_decay * w), v


def descend_reference(
    w: Any, g: Any, state: dict[str, Any], *, lr: float, t: int, weight_decay: float, inner_momentum: float
) -> tuple[Any, dict[str, Any]]:
    """All of them in float64; the decay that comes here is that of the update."""
    velocity = inner_momentum * state["v"] + g
    return w - lr * (velocity + weight_decay * w), {"v": velocity}


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
    """Adam with decoupled decay and without bias correction, in float64."""
    first = beta1 * state["m"] + (1.0 - beta1) * g
    second = beta2 * state["v"] + (1.0 - beta2) * np.square(g)
    return w - lr * (first / (np.sqrt(second) + eps) + weight_decay * w), {"m": first, "v": second}


_BASE: Final = (
    Hyperparameter("learning_rate", kind="rate"),
    Hyperparameter("weight_decay", kind="decay"),
    Hyperparameter("loss_scale", interval="(0, inf)", kind="number"),
)

INNER: Final = OptimizerSpec(
    name="inner_momentum",
    implementation=f"{__name__}:InnerMomentum",
    hyperparameters=(*_BASE, Hyperparameter("inner_momentum", interval="[0, 1)")),
    state=(StateSlot("v", prefix="inner_velocity"),),
    oracle=descend_reference,
)
"""Momentum with a rule; decay in the gradient."""

DECOUPLED: Final = replace(
    INNER,
    name="inner_decoupled",
    implementation=f"{__name__}:InnerDecoupled",
    capabilities=Capabilities(weight_decay="update"),
)
"""Momentum with a rule; decay in its own update."""

CLASSIC: Final = replace(INNER, name="inner_classic", implementation=f"{__name__}:InnerClassic")
"""Momentum with a ``construct`` of its own."""

MINDSPORE: Final = OptimizerSpec(
    name="mindspore_momentum",
    implementation=nn.Momentum,
    hyperparameters=(*_BASE, Hyperparameter("momentum", interval="[0, 1)", saved_as="momentum")),
    state=(StateSlot("v", prefix="moments"),),
    oracle=lambda *arguments, momentum, **more: descend_reference(*arguments, inner_momentum=momentum, **more),
    capabilities=Capabilities(centralization=False, dtypes=("float32",)),
)
"""MindSpore's own momentum; decay in the gradient."""

MINDSPORE_DECOUPLED: Final = OptimizerSpec(
    name="mindspore_adam_weight_decay",
    implementation=nn.AdamWeightDecay,
    hyperparameters=(
        *_BASE[:2],
        *(Hyperparameter(name, interval="(0, 1)") for name in ("beta1", "beta2")),
        Hyperparameter("eps", interval="(0, inf)"),
    ),
    state=(StateSlot("m", prefix="adam_m"), StateSlot("v", prefix="adam_v")),
    oracle=adapt_reference,
    capabilities=Capabilities(weight_decay="update", loss_scale=False, centralization=False, dtypes=("float32",)),
)
"""MindSpore's own Adam with decay in its own update."""


class InnerMomentum(Optimizer):
    """Momentum with decay in the gradient.

    Arguments:
        params: Parameters, or group dicts.
        learning_rate: a rate >= 0.
        weight_decay: L2 penalty, >= 0.
        loss_scale: what gradients are divided by, > 0.
        inner_momentum: a float in [0, 1).
    """

    spec = INNER
    rule = descend

    def __init__(
        self, params: Any, learning_rate: Any, weight_decay: Any, loss_scale: float, inner_momentum: float
    ) -> None:
        super().__init__(
            learning_rate, params, weight_decay, loss_scale, hyperparameters={"inner_momentum": inner_momentum}
        )


class InnerDecoupled(InnerMomentum):
    """Momentum with decay in its own update; the arguments are those of `InnerMomentum`."""

    spec = DECOUPLED
    rule = descend_decoupled


class InnerClassic(InnerMomentum):
    """Momentum as operators; the arguments are those of `InnerMomentum`."""

    spec = CLASSIC
    rule = None  # type: ignore[assignment]

    def __init__(
        self, params: Any, learning_rate: Any, weight_decay: Any, loss_scale: float, inner_momentum: float
    ) -> None:
        super().__init__(params, learning_rate, weight_decay, loss_scale, inner_momentum)
        self.inner_momentum = inner_momentum
        self.velocities = self.parameters.clone(prefix="inner_velocity", init="zeros")

    def construct(self, gradients: Any) -> Any:
        """One step."""
        rates = self.get_lr()
        gradients = self.scale_grad(self.gradients_centralization(self.decay_weight(gradients)))
        done: Any = ()
        for i in range(self.param_length):
            rate = rates
            if self.is_group_lr:
                rate = rates[i]
            velocity = self.inner_momentum * self.velocities[i] + gradients[i]
            moved = self.parameters[i] - rate * velocity
            written = ops.assign(self.velocities[i], velocity)
            done += (ops.depend(ops.assign(self.parameters[i], moved), written),)
        return ops.depend(done, self.next_step())

"""Small things that the examples in the documentation are made of: a tensor, a Parameter, an optimizer."""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import Parameter, Tensor

from tinyms_core.kernels import math
from tinyms_core.kernels.rule import rule
from tinyms_core.optimizer.base import Optimizer
from tinyms_core.optimizer.wrapping import WrappingOptimizer
from tinyms_core.registry.specs import Capabilities, Hyperparameter, OptimizerSpec


def tensor(values: Any, dtype: Any = np.float32) -> Tensor:
    """A tensor of nested lists."""
    return Tensor(np.array(values, dtype=dtype))


def parameter(name: str, values: Any, dtype: Any = np.float32) -> Parameter:
    """A Parameter of nested lists."""
    return Parameter(tensor(values, dtype), name=name)


def unit_step(w, g, lr):  # type: ignore[no-untyped-def]
    """A step of fixed length against the gradient, as an update written out."""
    return w - lr.astype(w.dtype) * g / g.norm()


@rule()
def sign_descent(w, g, lr):  # type: ignore[no-untyped-def]
    """A step of fixed length against the gradient's sign."""
    return w - lr * math.sign(g)


class SignDescent(Optimizer):
    r"""The smallest optimizer with a rule: :math:`w \leftarrow w - \eta \operatorname{sign}(g)`.

    Arguments:
        params: Parameters, or group dicts.
        learning_rate: length of a step.
        weight_decay: L2 penalty, >= 0.
        loss_scale: what gradients are divided by, > 0.

    Example:
        >>> from tinyms_core.examples import SignDescent, parameter, tensor
        >>> w = parameter("w", [1.0, -2.0])
        >>> _ = SignDescent([w], learning_rate=0.5)((tensor([3.0, -0.1]),))
        >>> w.asnumpy().tolist()
        [0.5, -1.5]
    """

    spec = OptimizerSpec(
        name="sign_descent",
        implementation="tinyms_core.examples:SignDescent",
        summary="A step of fixed length against the gradient's sign.",
        hyperparameters=(
            Hyperparameter("learning_rate", kind="rate"),
            Hyperparameter("weight_decay", 0.0, kind="decay"),
            Hyperparameter("loss_scale", 1.0, "(0, inf)", kind="number"),
        ),
    )
    rule = sign_descent

    def __init__(self, params: Any, learning_rate: Any, weight_decay: Any = 0.0, loss_scale: Any = 1.0) -> None:
        super().__init__(learning_rate, params, weight_decay, loss_scale)


@rule()
def unit_length(w, g, epsilon):  # type: ignore[no-untyped-def]
    """The factor that gives a gradient the length 1."""
    return 1 / (math.norm(g) + epsilon)


class UnitGradient(WrappingOptimizer):
    r"""The smallest optimizer around another one: :math:`\lambda = 1 / (\|g\| + \epsilon)`.

    Arguments:
        optimizer: the optimizer that the gradients are made for.
        epsilon: what is added to the norm, a float > 0.

    Example:
        >>> from mindspore import nn
        >>> from tinyms_core.examples import UnitGradient, parameter, tensor
        >>> w = parameter("w", [1.0])
        >>> _ = UnitGradient(nn.SGD([w], learning_rate=0.5))((tensor([30.0]),))
        >>> w.asnumpy().round(4).tolist()
        [0.5]
    """

    spec = OptimizerSpec(
        name="unit_gradient",
        implementation="tinyms_core.examples:UnitGradient",
        summary="Gradients of length 1 for another optimizer.",
        hyperparameters=(Hyperparameter("epsilon", 1e-8, "(0, inf)"),),
        capabilities=Capabilities(wraps_optimizer=True, layerwise=True),
    )
    factor = unit_length

    def __init__(self, optimizer: Any, epsilon: float = 1e-8) -> None:
        super().__init__(optimizer, hyperparameters={"epsilon": epsilon})

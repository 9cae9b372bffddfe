"""Small things that the examples in the documentation are made of: a tensor, a Parameter, an optimizer."""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import Parameter, Tensor

from tinyms_core.kernels import math
from tinyms_core.kernels.rule import rule
from tinyms_core.optimizer.base import Optimizer
from tinyms_core.registry.specs import Hyperparameter, OptimizerSpec


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

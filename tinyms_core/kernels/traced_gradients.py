"""Preprocessing of gradients as MindSpore operators.

The arithmetic is in float32 at least; a dense gradient comes back in the dtype that it had.
"""

from __future__ import annotations

from typing import Any

import mindspore
from mindspore import ops

FLOATS = (mindspore.float32, mindspore.float16, mindspore.bfloat16, mindspore.float64)


def decayed(gradient: Any, parameter: Any, decay: Any) -> Any:
    """``gradient + decay * parameter``; ``decay`` is a 0-d tensor that already carries the loss scale."""
    kind = arithmetic_dtype(gradient.dtype, parameter.dtype)
    result = ops.cast(gradient, kind) + ops.cast(decay, kind) * ops.cast(parameter, kind)
    return ops.cast(result, gradient.dtype)


def centralized(gradient: Any) -> Any:
    """``gradient`` less its mean over all axes but the first."""
    kind = arithmetic_dtype(gradient.dtype, gradient.dtype)
    wide = ops.cast(gradient, kind)
    shape = gradient.shape
    rows = wide.reshape((shape[0], -1))
    result = (rows - rows.mean(1, True)).reshape(shape)
    return ops.cast(result, gradient.dtype)


def scaled(gradient: Any, reciprocal: Any) -> Any:
    """``gradient * reciprocal``; ``reciprocal`` is a 0-d tensor."""
    kind = arithmetic_dtype(gradient.dtype, gradient.dtype)
    return ops.cast(ops.cast(gradient, kind) * ops.cast(reciprocal, kind), gradient.dtype)


def arithmetic_dtype(gradient: Any, parameter: Any) -> Any:
    """The dtype to compute in: float64 when either operand is, else float32."""
    if gradient == mindspore.float64 or parameter == mindspore.float64:
        return mindspore.float64
    return mindspore.float32


def prepared(gradient: Any, parameter: Any, kind: Any, factors: Any, flags: Any) -> Any:
    """A dense gradient as the rule sees it, in the dtype ``kind``.

    ``factors`` are the decay times the loss scale and the reciprocal of the loss scale; ``flags`` say whether
    it is decayed, centralized and scaled.
    """
    result = ops.cast(gradient, kind)
    if flags[0]:
        result = decayed(result, parameter, factors[0])
    if flags[1]:
        result = centralized(result)
    if flags[2]:
        result = scaled(result, factors[1])
    return result


# A graph tells dense gradients and rows apart by overloading: an `if` on them crashes its compiler.
check_gradient = ops.MultitypeFuncGraph("check_gradient")


@check_gradient.register("Tensor", "Tensor", "String")
def _check_dense(parameter: Any, gradient: Any, name: str) -> bool:
    if gradient.shape != parameter.shape:
        raise ValueError(f"{name} has shape {gradient.shape}, the parameter has {parameter.shape}")
    if gradient.dtype not in FLOATS:
        raise TypeError(f"{name} is of {gradient.dtype}; it must be a floating-point Tensor")
    return True


@check_gradient.register("Tensor", "RowTensor", "String")
def _refuse_row_tensor(parameter: Any, gradient: Any, name: str) -> bool:
    raise TypeError(f"{name} is sparse, which is not supported in a graph; make it dense")


@check_gradient.register("Tensor", "Tuple", "String")
def _refuse_tuple(parameter: Any, gradient: Any, name: str) -> bool:
    raise TypeError(f"{name} is sparse, which is not supported in a graph; make it dense")

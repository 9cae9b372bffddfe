"""Preprocessing of dense gradients as MindSpore operators: what the public methods of the base do.

The arithmetic is in float32 at least; a gradient comes back in the dtype that it had.
"""

from __future__ import annotations

from typing import Any

import mindspore
from mindspore import ops


is_rows = ops.MultitypeFuncGraph("is_rows")
"""Whether a gradient in a graph is sparse; known when the graph is compiled."""


@is_rows.register("Tensor")
def _dense(gradient: Any) -> bool:
    return False


@is_rows.register("RowTensor")
def _row_tensor(gradient: Any) -> bool:
    return True


@is_rows.register("Tuple")
def _tuple(gradient: Any) -> bool:
    return True


rows_of = ops.MultitypeFuncGraph("rows_of")
"""Indices, values and dense shape of a sparse gradient in a graph."""


@rows_of.register("RowTensor")
def _rows_of_row_tensor(gradient: Any) -> Any:
    return gradient.indices, gradient.values, gradient.dense_shape


@rows_of.register("Tuple")
def _rows_of_tuple(gradient: Any) -> Any:
    return gradient[0], gradient[1], gradient[2]


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

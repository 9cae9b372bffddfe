"""Checks and preprocessing of gradients as MindSpore operators, dense ones and rows.

The arithmetic is in float32 at least; the public methods give a dense gradient back in the dtype that it had.
"""

from __future__ import annotations

from typing import Any

import mindspore
from mindspore import ops

FLOATS = (mindspore.float32, mindspore.float16, mindspore.bfloat16, mindspore.float64)
INDICES = (mindspore.int32, mindspore.int64)


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


def prepared(
    gradient: Any, parameter: Any, kind: Any, decay: Any, reciprocal: Any, decays: bool, centers: bool, scales: bool
) -> Any:
    """A dense gradient as the rule sees it, in the dtype ``kind``.

    ``decay`` is the decay times the loss scale, ``reciprocal`` that of the loss scale; the flags say whether the
    gradient is decayed, centralized and scaled.
    """
    result = ops.cast(gradient, kind)
    if decays:
        result = decayed(result, parameter, decay)
    if centers:
        result = centralized(result)
    if scales:
        result = scaled(result, reciprocal)
    return result


def distinct_rows(indices: Any, values: Any, summed: bool) -> Any:
    """Rows and their values; with ``summed``, rows that occur several times are added up."""
    if summed:
        rows, places = ops.unique(indices)
        return rows, ops.unsorted_segment_sum(values, places, rows.shape[0])
    return indices, values


def prepared_rows(
    values: Any, rows: Any, parameter: Any, kind: Any, decay: Any, reciprocal: Any, decays: bool, centers: bool,
    scales: bool,
) -> Any:  # fmt: skip
    """Distinct rows of a gradient as the rule sees them: `prepared` for these rows of the parameter."""
    own = ops.gather(ops.cast(parameter, kind) if parameter.dtype == mindspore.bfloat16 else parameter, rows, 0)
    return prepared(values, own, kind, decay, reciprocal, decays, centers, scales)


def densified_rows(
    values: Any, indices: Any, parameter: Any, kind: Any, decay: Any, reciprocal: Any, decays: bool, centers: bool,
    scales: bool,
) -> Any:  # fmt: skip
    """The dense gradient that rows stand for, as the rule sees it: only the rows that occur are decayed."""
    if indices.shape[0] == 0:
        return ops.zeros_like(ops.cast(parameter, kind))
    result = ops.unsorted_segment_sum(values, indices, parameter.shape[0])
    if decays:
        counts = ops.unsorted_segment_sum(ops.ones_like(indices).astype(kind), indices, parameter.shape[0])
        touched = (counts > 0).reshape((-1,) + (1,) * (parameter.ndim - 1))
        own = ops.cast(parameter, kind)
        result = decayed(result, ops.where(touched, own, ops.zeros_like(own)), decay)
    return prepared(result, parameter, kind, decay, reciprocal, False, centers, scales)


def refuse(refused: Any, message: str) -> Any:
    """Raise a ValueError where a condition holds, in a graph when it runs and before anything is assigned.

    It is a function of its own because MindSpore keeps, in a graph that itself branches, the memory that Parameters
    had when it was compiled: `load_param_into_net` would not reach it. MindSpore keeps the order of calls that raise
    and of assignments; an `ops.depend` on the result would crash its compiler where the gradients of rows are taken
    in the same graph.
    """
    if refused:
        raise ValueError(message)
    return refused


# A graph tells dense gradients and rows apart by overloading: an `if` on them crashes its compiler. Each gives
# how many rows are outside the table: the number 0 where that is known when the graph is compiled.
check_gradient = ops.MultitypeFuncGraph("check_gradient")


@check_gradient.register("Tensor", "Tensor", "String", "Bool")
def _check_any_dense(parameter: Any, gradient: Any, name: str, sparse: bool) -> Any:
    return check_dense(parameter, gradient, name)


def check_dense(parameter: Any, gradient: Any, name: str) -> Any:
    """Refuse a dense gradient that does not fit, when the graph is compiled."""
    if gradient.shape != parameter.shape:
        raise ValueError(f"{name} has shape {gradient.shape}, the parameter has {parameter.shape}")
    if gradient.dtype not in FLOATS:
        raise TypeError(f"{name} is of {gradient.dtype}; it must be a floating-point Tensor")
    return 0


@check_gradient.register("Tensor", "RowTensor", "String", "Bool")
def _check_row_tensor(parameter: Any, gradient: Any, name: str, sparse: bool) -> Any:
    return _check_rows(parameter, gradient.indices, gradient.values, gradient.dense_shape, name, sparse)


@check_gradient.register("Tensor", "Tuple", "String", "Bool")
def _check_tuple(parameter: Any, gradient: Any, name: str, sparse: bool) -> Any:
    return _check_rows(parameter, gradient[0], gradient[1], gradient[2], name, sparse)


# Whether a gradient is dense: 1 or 0, known when the graph is compiled.
is_dense = ops.MultitypeFuncGraph("is_dense")


@is_dense.register("Tensor")
def _tensor_is_dense(gradient: Any) -> Any:
    return 1


@is_dense.register("RowTensor")
def _row_tensor_is_sparse(gradient: Any) -> Any:
    return 0


@is_dense.register("Tuple")
def _tuple_is_sparse(gradient: Any) -> Any:
    return 0


def fits_host(gradient: Any) -> Any:
    """Whether a custom operator of the host takes a dense gradient, known when the graph is compiled."""
    return gradient.dtype != mindspore.bfloat16


def _check_rows(parameter: Any, indices: Any, values: Any, shape: Any, name: str, sparse: bool) -> Any:
    if not sparse:
        raise TypeError(f"{name} is sparse, which the optimizer does not support; make it dense")
    if shape != parameter.shape:
        raise ValueError(f"{name} is for shape {shape}, the parameter has {parameter.shape}")
    if indices.dtype not in INDICES:
        raise TypeError(f"{name} has indices of {indices.dtype}; int32 or int64 is right")
    if values.dtype not in FLOATS:
        raise TypeError(f"{name} has values of {values.dtype}, which are not floating-point")
    if indices.ndim != 1 or values.shape[1:] != parameter.shape[1:] or values.shape[0] != indices.shape[0]:
        raise ValueError(f"{name} has indices of shape {indices.shape} and values of shape {values.shape}")
    if indices.shape[0] == 0:
        return 0
    return ops.cast(ops.logical_or(indices.min() < 0, indices.max() >= parameter.shape[0]), mindspore.int32)

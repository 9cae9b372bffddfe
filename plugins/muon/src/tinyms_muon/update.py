"""Muon's update as MindSpore operators: what a graph of any device is traced from."""

from typing import Any

from mindspore import ops

from tinyms_core import Update
from tinyms_muon.kernels import KERNEL


def muon(
    w: Any, g: Any, m: Any, v: Any, lr: Any, t: Any, weight_decay: Any, momentum: Any, nesterov: Any, ns_steps: Any,
    ns_coefficients: Any, orthogonal: Any, match_adamw: Any, adamw_scale: Any, adamw_beta1: Any, adamw_beta2: Any,
    adamw_eps: Any,
) -> Any:  # fmt: skip
    """One step of one parameter; scalars are in the dtype of t, the rest in that of w."""
    if w.size > 0:
        kind = w.dtype
        if orthogonal and w.ndim > 1:
            rate = lr
            kept, new = ops.cast(momentum, kind), ops.cast(1 - momentum, kind)
            m = kept * m + new * g
            ahead = m
            if nesterov:
                ahead = kept * m + new * g
            matrix = ahead.reshape((w.shape[0], -1))
            size = step_size(matrix.shape[0], matrix.shape[1], match_adamw, lr)
            step = orthogonalised(matrix, ns_steps, ns_coefficients, lr).reshape(w.shape)
            step = ops.cast(rate * size, kind) * step
        else:
            rate = lr
            if not match_adamw:
                rate = lr * adamw_scale
            m = ops.cast(adamw_beta1, kind) * m + ops.cast(1 - adamw_beta1, kind) * g
            v = ops.cast(adamw_beta2, kind) * v + ops.cast(1 - adamw_beta2, kind) * g * g
            root = ops.sqrt(1 - ops.pow(adamw_beta2, t))
            step = ops.cast(rate * root / (1 - ops.pow(adamw_beta1, t)), kind) * m
            step = step / (ops.sqrt(v) + ops.cast(adamw_eps * root, kind))
        w = w - (ops.cast(rate * weight_decay, kind) * w + step)
    return w, m, v


def step_size(rows: Any, columns: Any, match_adamw: Any, like: Any) -> Any:
    """What an orthogonal matrix is multiplied by, beside the rate, as a tensor like another."""
    # Of tensors and integers: a float such as 0.2 would be rounded to float32 in a graph.
    one = ops.ones_like(like)
    return ops.sqrt(one * max(rows, columns)) / 5 if match_adamw else ops.sqrt(one * max(rows, columns) / columns)


def orthogonalised(matrix: Any, steps: Any, coefficients: Any, like: Any) -> Any:
    """A matrix with all singular values near 1, by Newton and Schulz's iteration of the fifth order.

    Its norm is computed in the dtype of another tensor.
    """
    kind = matrix.dtype
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    # Of elements that are 1 at most, no square is too large, and none that counts is too small: Ascend has no float64.
    wide = ops.cast(x, like.dtype)
    largest = ops.abs(wide).max()
    largest = ops.select(largest > 0, largest, ops.ones_like(largest))
    norm = largest * ops.sqrt(ops.square(wide / largest).sum())
    x = x * ops.cast(1 / ops.maximum(norm, ops.ones_like(norm) / 10000000), kind)
    first, second, third = (ops.cast(c, kind) for c in coefficients)
    for _ in range(steps):
        gram = ops.matmul(x, x.T)
        x = first * x + ops.matmul(second * gram + third * ops.matmul(gram, gram), x)
    return x.T if tall else x


UPDATE = Update(muon, state=("m", "v"), host=KERNEL)

"""AdaFactor's update as MindSpore operators: what a graph of any device is traced from."""

from typing import Any

import mindspore
from mindspore import ops

from tinyms_adafactor.kernels import AdaFactorKernel
from tinyms_core import Update

LARGEST = 3.4028234663852886e38


def adafactor(
    w: Any, g: Any, rows: Any, columns: Any, full: Any, average: Any, lr: Any, t: Any, weight_decay: Any, eps: Any,
    clip_threshold: Any, decay_rate: Any, beta1: Any, scale_parameter: Any, relative_step: Any, warmup_init: Any,
    compression: Any,
) -> Any:  # fmt: skip
    """One step of one parameter; sums and scalars are in the dtype of t, the rest in that of w."""
    if w.size > 0:
        rate = relative_rate(t, warmup_init) if relative_step else lr
        if scale_parameter:
            rate = rate * ops.maximum(eps[1], root_mean_square(w, t.dtype))
        memory = 1 - ops.pow(t, -decay_rate)
        square = ops.square(ops.cast(g, t.dtype)) + eps[0]
        if w.ndim > 1:
            rows = fitted(memory * rows + (1 - memory) * square.mean(-1), w.dtype)
            columns = fitted(memory * columns + (1 - memory) * square.mean(-2), w.dtype)
            wide = ops.cast(rows, t.dtype)
            row_factors = inverse_root(ops.where(wide == 0, wide, wide / wide.mean(-1, True)), w.dtype).expand_dims(-1)
            column_factors = inverse_root(ops.cast(columns, t.dtype), w.dtype).expand_dims(-2)
            direction = g * row_factors * column_factors
        else:
            moment = ops.cast(full, t.dtype)
            if compression:
                moment = moment * ops.exp2(-ops.cast(rows, t.dtype)).reshape(())
            moment = memory * moment + (1 - memory) * square
            direction = ops.cast(ops.where(moment > 0, ops.cast(g, t.dtype) / ops.sqrt(moment), moment), w.dtype)
            if compression:
                exponent = stored_exponent(moment)
                rows = exponent.reshape((1,))
                full = ops.cast(moment * ops.exp2(exponent), mindspore.float32)
            else:
                full = fitted(moment, w.dtype)
        length = root_mean_square(direction, t.dtype)
        change = ops.cast(ops.where(length <= clip_threshold, rate, rate * clip_threshold / length), w.dtype)
        change = change * direction
        if beta1 is not None:
            average = ops.cast(beta1, w.dtype) * average + ops.cast(1 - beta1, w.dtype) * change
            change = average
        w = w - (ops.cast(weight_decay * rate, w.dtype) * w + change)
    return w, rows, columns, full, average


def relative_rate(t: Any, warmup_init: Any) -> Any:
    """The rate that depends on the step alone."""
    # A literal such as 0.01 would be rounded to float32 in a graph.
    limit = t / 1000000 if warmup_init else ops.ones_like(t) / 100
    return ops.minimum(limit, 1 / ops.sqrt(t))


def root_mean_square(values: Any, kind: Any) -> Any:
    """The root of the mean of the squares over the whole tensor."""
    return ops.sqrt(ops.square(ops.cast(values, kind)).mean())


def fitted(values: Any, kind: Any) -> Any:
    """Averages in a dtype: one that is finite but beyond float32 becomes the largest number there."""
    if kind == mindspore.float32:
        beyond = ops.logical_and(values > LARGEST, ops.isfinite(values))
        values = ops.where(beyond, ops.full_like(values, LARGEST), values)
    return ops.cast(values, kind)


def inverse_root(values: Any, kind: Any) -> Any:
    """One over the square root; zero of zero, which is the average where every gradient has been zero."""
    return ops.cast(ops.where(values == 0, values, 1 / ops.sqrt(values)), kind)


def stored_exponent(moment: Any) -> Any:
    """The power of two with which a moment is stored in float16; see the kernel."""
    low, high = moment.min(), moment.max()
    whole = ops.logical_and(low >= 1 / 16384, high < 32768)
    return ops.where(whole, ops.zeros_like(high), 14 - ops.floor(ops.log2(high)))


UPDATE = Update(adafactor, state=("rows", "columns", "full", "average"), counters=("step",), host=AdaFactorKernel)

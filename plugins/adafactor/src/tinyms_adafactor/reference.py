"""AdaFactor in float64 numpy, written from the paper and apart from the kernels: what these are compared with."""

from math import frexp, sqrt
from typing import Any

import numpy as np


def reference(
    w: Any,
    g: Any,
    state: dict[str, Any],
    *,
    lr: float | None,
    t: int,
    weight_decay: float,
    eps: tuple[float, float],
    clip_threshold: float,
    decay_rate: float,
    beta1: float | None,
    scale_parameter: bool,
    relative_step: bool,
    warmup_init: bool,
    compression: bool,
) -> tuple[Any, dict[str, Any]]:
    """One step on float64 arrays; returns the new parameter and the new state."""
    new = {**state, "step": float(t)}
    if w.size == 0:
        return w, new
    memory = 1.0 - t**-decay_rate
    square = np.square(g) + eps[0]
    if w.ndim >= 2:
        new["rows"] = memory * state["rows"] + (1.0 - memory) * np.mean(square, axis=-1)
        new["columns"] = memory * state["columns"] + (1.0 - memory) * np.mean(square, axis=-2)
        shares = new["rows"] / np.mean(new["rows"], axis=-1, keepdims=True)
        direction = g / np.sqrt(shares[..., :, None] * new["columns"][..., None, :])
    else:
        exponent = float(state["rows"][0]) if compression else 0.0
        moment = memory * (state["full"] * 2.0**-exponent) + (1.0 - memory) * square
        direction = g / np.sqrt(moment)
        if compression:
            exponent = _exponent(moment)
            new["rows"] = np.array([exponent])
        new["full"] = moment * 2.0**exponent
    direction = direction / max(1.0, _rms(direction) / clip_threshold)
    if relative_step:
        rate = min(1e-6 * t if warmup_init else 1e-2, 1.0 / sqrt(t))
    else:
        assert lr is not None
        rate = lr
    if scale_parameter:
        rate = rate * max(eps[1], _rms(w))
    change = rate * direction
    if beta1 is not None:
        change = new["average"] = beta1 * state["average"] + (1.0 - beta1) * change
    return w - weight_decay * rate * w - change, new


def _rms(values: Any) -> float:
    # Scaled by the largest, so that squares of very large or small values neither overflow nor vanish.
    largest = float(np.max(np.abs(values)))
    return largest * sqrt(float(np.mean(np.square(values / largest)))) if largest > 0.0 else 0.0


def _exponent(moment: Any) -> float:
    """The power of two with which a compressed moment is stored, such that float16 holds it."""
    low, high = float(np.min(moment)), float(np.max(moment))
    return 0.0 if low >= 2.0**-14 and high < 2.0**15 else 15.0 - frexp(high)[1]

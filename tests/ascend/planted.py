"""An optimizer whose step has operators that MindSpore does not declare for Ascend."""

from __future__ import annotations

from typing import Any

import mindspore
from mindspore import Parameter, Tensor, ops

import tinyms_core


class Planted(tinyms_core.Optimizer):
    """A step by an operator that is deprecated, and a maximum in float64."""

    def __init__(self, params: Any, learning_rate: float) -> None:
        super().__init__(learning_rate, params)
        self.kept = [Parameter(Tensor([1.0, 1.0], mindspore.float32), name=name) for name in ("accum", "linear")]
        self.accum, self.linear = self.kept
        self.ftrl = ops.ApplyFtrl()

    def construct(self, gradients: Any) -> Any:
        wide = ops.cast(gradients[0], mindspore.float64)
        gradient = ops.cast(ops.maximum(wide, -wide), mindspore.float32)
        done = self.ftrl(self.parameters[0], self.accum, self.linear, gradient, 0.1, 0.0, 0.0, -0.5)
        return ops.depend(self.next_step(), done)

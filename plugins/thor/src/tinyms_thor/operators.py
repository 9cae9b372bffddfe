"""Curvature in a graph: the host's functions as operators, with what is kept as Parameters that they read and write."""

from __future__ import annotations

import inspect
from typing import Any

import mindspore
import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from tinyms_thor.curvature import Curvature, Options, damping_at, normalized


class PlainGradient(nn.Cell):
    """A parameter without curvature: its gradient as it is."""

    def on_host(self, gradient: Any, step: int, damping: Any) -> Any:
        """The gradient that the rule sees."""
        return gradient

    def construct(self, gradient: Any, step: Any, damping: Any) -> Any:
        return gradient


class NormalizedGradient(nn.Cell):
    """A parameter of a layer normalization."""

    def __init__(self, options: Options) -> None:
        super().__init__(auto_prefix=False)
        self.options = options

        def compute(gradient: Any, step: Any, damping: Any) -> Any:
            return normalized(gradient, damping_at(damping, int(step[0])), options)

        self.compute = ops.Custom(
            compute,
            out_shape=lambda gradient, step, damping: gradient,
            out_dtype=lambda gradient, step, damping: gradient,
            func_type="pyfunc",
        )

    def on_host(self, gradient: Any, step: int, damping: Any) -> Any:
        """The gradient that the rule sees."""
        return Tensor(normalized(gradient.asnumpy(), damping_at(damping, step), self.options))

    def construct(self, gradient: Any, step: Any, damping: Any) -> Any:
        return self.compute(gradient, step, damping)


class CurvedGradient(nn.Cell):
    """The weight of a layer with curvature.

    Arguments:
        curvature: the layer's.
        weight: the weight.

    Attributes:
        kept: what is kept from step to step, as Parameters that a checkpoint holds.
    """

    def __init__(self, curvature: Curvature, weight: Parameter) -> None:
        super().__init__(auto_prefix=False)
        self.curvature = curvature
        first = curvature.initial()
        names = tuple(first)
        self.names = names
        self.kept = ParameterTuple(
            [
                Parameter(Tensor(value), name=f"{name}.{weight.name}", requires_grad=False)
                for name, value in first.items()
            ]
        )

        def compute(gradient: Any, step: Any, damping: Any, *values: Any) -> Any:
            return tuple(curvature.step(gradient, step, damping, names, values))

        # MindSpore reads the number of an operator's inputs off the function's signature.
        inputs = ("gradient", "step", "damping", *names)
        positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
        compute.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(name, positional) for name in inputs]
        )
        shapes = (tuple(weight.shape), *(tuple(value.shape) for value in first.values()))
        self.compute = ops.Custom(
            compute,
            out_shape=lambda *shapes_in: shapes,
            out_dtype=lambda *types: (mindspore.float32,) * len(shapes),
            func_type="pyfunc",
        )

    def on_host(self, gradient: Any, step: int, damping: Any) -> Any:
        """The gradient that the rule sees; what is kept is written in place."""
        kept = dict(zip(self.names, (parameter.asnumpy() for parameter in self.kept), strict=True))
        new = self.curvature.refreshed(step, damping_at(damping, step), kept)
        for name, value in (new or {}).items():
            kept[name][...] = value
        return Tensor(self.curvature.preconditioned(gradient.asnumpy(), kept))

    def construct(self, gradient: Any, step: Any, damping: Any) -> Any:
        results = self.compute(gradient, step, damping, *self.kept)
        done = results[0]
        for i in range(len(self.kept)):
            done = ops.depend(done, ops.assign(self.kept[i], results[i + 1]))
        return done


def as_values(tensor: Any) -> Any:
    """All values of a damping as an array on the host."""
    return np.asarray(tensor.asnumpy(), np.float32)

"""Curvature in a graph: the host's functions as one operator, and what is kept as Parameters that it writes."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mindspore
import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops
from mindspore.ops import constexpr

from tinyms_core.distributed import rank_count
from tinyms_thor import blas
from tinyms_thor.curvature import Curvature, Options, damping_at, due_layers, normalized, refresh_all

_assign = ops.MultitypeFuncGraph("assign")


@_assign.register("Tensor", "Tensor")
def _assign_one(held: Any, value: Any) -> Any:
    return ops.assign(held, value)


@constexpr(check=False)
def _one_process() -> bool:
    """True, a constant of a graph.

    Raises:
        RuntimeError: there are several processes.
    """
    if rank_count() > 1:
        raise RuntimeError(
            f"thor: {rank_count()} processes train together, and what they exchange is no part of a graph; step in "
            "PyNative and outside of compiled functions (gradients may be of one), or train in one process"
        )
    return True


# Multiplications that one thread is done with before several have begun.
_SMALL = 2**24


@dataclass(frozen=True)
class Curved:
    """A parameter whose gradient is preconditioned by the curvature of its layer.

    Arguments:
        index: its place among the optimizer's parameters.
        weight: the parameter.
        curvature: of its layer.
    """

    index: int
    weight: Parameter
    curvature: Curvature


class Conditioner(nn.Cell):
    """What makes of gradients those that the rule sees.

    All layers are in one operator: handing over to the host and back takes longer than the numbers of a small layer,
    and the factors of all layers are inverted together.

    Arguments:
        parameters: of the optimizer.
        curved: the weights of layers with curvature.
        normalized: places of the parameters that belong to normalizations.
        options: of the optimizer.
        groups: for each of the layers the number of the buffer in which its factors go between processes; None for
            few buffers.

    Attributes:
        kept: what is kept from step to step, as Parameters that a checkpoint holds.
        met: whether the last step that refreshes has come as far as to exchange something with other processes.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        curved: Sequence[Curved],
        normalized: Sequence[int],
        options: Options,
        groups: Sequence[int] | None = None,
    ) -> None:
        super().__init__(auto_prefix=False)
        self._curvatures = [entry.curvature for entry in curved]
        self._options = options
        self._groups = groups
        self.met = False
        self._small = sum(curvature.kind.work for curvature in self._curvatures) < _SMALL
        first = [entry.curvature.initial() for entry in curved]
        self._names = [tuple(values) for values in first]
        self.kept = ParameterTuple(
            [
                Parameter(Tensor(value), name=f"{name}.{entry.weight.name}", requires_grad=False)
                for entry, values in zip(curved, first, strict=True)
                for name, value in values.items()
            ]
        )
        self._first_normalized = len(curved)
        # Places of the gradients that change.
        self._chosen = [*(entry.index for entry in curved), *normalized]
        self.count = len(parameters)
        self.idle = not self._chosen
        self.assign_all = ops.HyperMap()
        self.compute = self._operator([tuple(parameter.shape) for parameter in (*parameters, *self.kept)])

    def _operator(self, shapes: Sequence[tuple[int, ...]]) -> Any:
        """The operator of step, damping, all gradients and what is kept; it returns the latter two anew."""
        count, alone = self.count, len(shapes) == 1

        def compute(step: Any, damping: Any, *values: Any) -> Any:
            done = int(step.reshape(-1)[0])
            results = list(values)
            chosen = [values[i] for i in self._chosen]
            gradients, kept = self._conditioned(chosen, values[count:], done, damping_at(damping, done))
            for i, gradient in zip(self._chosen, gradients, strict=True):
                results[i] = gradient
            results[count:] = map(np.ascontiguousarray, kept)
            return results[0] if alone else tuple(results)

        # MindSpore reads the number of an operator's inputs off the function's signature.
        inputs = ("step", "damping", *(f"value_{i}" for i in range(len(shapes))))
        positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
        compute.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(name, positional) for name in inputs]
        )
        # Of one output MindSpore takes no tuple.
        return ops.Custom(
            compute,
            out_shape=lambda *inputs: shapes[0] if alone else tuple(shapes),
            out_dtype=lambda *inputs: mindspore.float32 if alone else (mindspore.float32,) * len(shapes),
            func_type="pyfunc",
        )

    def _conditioned(
        self, gradients: Sequence[Any], kept: Sequence[Any], step: int, damping: float
    ) -> tuple[list[Any], list[Any]]:
        """What the chosen gradients become, and what is kept after the step: the given arrays where it stays."""
        layers = self._by_layer(kept)
        due = due_layers(self._curvatures, step, layers)
        self.met = bool(due)
        after = refresh_all(self._curvatures, due, step, damping, layers, self._groups)
        own = self._first_normalized
        triples = zip(self._curvatures, gradients[:own], after, strict=True)
        with blas.one_thread() if self._small else contextlib.nullcontext():
            results = [curvature.preconditioned(gradient, held) for curvature, gradient, held in triples]
        results += [normalized(gradient, damping, self._options) for gradient in gradients[own:]]
        return results, [held[name] for held, names in zip(after, self._names, strict=True) for name in names]

    def _by_layer(self, kept: Sequence[Any]) -> list[dict[str, Any]]:
        values = iter(kept)
        return [{name: next(values) for name in names} for names in self._names]

    def due(self, step: int) -> bool:
        """Whether a step makes inverses of any layer anew."""
        return bool(due_layers(self._curvatures, step, self._by_layer([held.asnumpy() for held in self.kept])))

    def on_host(self, gradients: Sequence[Any], step: int, damping: Any) -> list[Any]:
        """The gradients that the rule sees, in PyNative; what is kept is written in place."""
        kept = [parameter.asnumpy() for parameter in self.kept]
        chosen = [gradients[i].asnumpy() for i in self._chosen]
        conditioned, after = self._conditioned(chosen, kept, step, damping_at(damping, step))
        for held, value in zip(kept, after, strict=True):
            if held is not value:
                held[...] = value
        result = list(gradients)
        for i, gradient in zip(self._chosen, conditioned, strict=True):
            result[i] = Tensor(gradient)
        return result

    # Without loops: MindSpore nests a call for each turn of each loop, and ends at a thousand.
    def construct(self, gradients: Any, step: Any, damping: Any) -> Any:
        if self.idle or not _one_process():
            return gradients
        results = self.compute(step, damping, *gradients, *self.kept)
        if len(self.kept) == 0:
            return results if self.count > 1 else (results,)
        done = self.assign_all(_assign, self.kept, results[self.count :])
        return ops.depend(results[: self.count], done)


def as_values(tensor: Any) -> Any:
    """All values of a damping as an array on the host."""
    return np.asarray(tensor.asnumpy(), np.float32)

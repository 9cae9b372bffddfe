"""Seeing what goes through a layer: the operator of the layer is put into a Cell that looks at backward passes.

The layer keeps its class, its Parameters and its output, bit for bit: only the attribute that holds the operator is
another one, until it is put back. A layer's own hooks are no way: in a graph those of cells in a `SequentialCell` are
not called, which was measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mindspore
import numpy as np
from mindspore import Parameter, nn, ops

from tinyms_thor.curvature import Curvature


class Probe(nn.Cell):
    """Gives back what an operator returned; its gradient is the one that came, after it was looked at."""

    def __init__(self, curvature: Curvature) -> None:
        super().__init__(auto_prefix=False)

        def look(inputs: Any, gradients: Any, step: Any) -> Any:
            curvature.observe(inputs, gradients, int(step[0]))
            return np.zeros(1, np.float32)

        self.look = ops.Custom(
            look,
            out_shape=lambda inputs, gradients, step: (1,),
            out_dtype=lambda inputs, gradients, step: mindspore.float32,
            func_type="pyfunc",
        )

    def construct(self, inputs: Any, output: Any, step: Any) -> Any:
        return output

    # In a graph a bprop may not read Parameters, so the step is an argument.
    def bprop(self, inputs: Any, output: Any, step: Any, out: Any, dout: Any) -> Any:
        seen = self.look(inputs, dout, step)
        return ops.zeros_like(inputs), ops.depend(dout, seen), ops.zeros_like(step)


class Seen(nn.Cell):
    """An operator of a layer, looked at; how its arguments lie is the subclass's."""

    def __init__(self, operator: Any, curvature: Curvature, step: Parameter) -> None:
        super().__init__(auto_prefix=False)
        self.operator = operator
        self.probe = Probe(curvature)
        self.step = step
        self._curvature = curvature

    def __call__(self, *arguments: Any) -> Any:
        # A graph is made of `construct`; in PyNative, steps that nothing is seen at do without the probe.
        if not self._curvature.due(int(self.step.asnumpy()[0])):
            return self.operator(*arguments)
        return super().__call__(*arguments)


class SeenProduct(Seen):
    """An operator of an input and a weight, looked at."""

    def construct(self, inputs: Any, weight: Any) -> Any:
        return self.probe(inputs, self.operator(inputs, weight), self.step)


class SeenGather(Seen):
    """An operator that picks rows of a table, looked at."""

    def construct(self, table: Any, ids: Any, axis: Any) -> Any:
        return self.probe(ids, self.operator(table, ids, axis), self.step)


@dataclass(frozen=True)
class Place:
    """Where a layer holds the operator to look at.

    Arguments:
        layer: the layer.
        attribute: the operator's name there.
        seen: the Cell to put it into.
    """

    layer: nn.Cell
    attribute: str
    seen: Callable[..., Seen]

    @property
    def occupied(self) -> bool:
        """Whether somebody looks already."""
        return isinstance(getattr(self.layer, self.attribute), Seen)

    def attach(self, curvature: Curvature, step: Parameter) -> Callable[[], None]:
        """Look at the operator from now on.

        Returns:
            What puts the operator back.
        """
        operator = getattr(self.layer, self.attribute)
        # Not as a Cell sets an attribute, which would make it a child that is listed and saved with the layer.
        object.__setattr__(self.layer, self.attribute, self.seen(operator, curvature, step))
        return lambda: object.__setattr__(self.layer, self.attribute, operator)

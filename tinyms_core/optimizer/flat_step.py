"""A step in graph mode that is called from outside of a graph: every tensor is an argument of its own.

Of a tuple of tensors as an argument MindSpore takes time that grows with the square of its length, 150 ms for 500
gradients; and it corrupts memory where a tuple in a tuple holds the numbers of a shape, as rows of a sparse gradient
do. Here the tuples are made in the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mindspore import nn

from tinyms_core.optimizer.sparse import is_sparse, parts


class DenseStep(nn.Cell):
    """A step whose arguments are the gradients.

    Arguments:
        optimizer: whose step.
    """

    def __init__(self, optimizer: Any) -> None:
        super().__init__(auto_prefix=False)
        self.optimizer = optimizer

    def construct(self, *gradients: Any) -> Any:
        return self.optimizer(gradients)


class FlatStep(nn.Cell):
    """A step whose arguments are the gradients' tensors, one after the other; some are rows.

    Arguments:
        optimizer: whose step.
        shapes: for each gradient that is rows its dense shape, for the others None.
    """

    def __init__(self, optimizer: Any, shapes: Sequence[tuple[int, ...] | None]) -> None:
        super().__init__(auto_prefix=False)
        self.optimizer = optimizer
        self.sparse = tuple(shape is not None for shape in shapes)
        self.shapes = tuple(shape or () for shape in shapes)

    def construct(self, *tensors: Any) -> Any:
        gradients: Any = ()
        used = 0
        for i in range(len(self.sparse)):
            if self.sparse[i]:
                gradients += ((tensors[used], tensors[used + 1], self.shapes[i]),)
                used += 2
            else:
                gradients += (tensors[used],)
                used += 1
        return self.optimizer(gradients)


def positional(arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call in which gradients by name are in their place."""
    if not arguments and tuple(named) == ("gradients",):
        return (named["gradients"],), {}
    return arguments, named


def flattened(gradients: Sequence[Any]) -> tuple[tuple[tuple[int, ...] | None, ...], list[Any]]:
    """The gradients as a `FlatStep` takes them: the dense shapes of those that are rows, and all tensors."""
    shapes: list[tuple[int, ...] | None] = []
    tensors: list[Any] = []
    for gradient in gradients:
        if is_sparse(gradient):
            indices, values, shape = parts(gradient)
            shapes.append(shape)
            tensors += [indices, values]
        else:
            shapes.append(None)
            tensors.append(gradient)
    return tuple(shapes), tensors

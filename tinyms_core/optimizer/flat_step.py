"""A step in graph mode that is called from outside of a graph with rows of a sparse gradient.

MindSpore takes tensors as arguments of a graph, and tuples of tensors, but corrupts memory where a tuple in a
tuple holds the numbers of a shape. Here every tensor is an argument of its own, and the tuples are made in the
graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mindspore import nn

from tinyms_core.optimizer.sparse import is_sparse, parts


class FlatStep(nn.Cell):
    """A step whose arguments are the gradients' tensors, one after the other.

    Arguments:
        optimizer: whose step.
        sparse: which of its gradients are rows.
    """

    def __init__(self, optimizer: Any, sparse: Sequence[bool]) -> None:
        super().__init__(auto_prefix=False)
        self.optimizer = optimizer
        self.sparse = tuple(sparse)
        self.shapes = tuple(tuple(parameter.shape) for parameter in optimizer.parameters)

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


def flattened(gradients: Sequence[Any]) -> list[Any]:
    """The gradients' tensors: of rows, the indices and the values."""
    tensors: list[Any] = []
    for gradient in gradients:
        tensors += parts(gradient)[:2] if is_sparse(gradient) else [gradient]
    return tensors

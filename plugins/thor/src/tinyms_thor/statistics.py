"""What is seen of a layer in backward passes: sums over rows, from which its two factors are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tinyms_thor.blocks import Blocks, Diagonal
from tinyms_thor.patches import Window


@dataclass(frozen=True)
class Factors:
    """Both factors of a layer, in memory of their own.

    Arguments:
        a: of its inputs.
        g: of the gradients of its outputs, the loss scale taken out.
        samples: of how many samples; 0 where nothing was seen.
    """

    a: Any
    g: Any
    samples: int = 0


@dataclass
class Sums:
    """Sums over the rows of one or more backward passes.

    Arguments:
        a: of the inputs' outer products, or how often each id occurred.
        g: of the outer products of the outputs' gradients.
        samples: of how many samples.
        rows: of how many rows: samples times positions.
    """

    a: Any
    g: Any
    samples: int
    rows: int

    def plus(self, other: Sums) -> Sums:
        """Both together, as if all rows had been in one pass."""
        return Sums(self.a + other.a, self.g + other.g, self.samples + other.samples, self.rows + other.rows)

    def factors(self, loss_scale: float) -> Factors:
        """A and G, the loss scale taken out of G."""
        scale = float(self.samples) ** 2 / self.rows / loss_scale**2
        return Factors(self.a * np.float32(1.0 / self.samples), self.g * np.float32(scale), self.samples)


class Kind(Protocol):
    """What a layer of one kind computes from its input and its output's gradient."""

    inputs: Blocks | Diagonal
    outputs: Blocks

    @property
    def work(self) -> int:
        """Multiplications that `preconditioned` takes."""

    def sums(self, inputs: Any, gradients: Any) -> Sums:
        """The sums of one backward pass."""

    def preconditioned(self, gradient: Any, a_inverse: Any, g_inverse: Any) -> Any:
        """The gradient of the weight between both inverses, in the weight's shape."""


class DenseKind:
    """Rows times a matrix: weight (outputs, inputs)."""

    def __init__(self, outputs: int, inputs: int) -> None:
        self.inputs = Blocks(1, inputs)
        self.outputs = Blocks(1, outputs)

    @property
    def work(self) -> int:
        """Multiplications that `preconditioned` takes."""
        return self.outputs.work(self.inputs.size) + self.inputs.work(self.outputs.size)

    def sums(self, inputs: Any, gradients: Any) -> Sums:
        """The sums of one backward pass."""
        rows = inputs.reshape(1, -1, inputs.shape[-1])
        slopes = gradients.reshape(1, -1, gradients.shape[-1])
        return Sums(self.inputs.gram(rows), self.outputs.gram(slopes), rows.shape[1], rows.shape[1])

    def preconditioned(self, gradient: Any, a_inverse: Any, g_inverse: Any) -> Any:
        """The gradient of the weight between both inverses."""
        groups = self.outputs.groups
        split = gradient.reshape(groups, self.outputs.size, self.inputs.size)
        left = self.outputs.times(g_inverse, split)
        # The inverse is symmetric, so that from the right it is from the left of the transposed.
        right = self.inputs.times(a_inverse, left.swapaxes(1, 2)).swapaxes(1, 2)
        return np.ascontiguousarray(right, np.float32).reshape(gradient.shape)


class ConvolutionKind(DenseKind):
    """A convolution: weight (outputs, inputs / groups, height, width), images before features."""

    def __init__(self, shape: tuple[int, ...], groups: int, window: Window) -> None:
        self.inputs = Blocks(groups, int(np.prod(shape[1:])))
        self.outputs = Blocks(groups, shape[0] // groups)
        self.window = window

    def sums(self, inputs: Any, gradients: Any) -> Sums:
        """The sums of one backward pass; every position of every image is a row."""
        groups = self.inputs.groups
        rows = self.window.patches(inputs, groups)
        slopes = gradients.reshape(len(gradients), groups, self.outputs.size, -1).transpose(1, 0, 3, 2)
        slopes = slopes.reshape(groups, -1, self.outputs.size)
        return Sums(self.inputs.gram(rows), self.outputs.gram(slopes), len(inputs), rows.shape[1])


class EmbeddingKind:
    """A table of rows that are picked by ids: weight (ids, size); the first factor is diagonal."""

    def __init__(self, ids: int, size: int) -> None:
        self.inputs = Diagonal(ids)
        self.outputs = Blocks(1, size)

    @property
    def work(self) -> int:
        """Multiplications that `preconditioned` takes."""
        return self.outputs.work(self.inputs.total)

    def sums(self, inputs: Any, gradients: Any) -> Sums:
        """The sums of one backward pass; ids may be given as ids or as rows with a one."""
        slopes = gradients.reshape(1, -1, gradients.shape[-1])
        ids = self.inputs.total
        if np.issubdtype(inputs.dtype, np.floating):
            counts = inputs.reshape(-1, ids).sum(axis=0)
        else:
            inside = inputs[(inputs >= 0) & (inputs < ids)]
            counts = np.bincount(inside.reshape(-1), minlength=ids)
        rows = slopes.shape[1]
        return Sums(counts.astype(np.float32), self.outputs.gram(slopes), rows, rows)

    def preconditioned(self, gradient: Any, a_inverse: Any, g_inverse: Any) -> Any:
        """The gradient of the table between both inverses."""
        right = self.outputs.times(g_inverse, gradient[None].swapaxes(1, 2))[0].T
        return np.ascontiguousarray(right * a_inverse[:, None], np.float32)

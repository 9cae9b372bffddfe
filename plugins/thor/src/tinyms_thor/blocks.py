"""Symmetric matrices as blocks on a diagonal: how they are summed, inverted and applied.

A factor of ``size`` rows is held as an array of shape (blocks, edge, edge). There is one block where the size is at
most `LARGEST`, and else as few blocks of one edge as that allows; what lies between blocks is left out, and the last
block is filled up with zeros. A layer with groups has the blocks of its groups one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import lapack

LARGEST = 2048
"""Rows of a factor that is kept whole: 16 MiB."""

_ATTEMPTS = 3


@dataclass(frozen=True)
class Blocks:
    """How one factor of each group is laid out.

    Arguments:
        groups: how many groups the layer has.
        size: rows of a group's factor.
    """

    groups: int
    size: int

    @property
    def count(self) -> int:
        """Blocks of one group's factor."""
        return -(-self.size // LARGEST)

    @property
    def edge(self) -> int:
        """Rows of a block."""
        return -(-self.size // self.count)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of the array that holds all blocks."""
        return (self.groups * self.count, self.edge, self.edge)

    @property
    def total(self) -> int:
        """Rows of all groups' factors together."""
        return self.groups * self.size

    def identity(self) -> Any:
        """Blocks of ones on the diagonal."""
        return np.broadcast_to(np.eye(self.edge, dtype=np.float32), self.shape).copy()

    def gram(self, rows: Any) -> Any:
        """Sums of outer products of rows, given as (groups, rows, size)."""
        if self.count == 1:
            return np.matmul(rows.swapaxes(1, 2), rows)
        split = self._filled(rows, 2).reshape(*rows.shape[:2], self.count, self.edge).swapaxes(1, 2)
        return np.matmul(split.swapaxes(2, 3), split).reshape(self.shape)

    def times(self, blocks: Any, matrix: Any) -> Any:
        """The factor times a matrix, given as (groups, size, columns)."""
        split = self._filled(matrix, 1).reshape(self.groups, self.count, self.edge, matrix.shape[2])
        product = np.matmul(blocks.reshape(self.groups, self.count, self.edge, self.edge), split)
        return product.reshape(self.groups, -1, matrix.shape[2])[:, : self.size]

    def _filled(self, array: Any, axis: int) -> Any:
        missing = self.count * self.edge - self.size
        if missing == 0:
            return array
        return np.pad(array, [(0, missing if i == axis else 0) for i in range(array.ndim)])


@dataclass(frozen=True)
class Diagonal:
    """A factor that is diagonal, held as a vector.

    Arguments:
        total: its rows.
    """

    total: int

    def identity(self) -> Any:
        """Ones."""
        return np.ones(self.total, np.float32)


def trace(blocks: Any) -> float:
    """The sum of the diagonals of all blocks."""
    return float(np.trace(blocks, axis1=-2, axis2=-1).sum(dtype=np.float64))


def damped_inverse(blocks: Any, damping: float) -> tuple[Any, bool]:
    """Invert each block plus a multiple of the identity.

    Arguments:
        blocks: symmetric, finite, float32, of the shape (blocks, edge, edge).
        damping: what is added to the diagonals.

    Returns:
        The inverses, finite, and whether a block was not positive definite, so that more was added to it.
    """
    result = np.empty_like(blocks)
    helped = False
    for block, into in zip(blocks, result, strict=True):
        inverse = _cholesky_inverse(block, damping)
        if inverse is None:
            helped = True
            inverse = _with_more_damping(block, damping)
        into[...] = inverse
    return result, helped


def _cholesky_inverse(block: Any, damping: float) -> Any:
    """By LAPACK, on all cores; None where the block is not positive definite in float32."""
    matrix = np.array(block, np.float32, order="F")
    matrix.flat[:: len(matrix) + 1] += np.float32(damping)
    factor, failed = lapack.spotrf(matrix, lower=1, overwrite_a=1, clean=0)
    if failed:
        return None
    inverse, failed = lapack.spotri(factor, lower=1, overwrite_c=1)
    if failed or not np.isfinite(np.diagonal(inverse)).all():
        return None
    lower = np.tril(inverse)
    whole = lower + lower.T
    whole.flat[:: len(whole) + 1] *= np.float32(0.5)
    return whole if np.isfinite(whole).all() else None


def _with_more_damping(block: Any, damping: float) -> Any:
    mean = max(float(np.trace(block, dtype=np.float64)) / len(block), 0.0)
    extra = max(damping, 1e-6 * mean, 1e-30)
    for attempt in range(_ATTEMPTS):
        inverse = _cholesky_inverse(block, damping + extra * 10.0**attempt)
        if inverse is not None:
            return inverse
    values, vectors = np.linalg.eigh(block.astype(np.float64))
    floor = max(damping, 1e-6 * float(np.abs(values).max()), 1e-30)
    return ((vectors / np.maximum(values + damping, floor)) @ vectors.T).astype(np.float32)

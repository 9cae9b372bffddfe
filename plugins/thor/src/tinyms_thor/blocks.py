"""Symmetric matrices as blocks on a diagonal: how they are summed and applied.

A factor of ``size`` rows is held as an array of shape (blocks, edge, edge). There is one block where the size is at
most `LARGEST`, and else as few blocks of one edge as that allows; what lies between blocks is left out, and the last
block is filled up with zeros. A layer with groups has the blocks of its groups one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

LARGEST = 2048
"""Rows of a factor that is kept whole: 16 MiB."""


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

    def work(self, columns: int) -> int:
        """Multiplications that the factor times a matrix of so many columns takes."""
        return self.groups * self.count * self.edge**2 * columns

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

    @property
    def shape(self) -> tuple[int]:
        """The shape of the vector."""
        return (self.total,)

    def identity(self) -> Any:
        """Ones."""
        return np.ones(self.total, np.float32)


def trace(blocks: Any) -> float:
    """The sum of the diagonals of all blocks."""
    return float(np.trace(blocks, axis1=-2, axis2=-1).sum(dtype=np.float64))

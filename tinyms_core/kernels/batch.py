"""The tensors of one kernel call, cut into chunks.

A kernel updates all tensors of a call at once. Work is handed out in chunks of about `CHUNK` elements,
cut the same way whatever the number of threads, so that results never depend on it. The chunks of a
tensor whose gradient is centralized hold whole rows, so that a row's mean is computed while it is in
cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

CHUNK = 16_384
PARALLEL_ELEMENTS = 131_072
"""Below this many elements a step is shorter than waking a second thread."""

# What compiled code is given of a batch, in order.
BATCH_FRAME = ("chunk_tensor", "chunk_first", "chunk_last", "tensor_chunks", "sizes", "rows", "tensors", "chunks")

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Batch:
    """What a kernel has to know of its tensors that does not change from step to step.

    Attributes:
        sizes: elements of each tensor.
        rows: row length of each tensor whose gradient is centralized, else 0.
        chunk_tensor, chunk_first, chunk_last: each chunk's tensor and its range of elements.
        tensor_chunks: where each tensor's chunks begin, with the number of chunks at the end.
        shapes: each tensor's shape, where it was given; rules do not need it.
    """

    sizes: Integers
    rows: Integers
    chunk_tensor: Integers
    chunk_first: Integers
    chunk_last: Integers
    tensor_chunks: Integers
    shapes: tuple[tuple[int, ...], ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        # A copy's arrays lie elsewhere.
        return {name: value for name, value in self.__dict__.items() if name != "frame"}

    @cached_property
    def elements(self) -> int:
        """Elements of all tensors together."""
        return int(self.sizes.sum())

    @cached_property
    def frame(self) -> Integers:
        """`BATCH_FRAME`: the addresses of its arrays, and its numbers of tensors and chunks."""
        arrays = [getattr(self, name) for name in BATCH_FRAME[:-2]]
        return np.array([*(array.ctypes.data for array in arrays), len(self.sizes), self.chunks], dtype=np.int64)

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return len(self.chunk_tensor)


def make_batch(
    sizes: Sequence[int] | Integers,
    rows: Sequence[int] | Integers | None = None,
    chunk: int = CHUNK,
    shapes: Sequence[tuple[int, ...]] = (),
) -> Batch:
    """Cut tensors into chunks.

    Arguments:
        sizes: elements of each tensor; 0 is allowed.
        rows: row length of each tensor whose gradient is centralized, 0 for the others.
        chunk: elements of a chunk; rows are never cut.
        shapes: shape of each tensor, for kernels that want it.

    Returns:
        The batch.
    """
    lengths = np.asarray(sizes, dtype=np.int64)
    row_lengths = np.zeros_like(lengths) if rows is None else np.asarray(rows, dtype=np.int64)
    whole_rows = row_lengths * np.maximum(1, chunk // np.maximum(1, row_lengths))
    steps = np.where(row_lengths > 0, whole_rows, chunk)
    counts = -(-lengths // steps)
    tensor_chunks = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    tensor = np.repeat(np.arange(len(lengths), dtype=np.int64), counts)
    first = (np.arange(len(tensor), dtype=np.int64) - tensor_chunks[tensor]) * steps[tensor]
    last = np.minimum(first + steps[tensor], lengths[tensor])
    return Batch(lengths, row_lengths, tensor, first, last, tensor_chunks, tuple(shapes))

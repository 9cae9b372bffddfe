"""The tensors of one kernel call, cut into chunks.

A kernel updates all tensors of a call at once. Work is handed out in chunks of about `CHUNK` elements,
cut the same way whatever the number of threads, so that results never depend on it. The chunks of a
tensor whose gradient is centralized hold whole rows, so that a row's mean is computed while it is in
cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
class Wholes:
    """The tensors that a batch's tensors are parts of, whose other parts are elsewhere.

    Parts begin and end where a chunk of the whole does, so that sums over a whole are those of its chunks, in their
    order, whoever has computed them.

    Attributes:
        sizes: elements of each whole tensor.
        tensor_chunks: where each whole tensor's chunks begin, with the number of chunks at the end.
        gather: takes a row of numbers for each reduction, with one number for each chunk of the batch, and gives the
            same rows with one for each chunk of the wholes.
    """

    sizes: Integers
    tensor_chunks: Integers
    gather: Callable[[Floats], Floats]


@dataclass(frozen=True)
class Batch:
    """What a kernel has to know of its tensors that does not change from step to step.

    Attributes:
        sizes: elements of each tensor.
        rows: row length of each tensor whose gradient is centralized, else 0.
        chunk_tensor, chunk_first, chunk_last: each chunk's tensor and its range of elements.
        tensor_chunks: where each tensor's chunks begin, with the number of chunks at the end.
        shapes: each tensor's shape, where it was given; rules do not need it.
        wholes: what the tensors are parts of; None where each is whole.
        centralized: whether gradients of the step that the batch belongs to may be centralized, its own or others: all
            its batches have one kernel, since two need not give the last bits of a sum alike.
    """

    sizes: Integers
    rows: Integers
    chunk_tensor: Integers
    chunk_first: Integers
    chunk_last: Integers
    tensor_chunks: Integers
    shapes: tuple[tuple[int, ...], ...] = ()
    wholes: Wholes | None = None
    centralized: bool = False

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


def chunk_lengths(rows: Integers, chunk: int = CHUNK) -> Integers:
    """Say how many elements a chunk of each tensor has.

    Arguments:
        rows: row length of each tensor whose gradient is centralized, 0 for the others.
        chunk: elements of a chunk; rows are never cut.

    Returns:
        The lengths; a tensor's last chunk may be shorter.
    """
    whole_rows = rows * np.maximum(1, chunk // np.maximum(1, rows))
    return np.where(rows > 0, whole_rows, chunk)


def make_batch(
    sizes: Sequence[int] | Integers,
    rows: Sequence[int] | Integers | None = None,
    chunk: int = CHUNK,
    shapes: Sequence[tuple[int, ...]] = (),
    *,
    centralized: bool = False,
) -> Batch:
    """Cut tensors into chunks.

    Arguments:
        sizes: elements of each tensor; 0 is allowed.
        rows: row length of each tensor whose gradient is centralized, 0 for the others.
        chunk: elements of a chunk; rows are never cut.
        shapes: shape of each tensor, for kernels that want it.
        centralized: whether gradients that are in other batches of the same step are centralized.

    Returns:
        The batch.
    """
    lengths = np.asarray(sizes, dtype=np.int64)
    row_lengths = np.zeros_like(lengths) if rows is None else np.asarray(rows, dtype=np.int64)
    steps = chunk_lengths(row_lengths, chunk)
    counts = -(-lengths // steps)
    tensor_chunks = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    tensor = np.repeat(np.arange(len(lengths), dtype=np.int64), counts)
    first = (np.arange(len(tensor), dtype=np.int64) - tensor_chunks[tensor]) * steps[tensor]
    last = np.minimum(first + steps[tensor], lengths[tensor])
    by_rows = centralized or bool(row_lengths.any())
    return Batch(lengths, row_lengths, tensor, first, last, tensor_chunks, tuple(shapes), centralized=by_rows)

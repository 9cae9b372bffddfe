"""Sums over tensors whose elements are divided among processes, such as the norms of a layer-wise optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np
import numpy.typing as npt

from tinyms_core.distributed.plan import Span
from tinyms_core.kernels.batch import Batch, Floats, Integers, Wholes, chunk_lengths
from tinyms_core.ranks.group import start_gather


class DividedSums:
    """Makes batches of parts of tensors whose sums are those of the whole tensors, bit for bit.

    Between two passes of a kernel all processes gather the sums of all chunks of the tensors that are parted, and each
    adds them up in their order.

    Arguments:
        shapes: the whole tensors' shapes.
        plan: for each process the span of each tensor; a part begins and ends where a chunk of the whole does.
        own: the number of this process.
    """

    def __init__(self, shapes: Sequence[tuple[int, ...]], plan: Sequence[Sequence[Span]], own: int) -> None:
        self._shapes = list(shapes)
        self._plan = plan
        self._own = own

    @property
    def parts_tensors(self) -> bool:
        """Whether several processes have elements of one tensor."""
        return any(map(self._is_parted, range(len(self._shapes))))

    def _is_parted(self, index: int) -> bool:
        return sum(stop > start for start, stop in (spans[index] for spans in self._plan)) > 1

    def batch(self, batch: Batch, members: Sequence[int], centralized: Sequence[bool]) -> Batch:
        """Give a batch what its kernel has to know of the wholes.

        Arguments:
            batch: this process's parts of some tensors, nothing of a tensor being a part too.
            members: which tensors these are.
            centralized: of which of them a chunk has whole rows.

        Returns:
            The batch; the same one where no tensor in it is parted.
        """
        shapes = [self._shapes[index] for index in members]
        rows = [prod(shape[1:]) if flag else 0 for shape, flag in zip(shapes, centralized, strict=True)]
        steps = chunk_lengths(np.array(rows, dtype=np.int64))
        parted = [self._is_parted(index) for index in members]
        if not any(parted):
            return batch
        sizes = np.where(parted, [prod(shape) for shape in shapes], batch.sizes).astype(np.int64)
        counts = np.where(parted, -(-sizes // steps), np.diff(batch.tensor_chunks))
        starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        # For each process, where the sums of its chunks of parted tensors belong among those of all.
        places = [
            np.concatenate(
                [
                    _chunks(spans[index], step) + start
                    for index, step, start, flag in zip(members, steps.tolist(), starts[:-1], parted, strict=True)
                    if flag
                ]
            )
            for spans in self._plan
        ]
        in_parts = np.array(parted)[batch.chunk_tensor]
        alone = starts[batch.chunk_tensor] + np.arange(batch.chunks) - batch.tensor_chunks[batch.chunk_tensor]
        gather = _Gather(places, self._own, in_parts, alone[~in_parts], int(starts[-1]))
        return replace(batch, wholes=Wholes(sizes, starts, gather))


class _Gather:
    """Gathers the numbers of all chunks.

    Arguments:
        places: for each process, where the numbers of its chunks of parted tensors belong.
        own: the number of this process.
        in_parts: for each of its chunks, whether it is of a parted tensor.
        alone: where the numbers of its other chunks belong.
        chunks: how many there are altogether.
    """

    def __init__(
        self, places: Sequence[Integers], own: int, in_parts: npt.NDArray[np.bool_], alone: Integers, chunks: int
    ) -> None:
        self._places = places
        self._own = own
        self._in_parts = in_parts
        self._alone = alone
        self._chunks = chunks

    def __call__(self, numbers: Floats) -> Floats:
        # What processes send has one size, that of the largest.
        sent = np.zeros((len(numbers), max(map(len, self._places))))
        sent[:, : len(self._places[self._own])] = numbers[:, self._in_parts]
        pending = start_gather("sums over parted tensors", sent.reshape(-1).view(np.uint32))
        found = pending.wait().view(np.float64).reshape(len(self._places), *sent.shape)
        every = np.zeros((len(numbers), self._chunks))
        every[:, self._alone] = numbers[:, ~self._in_parts]
        for rows, places in zip(found, self._places, strict=True):
            every[:, places] = rows[:, : len(places)]
        return every


def _chunks(span: Span, step: int) -> Integers:
    """Which chunks of a tensor a span has."""
    start, stop = span
    return np.arange(start // step, -(-stop // step) if stop > start else start // step, dtype=np.int64)

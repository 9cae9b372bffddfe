"""Sums over tensors that are divided: what a kernel adds up is what the undivided tensor's chunks have left."""

from __future__ import annotations

import numpy as np
import pytest

from tinyms_core.distributed import sums
from tinyms_core.distributed.plan import divide_elements
from tinyms_core.kernels.batch import chunk_lengths, make_batch

SHAPES = [(100, 1000), (7,), (60, 2000), (0, 3), (5, 9000)]
CENTRALIZED = [False, False, True, False, True]


class Sent:
    """An exchange in which all numbers have come."""

    def __init__(self, every):
        self._every = every

    def wait(self):
        return self._every


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
@pytest.mark.parametrize("members", [[0, 1, 2, 3, 4], [2, 4], [1]])
def test_all_processes_have_the_sums_of_all_chunks_in_their_order(monkeypatch, ranks, members):
    rows = [shape[1] if flag else 0 for shape, flag in zip(SHAPES, CENTRALIZED, strict=True)]
    sizes = [int(np.prod(shape)) for shape in SHAPES]
    plan = divide_elements(sizes, [4] * len(sizes), chunk_lengths(np.array(rows)).tolist(), ranks)
    whole = make_batch([sizes[i] for i in members], [rows[i] for i in members])
    flags = [CENTRALIZED[i] for i in members]
    batches = []
    for own, spans in enumerate(plan):
        lengths = [spans[i][1] - spans[i][0] for i in members]
        # A process that has nothing of a tensor does not know its rows.
        batch = make_batch(lengths, [rows[i] if n else 0 for i, n in zip(members, lengths, strict=True)])
        batches.append(sums.DividedSums(SHAPES, plan, own).batch(batch, members, flags))
    if all(batch.wholes is None for batch in batches):
        assert ranks == 1 or members == [1]
        return
    # Each chunk leaves its tensor and its first element.
    left = np.stack([whole.chunk_tensor, whole.chunk_first]).astype(np.float64)
    numbers = [
        np.stack(
            [batch.chunk_tensor, batch.chunk_first + [plan[own][members[k]][0] for k in batch.chunk_tensor]]
        ).astype(float)
        for own, batch in enumerate(batches)
    ]
    sent = []
    monkeypatch.setattr(sums, "start_gather", lambda _, words: sent.append(words) or Sent(np.tile(words, ranks)))
    for batch, own in zip(batches, numbers, strict=True):
        batch.wholes.gather(own)
    monkeypatch.setattr(sums, "start_gather", lambda _, words: Sent(np.concatenate(sent[:ranks])))
    for batch, own in zip(batches, numbers, strict=True):
        every = batch.wholes.gather(own)
        for k, index in enumerate(members):
            begin, end = batch.wholes.tensor_chunks[k : k + 2]
            mine = every[:, begin:end]
            in_whole = left[:, whole.tensor_chunks[k] : whole.tensor_chunks[k + 1]]
            if batch.wholes.sizes[k] == sizes[index]:
                assert mine.tolist() == in_whole.tolist()
            else:
                assert batch.wholes.sizes[k] == 0
                assert not mine.size

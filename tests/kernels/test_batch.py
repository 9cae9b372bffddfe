"""Chunks cover every element of every tensor once, and hold whole rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinyms_core.kernels.batch import make_batch

tensors = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), max_size=8)


@given(tensors, st.integers(1, 50))
def test_chunks_cover_every_element_once_and_never_cut_a_row(rows_and_lengths, chunk):
    sizes = [rows * max(1, length) for rows, length in rows_and_lengths]
    lengths = [length for _, length in rows_and_lengths]
    batch = make_batch(sizes, lengths, chunk)
    seen = [np.zeros(size, int) for size in sizes]
    for tensor, first, last in zip(batch.chunk_tensor, batch.chunk_first, batch.chunk_last, strict=True):
        assert first < last
        seen[tensor][first:last] += 1
        if lengths[tensor]:
            assert first % lengths[tensor] == 0
            assert last % lengths[tensor] == 0
        else:
            assert last - first <= chunk
    assert all((counts == 1).all() for counts in seen)
    assert batch.tensor_chunks[-1] == batch.chunks
    assert batch.elements == sum(sizes)
    for tensor, (begin, end) in enumerate(zip(batch.tensor_chunks, batch.tensor_chunks[1:], strict=False)):
        assert (batch.chunk_tensor[begin:end] == tensor).all()

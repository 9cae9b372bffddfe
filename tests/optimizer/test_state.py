"""Where state lies in memory."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from mindspore import Parameter, Tensor

from tinyms_core import get_optimizer


def _built(*shapes: tuple[int, ...]):
    parameters = [Parameter(Tensor(np.ones(shape, np.float32)), name=f"w{i}") for i, shape in enumerate(shapes)]
    return get_optimizer("adam")(parameters, learning_rate=0.1)


def test_a_slot_is_one_block_of_memory():
    optimizer = _built((3, 5), (7,), (0, 2), (), (64,))
    for row in optimizer.states.values():
        addresses = [state.data_ptr() for state in row if state.size]
        assert all(address % 64 == 0 for address in addresses)
        assert list(np.diff(addresses)) == [64, 64, 64]


@pytest.mark.parametrize("length", [5, 1 << 20])
def test_state_lives_as_long_as_its_parameter(length):
    optimizer = _built((length,), (length,))
    kept = next(iter(optimizer.states.values()))[1]
    gradient = Tensor(np.full(length, 2.0, np.float32))
    optimizer((gradient, gradient))
    expected = kept.asnumpy().copy()
    assert np.all(expected > 0)
    del optimizer
    gc.collect()
    others = [np.full(length, -1.0, np.float32) for _ in range(8)]
    assert np.array_equal(kept.asnumpy(), expected)
    assert all(np.all(other == -1) for other in others)

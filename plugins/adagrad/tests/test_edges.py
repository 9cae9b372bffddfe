"""Adagrad where there is nothing to divide by, and without updates of its sum."""

import numpy as np
from tinyms_adagrad.optimizer import Adagrad

from tinyms_core.examples import parameter, tensor


def test_an_element_without_any_gradient_stays():
    w = parameter("w", [1.0, 1.0])
    Adagrad([w], accum=0.0, learning_rate=0.5)((tensor([0.0, 2.0]),))
    assert w.asnumpy().tolist() == [1.0, 0.5]


def test_without_update_slots_the_sum_keeps_its_start():
    w = parameter("w", [1.0])
    optimizer = Adagrad([w], accum=4.0, learning_rate=0.5, update_slots=False)
    for _ in range(2):
        optimizer((tensor([1.0]),))
    assert optimizer.accum[0].asnumpy().tolist() == [4.0]
    assert w.asnumpy().tolist() == [0.5]


def test_without_update_slots_and_without_a_start_nothing_moves():
    w = parameter("w", [1.0])
    Adagrad([w], accum=0.0, update_slots=False)((tensor([1.0]),))
    np.testing.assert_array_equal(w.asnumpy(), [1.0])

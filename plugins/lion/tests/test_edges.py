"""Lion: steps of one size, two averages of one momentum, and decay apart from the sign."""

import numpy as np
import pytest
from tinyms_lion.optimizer import Lion

from tinyms_core.examples import parameter, tensor


@pytest.mark.parametrize("size", [1e-30, 1e-3, 1.0, 1e30])
def test_every_element_moves_by_the_rate(size):
    w = parameter("w", [0.0, 0.0])
    Lion([w], learning_rate=0.25)((tensor([size, -3 * size]),))
    assert w.asnumpy().tolist() == [-0.25, 0.25]


def test_without_momentum_and_gradient_nothing_moves_but_the_decay():
    w = parameter("w", [2.0])
    Lion([w], learning_rate=0.5, weight_decay=0.25)((tensor([0.0]),))
    assert w.asnumpy().tolist() == [1.75]


def test_the_direction_and_the_momentum_are_different_averages():
    w = parameter("w", [0.0])
    optimizer = Lion([w], learning_rate=1.0, beta1=0.5, beta2=0.75)
    optimizer((tensor([4.0]),))
    assert optimizer.exp_avg[0].asnumpy().tolist() == [1.0]
    # 0.5 * 1 + 0.5 * -2 is negative, where 0.75 * 1 + 0.25 * -2 is positive.
    optimizer((tensor([-2.0]),))
    assert w.asnumpy().tolist() == [0.0]
    np.testing.assert_allclose(optimizer.exp_avg[0].asnumpy(), [0.25])

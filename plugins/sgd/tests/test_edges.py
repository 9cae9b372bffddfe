"""SGD: what momentum changes, and when."""

import numpy as np
from mindspore import nn
from tinyms_sgd.optimizer import SGD

from tinyms_core.examples import parameter, tensor


def test_the_first_gradient_is_not_damped():
    w = parameter("w", [0.0])
    optimizer = SGD([w], learning_rate=1.0, momentum=0.5, dampening=0.5)
    optimizer((tensor([1.0]),))
    assert w.asnumpy().tolist() == [-1.0]
    optimizer((tensor([1.0]),))
    assert w.asnumpy().tolist() == [-2.0]


def test_without_momentum_the_state_rests():
    w = parameter("w", [0.0])
    optimizer = SGD([w], learning_rate=1.0, dampening=0.5)
    optimizer((tensor([1.0]),))
    assert (optimizer.accum[0].asnumpy().tolist(), optimizer.stat[0].asnumpy().tolist()) == ([0.0], [1.0])
    assert w.asnumpy().tolist() == [-1.0]


def test_momentum_that_is_set_later_starts_with_the_next_gradient():
    w = parameter("w", [0.0])
    optimizer = SGD([w], learning_rate=1.0)
    optimizer((tensor([8.0]),))
    optimizer.momentum.set_data(tensor(0.5))
    optimizer((tensor([1.0]),))
    optimizer((tensor([1.0]),))
    np.testing.assert_array_equal(w.asnumpy(), [-10.5])


def test_the_decay_may_be_a_cell():
    class Decay(nn.Cell):
        def construct(self, step):
            return 0.5

    w = parameter("w", [1.0])
    SGD([w], learning_rate=1.0, weight_decay=Decay())((tensor([0.0]),))
    assert w.asnumpy().tolist() == [0.5]

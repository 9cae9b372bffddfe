"""RMSProp where the root is of nothing positive, and the place of epsilon."""

import numpy as np
from tinyms_rmsprop.optimizer import RMSProp

from tinyms_core.examples import parameter, tensor


def test_an_element_whose_variance_is_not_positive_waits():
    w = parameter("w", [1.0, 1.0])
    optimizer = RMSProp([w], learning_rate=0.5, decay=0.5, momentum=0.5, centered=True)
    optimizer.mean_square[0].set_data(tensor([1.0, 4.0]))
    optimizer.mean_grad[0].set_data(tensor([2.0, 0.0]))
    optimizer.moment[0].set_data(tensor([0.25, 0.0]))
    optimizer((tensor([0.0, 0.0]),))
    assert w.asnumpy().tolist() == [1.0, 1.0]
    assert optimizer.moment[0].asnumpy().tolist() == [0.25, 0.0]
    assert optimizer.mean_square[0].asnumpy().tolist() == [0.5, 2.0]


def test_epsilon_is_under_the_root_for_every_element():
    w = parameter("w", np.ones(19))
    RMSProp([w], learning_rate=0.5, decay=0.0, epsilon=3.0)((tensor(np.ones(19)),))
    np.testing.assert_array_equal(w.asnumpy(), np.full(19, 0.75))


def test_the_mean_gradient_is_kept_only_where_it_is_used():
    for centered in (False, True):
        optimizer = RMSProp([parameter("w", [1.0])], centered=centered)
        assert ("mean_grad.w" in {p.name for p in optimizer.get_parameters()}) is centered

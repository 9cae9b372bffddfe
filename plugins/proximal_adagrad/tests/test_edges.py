"""ProximalAdagrad where there is nothing to divide by, and its threshold."""

import numpy as np
from tinyms_proximal_adagrad.optimizer import ProximalAdagrad

from tinyms_core.examples import parameter, tensor


def test_an_element_without_any_gradient_is_only_regularized():
    w = parameter("w", [1.0, -1.0])
    ProximalAdagrad([w], accum=0.0, learning_rate=0.5, l1=0.5)((tensor([0.0, 0.0]),))
    assert w.asnumpy().tolist() == [0.75, -0.75]


def test_the_threshold_does_not_depend_on_the_sum():
    w = parameter("w", [1.0, 1.0, 0.01])
    optimizer = ProximalAdagrad([w], accum=0.0, learning_rate=0.5, l1=0.5, l2=2.0)
    optimizer.accum[0].set_data(tensor([1.0, 1e8, 1e8]))
    optimizer((tensor([0.0, 0.0, 0.0]),))
    np.testing.assert_allclose(w.asnumpy(), [0.375, 0.375, 0.0], rtol=1e-6)

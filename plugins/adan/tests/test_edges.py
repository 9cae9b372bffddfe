"""Adan: the first step has no difference, the previous gradient is as it was used, and two kinds of decay."""

import numpy as np
import pytest
from tinyms_adan.optimizer import Adan

from tinyms_core.examples import parameter, tensor


def test_the_first_step_has_no_difference():
    w = parameter("w", [0.0])
    optimizer = Adan([w], learning_rate=0.5)
    optimizer((tensor([3.0]),))
    assert optimizer.exp_avg_diff[0].asnumpy().tolist() == [0.0]
    np.testing.assert_allclose(w.asnumpy(), [-0.5], rtol=1e-6)
    optimizer((tensor([5.0]),))
    np.testing.assert_allclose(optimizer.exp_avg_diff[0].asnumpy(), [0.08 * 2.0], rtol=1e-6)


def test_the_previous_gradient_is_the_preprocessed_one():
    optimizer = Adan([parameter("w", [0.0])], loss_scale=4.0)
    optimizer((tensor([8.0]),))
    assert optimizer.previous_grad[0].asnumpy().tolist() == [2.0]


@pytest.mark.parametrize(("no_prox", "right"), [(False, 2.0 / 1.25), (True, 2.0 * 0.75)])
def test_decay_is_a_quotient_or_a_factor(no_prox, right):
    w = parameter("w", [2.0])
    Adan([w], learning_rate=0.5, weight_decay=0.5, no_prox=no_prox)((tensor([0.0]),))
    np.testing.assert_allclose(w.asnumpy(), [right], rtol=1e-6)

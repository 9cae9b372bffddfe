"""AdamW: decay apart from the gradient, bias correction, and the largest moment."""

import numpy as np
from tinyms_adamw.optimizer import AdamW

from tinyms_core.examples import parameter, tensor


def test_decay_does_not_enter_the_moments():
    moments = []
    for decay in (0.0, 0.5):
        w = parameter("w", [2.0])
        optimizer = AdamW([w], learning_rate=0.5, weight_decay=decay)
        optimizer((tensor([0.0]),))
        moments.append((optimizer.exp_avg[0].asnumpy().tolist(), optimizer.exp_avg_sq[0].asnumpy().tolist()))
        np.testing.assert_allclose(w.asnumpy(), [2.0 - 0.5 * decay * 2.0], rtol=1e-6)
    assert moments[0] == moments[1]


def test_the_first_step_is_as_long_as_the_rate():
    w = parameter("w", [0.0, 0.0])
    AdamW([w], learning_rate=0.25)((tensor([3.0, -1e-4]),))
    np.testing.assert_allclose(w.asnumpy(), [-0.25, 0.25], rtol=1e-3)


def test_amsgrad_keeps_the_largest_moment():
    w = parameter("w", [0.0])
    optimizer = AdamW([w], amsgrad=True, beta2=0.5)
    for gradient in (4.0, 0.0, 0.0):
        optimizer((tensor([gradient]),))
    assert optimizer.max_exp_avg_sq[0].asnumpy().tolist() == [8.0]
    assert optimizer.exp_avg_sq[0].asnumpy().tolist() == [2.0]
    plain = AdamW([parameter("other", [0.0])])
    assert not hasattr(plain, "max_exp_avg_sq")

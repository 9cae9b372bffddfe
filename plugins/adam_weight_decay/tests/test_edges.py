"""AdamWeightDecay: decay apart from the gradient, and no bias correction."""

import numpy as np
from tinyms_adam_weight_decay.optimizer import AdamWeightDecay

from tinyms_core.examples import parameter, tensor


def test_decay_does_not_enter_the_moments():
    moments = []
    for decay in (0.0, 0.5):
        w = parameter("w", [2.0])
        optimizer = AdamWeightDecay([w], learning_rate=0.5, weight_decay=decay)
        optimizer((tensor([0.0]),))
        moments.append((optimizer.adam_m[0].asnumpy().tolist(), optimizer.adam_v[0].asnumpy().tolist()))
        np.testing.assert_allclose(w.asnumpy(), [2.0 - 0.5 * decay * 2.0], rtol=1e-6)
    assert moments[0] == moments[1]


def test_nothing_corrects_the_start_at_zero():
    w = parameter("w", [0.0])
    AdamWeightDecay([w], learning_rate=1.0)((tensor([3.0]),))
    np.testing.assert_allclose(w.asnumpy(), [-0.1 / np.sqrt(0.001)], rtol=1e-4)

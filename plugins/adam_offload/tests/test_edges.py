"""AdamOffload with dense gradients is Adam."""

import numpy as np
from tinyms_adam_offload.optimizer import AdamOffload

from tinyms_core.examples import parameter, tensor


def test_the_first_step_is_as_long_as_the_rate():
    w = parameter("w", [1.0, 1.0, 1.0])
    AdamOffload([w], learning_rate=0.25)((tensor([0.5, -7.0, 1e4]),))
    np.testing.assert_allclose(w.asnumpy(), [0.75, 1.25, 0.75], rtol=1e-4)


def test_the_powers_are_exact_and_of_shape_one():
    optimizer = AdamOffload([parameter("w", [1.0])])
    assert [p.asnumpy().tolist() for p in (optimizer.beta1_power, optimizer.beta2_power)] == [[1.0], [1.0]]
    for _ in range(7):
        optimizer((tensor([1.0]),))
    for power, beta in ((optimizer.beta1_power, 0.9), (optimizer.beta2_power, 0.999)):
        np.testing.assert_array_equal(power.asnumpy(), [np.float32(beta**7)])

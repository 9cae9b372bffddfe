"""FTRL: which weights are zero, what decays, what a step returns, the one rate of all groups."""

import numpy as np
import pytest
from tinyms_ftrl.optimizer import FTRL

from tinyms_core.examples import parameter, tensor


def test_l1_keeps_small_sums_at_zero_and_shrinks_others_towards_it():
    w = parameter("w", [0.0, 0.0, 0.0])
    FTRL([w], initial_accum=0.0, learning_rate=0.5, l1=1.0)((tensor([4.0, -4.0, 0.5]),))
    np.testing.assert_allclose(w.asnumpy(), [-0.375, 0.375, 0.0], rtol=1e-6)


def test_a_square_that_underflows_is_no_division_by_zero():
    w = parameter("w", [1.0, 1.0])
    FTRL([w], initial_accum=0.0, learning_rate=0.5)((tensor([0.0, 1e-30]),))
    assert w.asnumpy().tolist() == [0.0, 0.0]


def test_a_square_that_overflows_leaves_the_weight():
    w = parameter("w", [1.5, 0.0])
    optimizer = FTRL([w], learning_rate=0.5)
    for gradient in (1e30, 1.0):
        optimizer((tensor([gradient, gradient]),))
        assert w.asnumpy().tolist() == [1.5, 0.0]


def test_decay_applies_to_every_ungrouped_parameter():
    values = {}
    for name in ("weight", "norm.gamma", "norm.beta"):
        w = parameter(name, [1.0])
        FTRL([w], learning_rate=0.1, weight_decay=0.5)((tensor([1.0]),))
        values[name] = float(w.asnumpy()[0])
    assert len(set(values.values())) == 1


def test_a_step_returns_the_updated_parameters():
    first, second = parameter("first", [1.0]), parameter("second", [1.0])
    returned = FTRL([first, second])((tensor([1.0]), tensor([1.0])))
    assert [one is other for one, other in zip(returned, (first, second), strict=True)] == [True, True]


def test_groups_must_share_one_fixed_rate():
    first, second = parameter("first", [1.0]), parameter("second", [1.0])
    with pytest.raises(ValueError, match=r"'lr' of the group of parameter 'second' must be .* 0\.1, .*; got 0\.2"):
        FTRL([{"params": [first], "lr": 0.1}, {"params": [second], "lr": 0.2}], learning_rate=0.1)
    with pytest.raises(ValueError, match=r"'lr' of the group of parameter 'first' must be .* 0\.2, .*; got 0\.1"):
        FTRL([{"params": [first], "lr": 0.1}, {"params": [second]}], learning_rate=0.2)
    with pytest.raises(ValueError, match="'lr' of the group of parameter 'second' must be one number"):
        FTRL([{"params": [first]}, {"params": [second], "lr": [0.1, 0.1]}], learning_rate=0.1)
    FTRL([{"params": [first], "lr": 0.1}, {"params": [second], "lr": 0.1}], learning_rate=0.1)

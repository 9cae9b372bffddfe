"""Schedulers of MindSpore's experimental optimizers, and lists as MindCV and `mindspore.nn` make them, as rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from mindspore import nn
from mindspore.experimental.optim import lr_scheduler

import tinyms_core
from tinyms_core import listed_rates
from tinyms_core.examples import parameter, tensor


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda o: lr_scheduler.StepLR(o, 2, gamma=0.5), [0.1, 0.1, 0.05, 0.05, 0.025]),
        (lambda o: lr_scheduler.ExponentialLR(o, gamma=0.5), [0.1, 0.05, 0.025, 0.0125, 0.00625]),
        (
            lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=4),
            [0.05 * (1 + math.cos(math.pi * k / 4)) for k in range(5)],
        ),
        (lambda o: lr_scheduler.LambdaLR(o, [lambda epoch: 1 / (1 + epoch)]), [0.1 / (1 + k) for k in range(5)]),
        (
            lambda o: lr_scheduler.SequentialLR(
                o, [lr_scheduler.ConstantLR(o, factor=0.1, total_iters=2), lr_scheduler.ExponentialLR(o, 0.5)], [2]
            ),
            [0.01, 0.01, 0.1, 0.05, 0.025],
        ),
    ],
)
def test_a_scheduler_is_listed(make, expected):
    np.testing.assert_allclose(listed_rates(make, 0.1, 5), expected, rtol=1e-5)


def test_a_scheduler_of_epochs_holds_its_rate_for_each_step_of_one():
    rates = listed_rates(lambda o: lr_scheduler.ExponentialLR(o, gamma=0.5), 1.0, 7, steps_per_epoch=3)
    assert rates == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25]


@pytest.mark.parametrize(
    "rates",
    [
        listed_rates(lambda o: lr_scheduler.StepLR(o, 2, gamma=0.5), 0.5, 4),
        nn.cosine_decay_lr(0.0, 0.5, total_step=4, step_per_epoch=1, decay_epoch=4),
        # As MindCV's schedulers give them: a warm-up to the rate, then its decay, a float for each step.
        [0.0, 0.25, 0.5, 0.125],
    ],
    ids=["listed", "mindspore.nn", "mindcv"],
)
@pytest.mark.parametrize("make", [tinyms_core.get_optimizer("momentum"), nn.Momentum], ids=["ours", "mindspore"])
def test_any_optimizer_takes_a_list(make, rates):
    w = parameter("w", [0.0])
    optimizer = make([w], learning_rate=rates, momentum=0.0)
    for _ in rates:
        optimizer((tensor([1.0]),))
    np.testing.assert_allclose(w.asnumpy(), [-sum(rates)], rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((lambda o: lr_scheduler.ReduceLROnPlateau(o), 0.1, 4), ValueError, "waits for a metric"),
        ((lambda o: None, 0.1, 4), TypeError, "must return a scheduler"),
        ((0.1, 0.1, 4), TypeError, "'make_scheduler' must be a function"),
        ((lambda o: lr_scheduler.StepLR(o, 2), -0.1, 4), ValueError, "'learning_rate' must be in"),
        ((lambda o: lr_scheduler.StepLR(o, 2), 0.1, 0), ValueError, "'steps' must be in"),
    ],
)
def test_what_cannot_be_listed_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        listed_rates(*arguments)


def test_a_scheduler_refuses_what_is_not_experimental():
    """Why there is a list at all."""
    optimizer = tinyms_core.get_optimizer("adam")([parameter("w", [0.0])])
    with pytest.raises(TypeError, match="is not an Optimizer"):
        lr_scheduler.StepLR(optimizer, 2)

"""AdamW beside `mindspore.experimental.optim.AdamW`, which computes the same: numbers, and names of the state."""

import numpy as np
import pytest
from mindspore import Parameter, Tensor
from mindspore.experimental import optim
from tinyms_adamw.optimizer import AdamW

SHAPES = {"dense.weight": (5, 8), "dense.bias": (19,), "conv.weight": (4, 3, 3, 2)}
STEPS = 20
# Options by our names; theirs are beside them.
OPTIONS = [
    ({}, {}),
    ({"amsgrad": True}, {"amsgrad": True}),
    ({"weight_decay": 0.3}, {"weight_decay": 0.3}),
    ({"beta1": 0.8, "beta2": 0.75}, {"betas": (0.8, 0.75)}),
    ({"eps": 0.1, "amsgrad": True}, {"eps": 0.1, "amsgrad": True}),
]


def make_parameters():
    generator = np.random.default_rng(1)
    return [Parameter(Tensor(generator.standard_normal(s).astype(np.float32)), name=n) for n, s in SHAPES.items()]


def run(optimizer, parameters):
    for step in range(STEPS):
        generator = np.random.default_rng(100 + step)
        # Gradients shrink, so that the largest second moment is not the last.
        size = 1.0 / (1 + step)
        optimizer(tuple(Tensor((size * generator.standard_normal(s)).astype(np.float32)) for s in SHAPES.values()))
    return {p.name: p.asnumpy() for p in parameters}


@pytest.mark.parametrize(("ours", "theirs"), OPTIONS, ids=lambda options: ",".join(options) or "defaults")
def test_both_take_the_same_steps(ours, theirs):
    mine, other = make_parameters(), make_parameters()
    found = run(AdamW(mine, learning_rate=0.02, **ours), mine)
    right = run(optim.AdamW(other, lr=0.02, **theirs), other)
    for name, value in right.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-5)


def test_groups_have_rates_and_decays_of_their_own():
    mine, other = make_parameters(), make_parameters()
    ours = [{"params": mine[:1], "lr": 0.01, "weight_decay": 0.5}, {"params": mine[1:]}]
    theirs = [{"params": other[:1], "lr": 0.01, "weight_decay": 0.5}, {"params": other[1:]}]
    found, right = run(AdamW(ours, learning_rate=0.02), mine), run(optim.AdamW(theirs, lr=0.02), other)
    for name, value in right.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-5)


def test_the_state_has_their_names():
    def names(optimizer):
        return {p.name for p in optimizer.get_parameters() if "exp_avg" in p.name}

    mine, other = AdamW(make_parameters(), amsgrad=True), optim.AdamW(make_parameters(), amsgrad=True)
    assert names(mine) == names(other)

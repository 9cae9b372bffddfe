"""Muon: what is orthogonal, which parameters are, what their state is, and what a rate means to each."""

import mindspore
import numpy as np
import pytest
from mindspore import Parameter, Tensor
from tinyms_adamw.optimizer import AdamW
from tinyms_muon import SPEC
from tinyms_muon.kernels import orthogonalised
from tinyms_muon.optimizer import Muon

from tinyms_core.examples import parameter, tensor

# Of these coefficients 1 is a fixed point, to which all singular values converge.
CONVERGENT = (1.875, -1.25, 0.375)


def drawn(shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def make(shape, name="w"):
    return Parameter(Tensor(drawn(shape)), name=name)


@pytest.mark.parametrize("shape", [(6, 6), (5, 9), (9, 5), (1, 7), (7, 1)], ids=str)
def test_singular_values_come_near_one(shape):
    exact = orthogonalised(drawn(shape), 40, CONVERGENT)
    np.testing.assert_allclose(np.linalg.svd(exact, compute_uv=False), 1.0, atol=1e-5)
    left, _, right = np.linalg.svd(drawn(shape), full_matrices=False)
    np.testing.assert_allclose(exact, left @ right, atol=1e-4)
    quick = orthogonalised(drawn(shape), 5, (3.4445, -4.7750, 2.0315))
    values = np.linalg.svd(quick, compute_uv=False)
    assert (values > 0.6).all()
    assert (values < 1.3).all()


@pytest.mark.parametrize(("shape", "size"), [((4, 4), 1.0), ((4, 16), 1.0), ((16, 4), 2.0), ((8, 1, 2, 1), 2.0)])
@pytest.mark.parametrize("match", [False, True])
def test_the_step_is_scaled_by_the_shape(shape, size, match):
    w = make(shape)
    before = w.asnumpy().copy()
    Muon([w], learning_rate=0.5, ns_steps=40, ns_coefficients=CONVERGENT, match_adamw=match)((Tensor(drawn(shape, 2)),))
    moved = (w.asnumpy() - before).reshape(shape[0], -1)
    right = 0.2 * max(moved.shape) ** 0.5 if match else size
    np.testing.assert_allclose(np.linalg.svd(moved, compute_uv=False), 0.5 * right, rtol=1e-3)


def test_dimensions_and_groups_decide_which_are_matrices():
    matrix, vector, table = make((4, 3), "matrix"), make((5,), "vector"), make((6, 3), "table")
    optimizer = Muon([{"params": [matrix, vector]}, {"params": [table], "orthogonal": False}])
    assert [held.shape for held in optimizer.exp_avg_sq] == [(1,), (5,), (6, 3)]
    assert SPEC.state_bytes((4, 3)) == 4 * 13
    assert SPEC.state_bytes((4, 3), orthogonal=False) == 4 * 24


@pytest.mark.parametrize("mode", [mindspore.PYNATIVE_MODE, mindspore.GRAPH_MODE], ids=["pynative", "graph"])
def test_the_rest_takes_adamws_steps(mode):
    shapes = [(5,), (4, 3)]
    options = {"beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1}
    ours, theirs = ([make(shape, f"w{i}") for i, shape in enumerate(shapes)] for _ in range(2))
    groups = [{"params": ours, "orthogonal": False, "adamw_scale": 1.0}]
    mindspore.set_context(mode=mode)
    try:
        muon, adamw = Muon(groups, learning_rate=0.01, weight_decay=0.1), AdamW(theirs, learning_rate=0.01, **options)
        for step in range(5):
            gradients = tuple(Tensor(drawn(shape, step)) for shape in shapes)
            muon(gradients)
            adamw(gradients)
    finally:
        mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.asnumpy(), other.asnumpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("options", "rate"), [({}, 0.015), ({"adamw_scale": 0.5}, 0.5), ({"match_adamw": True}, 1.0)])
def test_a_vectors_rate_follows_the_matrices(options, rate):
    w = parameter("w", [0.0])
    Muon([w], learning_rate=0.1, **options)((tensor([3.0]),))
    np.testing.assert_allclose(w.asnumpy(), [-0.1 * rate], rtol=1e-5)


def test_a_group_says_what_is_wrong_with_its_own():
    first, second = parameter("first", [1.0]), parameter("second", [1.0])
    with pytest.raises(TypeError, match=r"group 1 \['orthogonal'\]' must be True or False, got 1"):
        Muon([{"params": [first]}, {"params": [second], "orthogonal": 1}])
    with pytest.raises(ValueError, match=r"'adamw_scale' must be 0\.015 with match_adamw=True, got 1\.0"):
        Muon([{"params": [first], "adamw_scale": 1.0}], match_adamw=True)
    with pytest.raises(ValueError, match=r"unknown key\(s\) \['momentum'\]; allowed are params, .*, orthogonal"):
        Muon([{"params": [first], "momentum": 0.5}])


def test_a_momentum_of_zero_moves_nothing():
    w = make((4, 3))
    before = w.asnumpy().copy()
    Muon([w])((Tensor(np.zeros((4, 3), np.float32)),))
    assert (w.asnumpy() == before).all()

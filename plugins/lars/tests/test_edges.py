"""LARS at the edges: weights and gradients of zero, norms of every size, a rate of zero, gradients that do not fit."""

import mindspore
import numpy as np
import pytest
from mindspore import Tensor, nn
from tinyms_lars.optimizer import LARS

import tinyms_core
from tinyms_core.examples import parameter, tensor

MODES = {"pynative": mindspore.PYNATIVE_MODE, "graph": mindspore.GRAPH_MODE}
INNER = {"tinyms": tinyms_core.get_optimizer("sgd"), "mindspore": nn.SGD}


@pytest.fixture(params=MODES)
def mode(request):
    mindspore.set_context(mode=MODES[request.param])
    yield request.param
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)


@pytest.fixture(params=INNER)
def inner(request):
    return INNER[request.param]


def step(inner, values, gradient, rate=1.0, decay=0.0, **arguments):
    w = parameter("w", values)
    LARS(inner([w], learning_rate=rate, weight_decay=decay), **arguments)((tensor(gradient),))
    return w.asnumpy()


def test_weights_of_zero_take_the_whole_gradient(mode, inner):
    assert step(inner, [0.0, 0.0], [3.0, -4.0], rate=0.5).tolist() == [-1.5, 2.0]


def test_weights_of_zero_are_clipped_at_one(mode, inner):
    assert step(inner, [0.0, 0.0], [3.0, -4.0], rate=0.5, use_clip=True).tolist() == [-1.5, 2.0]


def test_gradients_of_zero_leave_the_weights(mode, inner):
    assert step(inner, [3.0, 4.0], [0.0, 0.0]).tolist() == [3.0, 4.0]


def test_gradients_of_zero_leave_the_decay(mode, inner):
    # λ = 0.1 · 5 / (0 + 0.5 · 5) = 0.2, so that the step is 0.2 · 0.5 of the weights.
    found = step(inner, [3.0, 4.0], [0.0, 0.0], decay=0.5, coefficient=0.1)
    np.testing.assert_allclose(found, [2.7, 3.6], rtol=1e-5)


def test_a_rate_of_zero_with_clip_moves_nothing_and_keeps_numbers(mode, inner):
    assert step(inner, [3.0, 4.0], [1.0, 2.0], rate=0.0, use_clip=True).tolist() == [3.0, 4.0]


def test_a_rate_of_zero_with_clip_keeps_the_state_whole():
    w = parameter("w", [3.0, 4.0])
    optimizer = tinyms_core.get_optimizer("momentum")([w], learning_rate=0.0, momentum=0.9)
    LARS(optimizer, use_clip=True)((tensor([1.0, 2.0]),))
    assert optimizer.moments[0].asnumpy().tolist() == [1.0, 2.0]


@pytest.mark.parametrize("size", [1e-36, 1e-20, 1e18, 1e30])
def test_a_gradient_of_any_size_makes_a_step_of_the_same_length(inner, size):
    found = step(inner, [3.0, 4.0], [3.0 * size, 4.0 * size], coefficient=0.1, epsilon=1e-44)
    np.testing.assert_allclose(found, [2.7, 3.6], rtol=1e-6)


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1e18, 1e30])
def test_weights_of_any_size_move_by_their_own_share(inner, size):
    found = step(inner, [3.0 * size, 4.0 * size], [3.0, 4.0], coefficient=0.1, epsilon=1e-12)
    np.testing.assert_allclose(found, np.array([2.7, 3.6]) * size, rtol=1e-6)


@pytest.mark.parametrize("wrong", ["RowTensor", "rows"])
def test_sparse_gradients_are_refused_by_the_parameters_name(inner, wrong):
    table = parameter("table", np.ones((4, 2)))
    optimizer = LARS(inner([table], learning_rate=0.1))
    parts = (Tensor(np.array([0, 2], np.int32)), tensor(np.ones((2, 2))), (4, 2))
    gradient = mindspore.RowTensor(*parts) if wrong == "RowTensor" else parts
    with pytest.raises(TypeError, match="lars: the gradient of 'table' is sparse"):
        optimizer((gradient,))
    assert (table.asnumpy() == 1).all()
    assert optimizer.global_step.asnumpy().tolist() == [0]


@pytest.mark.parametrize(
    ("gradients", "error", "message"),
    [
        ((), ValueError, r"got 0 gradient\(s\) for 1 parameter"),
        ((tensor([1.0, 2.0]),), ValueError, "the gradient of 'w' has shape"),
        ((None,), TypeError, "the gradient of 'w' must be a Tensor"),
        (tensor([1.0]), TypeError, "gradients must be a tuple or list"),
        ((Tensor(np.array([1], np.int32)),), TypeError, "the gradient of 'w' is of Int32"),
    ],
)
def test_gradients_that_do_not_fit_change_nothing(mode, inner, gradients, error, message):
    w = parameter("w", [1.0])
    optimizer = LARS(inner([w], learning_rate=0.1))
    with pytest.raises(error, match=message):
        optimizer(gradients)
    assert w.asnumpy().tolist() == [1.0]
    assert optimizer.global_step.asnumpy().tolist() == [0]


def test_a_step_returns_what_the_wrapped_optimizer_returns():
    for name, arguments in (("momentum", {"learning_rate": 0.1, "momentum": 0.9}), ("ftrl", {})):
        bare, wrapped = (tinyms_core.get_optimizer(name)([parameter("w", [1.0])], **arguments) for _ in range(2))
        expected, found = bare((tensor([1.0]),)), LARS(wrapped)((tensor([1.0]),))
        assert [type(part) for part in expected] == [type(part) for part in found]


def test_a_filter_that_refuses_all_leaves_the_ordinary_path(mode, inner):
    wrapped, bare = parameter("w", [3.0, 4.0]), parameter("w", [3.0, 4.0])
    arguments = {"learning_rate": 0.1, "weight_decay": 0.5, "loss_scale": 8.0}
    LARS(inner([wrapped], **arguments), lars_filter=lambda p: False)((tensor([8.0, 16.0]),))
    inner([bare], **arguments)((tensor([8.0, 16.0]),))
    assert wrapped.asnumpy().tolist() == bare.asnumpy().tolist()

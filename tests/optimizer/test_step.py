"""Steps: classic and rule-based authors, all modes, errors that leave everything as it was."""

from __future__ import annotations

import copy
import pickle
import threading

import mindspore
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from tinyms_core import (
    InvalidSpecError,
    KernelSpec,
    MissingKernelError,
    Optimizer,
    OptimizerSpec,
    StateSlot,
    register,
    rule,
    unregister,
)
from tinyms_core.examples import SignDescent, parameter, tensor


@pytest.fixture(params=["pynative", "graph"])
def mode(request):
    kinds = {"pynative": mindspore.PYNATIVE_MODE, "graph": mindspore.GRAPH_MODE}
    mindspore.set_context(mode=kinds[request.param])
    yield request.param
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)


class ClassicMomentum(Optimizer):
    """An optimizer as one would write it for MindSpore: no rule, no spec."""

    def __init__(self, params, learning_rate, momentum=0.5, weight_decay=0.0, loss_scale=1.0):
        super().__init__(learning_rate, params, weight_decay, loss_scale)
        self.moments = self.parameters.clone(prefix="moments", init="zeros")
        self.momentum = momentum

    def construct(self, gradients):
        gradients = self.decay_weight(gradients)
        gradients = self.gradients_centralization(gradients)
        gradients = self.scale_grad(gradients)
        rate = self.get_lr()
        done = True
        for i in range(self.param_length):
            moment = self.momentum * self.moments[i] + gradients[i]
            done = ops.depend(done, ops.assign(self.moments[i], moment))
            done = ops.depend(done, ops.assign(self.parameters[i], self.parameters[i] - rate * moment))
        return ops.depend(done, self.next_step())


class OldStyleMomentum(ClassicMomentum):
    """The same with the helpers that `mindspore.nn.Optimizer` offers."""

    def construct(self, gradients):
        gradients = self.scale_grad(self.decay_weight(gradients))
        rate = self.get_lr()
        self.assignadd(self.global_step, self.global_step_increase_tensor)
        for parameter_, moment, gradient in zip(self._parameters, self.moments, gradients):  # noqa: B905
            ops.assign(moment, self.momentum * moment + gradient)
            ops.assign(parameter_, parameter_ - rate * moment)
        return gradients


@pytest.mark.parametrize("classic", [ClassicMomentum, OldStyleMomentum])
def test_a_classic_construct_works_in_every_mode(mode, classic):
    w = parameter("w", [1.0, 2.0])
    optimizer = classic([w], learning_rate=[0.5, 0.25], weight_decay=0.5, loss_scale=2.0)
    expected, moment = np.array([1.0, 2.0]), np.zeros(2)
    for rate in (0.5, 0.25):
        optimizer((tensor([2.0, -4.0]),))
        moment = 0.5 * moment + (np.array([1.0, -2.0]) + 0.5 * expected)
        expected = expected - rate * moment
    np.testing.assert_allclose(w.asnumpy(), expected, rtol=1e-6)
    assert optimizer.global_step.asnumpy().tolist() == [2]


def test_a_classic_optimizer_is_accepted_by_train_one_step(mode):
    net = nn.Dense(2, 1)
    step = nn.TrainOneStepCell(nn.WithLossCell(net, nn.MSELoss()), ClassicMomentum(net.trainable_params(), 0.1))
    x, y = tensor([[1.0, 2.0]]), tensor([[3.0]])
    losses = [float(step(x, y).asnumpy()) for _ in range(5)]
    assert losses[-1] < losses[0]


def test_the_same_step_in_every_mode(mode):
    w = parameter("w", [1.0, -1.0])
    optimizer = SignDescent([w], learning_rate=0.5, weight_decay=4.0, loss_scale=8.0)
    assert optimizer((tensor([1.0, 1.0]),)) == (True,)
    assert w.asnumpy().tolist() == [0.5, -0.5]


@pytest.mark.parametrize(
    ("gradients", "kind", "message"),
    [
        (lambda: tensor([1.0, 1.0]), TypeError, "tuple or list"),
        (lambda: (), ValueError, r"0 gradient\(s\) for 1"),
        (lambda: (tensor([1.0]), tensor([1.0])), ValueError, r"2 gradient\(s\) for 1"),
        (lambda: (tensor([1.0]),), ValueError, r"'w' has shape \(1,\), the parameter has \(2,\)"),
        (lambda: (None,), TypeError, "'w' must be a Tensor.*got NoneType"),
        (lambda: (np.ones(2, np.float32),), TypeError, "'w' must be a Tensor.*got ndarray"),
        (lambda: (tensor([1, 1], np.int32),), TypeError, "'w' is of Int32"),
        (lambda: ((tensor([0], np.int32), tensor([1.0]), (2,)),), TypeError, "'w' is sparse"),
    ],
)
def test_gradients_that_do_not_fit_change_nothing(mode, gradients, kind, message):
    w = parameter("w", [1.0, 2.0])
    optimizer = SignDescent([w], learning_rate=0.5)
    with pytest.raises(kind, match=message):
        optimizer(gradients())
    assert w.asnumpy().tolist() == [1.0, 2.0]
    assert optimizer.global_step.asnumpy().tolist() == [0]


def test_past_the_last_rate_nothing_changes(mode):
    w = parameter("w", [4.0])
    optimizer = SignDescent([w], learning_rate=[1.0, 0.5])
    for _ in range(2):
        optimizer((tensor([1.0]),))
    with pytest.raises(ValueError, match=r"learning_rate lists 2 value\(s\)"):
        optimizer((tensor([1.0]),))
    with pytest.raises(ValueError, match="have been used"):
        optimizer.get_lr()
    assert w.asnumpy().tolist() == [2.5]
    assert optimizer.global_step.asnumpy().tolist() == [2]


def test_past_the_last_rate_inside_a_jit_function_nothing_changes():
    w = parameter("w", [4.0])
    optimizer = SignDescent([w], learning_rate=[1.0])

    @mindspore.jit
    def step(gradient):
        return optimizer((gradient,))

    step(tensor([1.0]))
    with pytest.raises(ValueError, match=r"learning_rate lists 1 value\(s\)"):
        step(tensor([1.0]))
    assert w.asnumpy().tolist() == [3.0]
    assert optimizer.global_step.asnumpy().tolist() == [1]


class HalvingDecay(nn.Cell):
    """1, 1/2, 1/4, …"""

    def construct(self, step):
        return ops.pow(Tensor(0.5, mindspore.float32), step.astype(mindspore.float32))


@rule()
def descend(w, g, lr):
    return w - lr * g


class Descent(Optimizer):
    """Plain gradient descent."""

    spec = OptimizerSpec("descent", "tests.optimizer.test_step:Descent")
    rule = descend

    def __init__(self, params, learning_rate, weight_decay=0.0, loss_scale=1.0):
        super().__init__(learning_rate, params, weight_decay, loss_scale)


def test_dynamic_decay_follows_the_step(mode):
    w = parameter("w", [1.0])
    optimizer = Descent([w], learning_rate=0.5, weight_decay=HalvingDecay(), loss_scale=4.0)
    expected = 1.0
    for step in range(3):
        optimizer((tensor([4.0]),))
        expected -= 0.5 * (1.0 + 0.5**step * expected)
    assert w.asnumpy().tolist() == pytest.approx([expected])


@pytest.mark.parametrize("value", [-0.5, float("nan"), float("inf")])
def test_a_decay_that_is_none_is_refused_and_changes_nothing(value):
    class Late(nn.Cell):
        def construct(self, step):
            return value if step.asnumpy()[0] else 0.0

    w = parameter("w", [1.0])
    optimizer = Descent([w], learning_rate=0.5, weight_decay=Late())
    optimizer((tensor([1.0]),))
    with pytest.raises(ValueError, match=r"weight_decay: Late gave .* at step 1; a decay must be finite and >= 0"):
        optimizer((tensor([1.0]),))
    assert w.asnumpy().tolist() == [0.5]
    assert optimizer.global_step.asnumpy().tolist() == [1]


def test_a_rate_that_is_set_between_steps_holds_at_the_next(mode):
    w = parameter("w", [1.0])
    optimizer = Descent([w], learning_rate=0.5)
    optimizer((tensor([1.0]),))
    optimizer.learning_rate.set_data(Tensor(0.25, mindspore.float32))
    optimizer((tensor([1.0]),))
    assert w.asnumpy().tolist() == [0.25]


def test_a_rate_that_is_set_reaches_a_compiled_function():
    w = parameter("w", [1.0])
    optimizer = Descent([w], learning_rate=0.5)

    @mindspore.jit
    def step(gradient):
        return optimizer((gradient,))

    step(tensor([1.0]))
    optimizer.learning_rate.set_data(Tensor(0.25, mindspore.float32))
    step(tensor([1.0]))
    assert w.asnumpy().tolist() == [0.25]
    with pytest.raises(ValueError, match=r"learning_rate: a value of shape \(2,\)"):
        optimizer.learning_rate.set_data(tensor([1.0, 2.0]))


def test_what_was_loaded_is_not_written_to():
    w = parameter("w", [1.0, 1.0])
    optimizer = SignDescent([w], learning_rate=0.5)
    loaded = {"w": parameter("w", [5.0, 5.0]), "global_step": mindspore.Parameter(tensor([3], np.int32))}
    mindspore.load_param_into_net(optimizer, loaded)
    for _ in range(2):
        optimizer((tensor([1.0, 1.0]),))
    assert w.asnumpy().tolist() == [4.0, 4.0]
    assert optimizer.global_step.asnumpy().tolist() == [5]
    assert loaded["w"].asnumpy().tolist() == [5.0, 5.0]
    assert loaded["global_step"].asnumpy().tolist() == [3]


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16", "float64"])
def test_every_parameter_dtype_in_every_mode(mode, name):
    kind = getattr(mindspore, name)
    w = mindspore.Parameter(Tensor([1.0, 3.0], kind), name="w")
    optimizer = Descent([w], learning_rate=0.1)
    optimizer((Tensor([1.0, 1.0], kind),))
    assert w.dtype == kind
    found = Tensor(w).astype(mindspore.float64).asnumpy()
    tolerance = {"float32": 1e-7, "float16": 1e-3, "bfloat16": 1e-2, "float64": 1e-15}[name]
    np.testing.assert_allclose(found, [0.9, 2.9], rtol=tolerance)


def test_two_optimizers_in_one_graph_keep_their_own_state():
    class Two(nn.Cell):
        def __init__(self):
            super().__init__(auto_prefix=False)
            self.first = Descent([parameter("a", [1.0])], learning_rate=0.5)
            self.second = Descent([parameter("b", [1.0])], learning_rate=0.25)

        def construct(self, gradient):
            return self.first((gradient,)), self.second((gradient,))

    mindspore.set_context(mode=mindspore.GRAPH_MODE)
    try:
        two = Two()
        for _ in range(2):
            two(tensor([1.0]))
    finally:
        mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    assert two.first.parameters[0].asnumpy().tolist() == [0.0]
    assert two.second.parameters[0].asnumpy().tolist() == [0.5]
    assert two.first.global_step.asnumpy().tolist() == two.second.global_step.asnumpy().tolist() == [2]


def test_hooks_of_the_cell_are_called():
    calls = []

    def hook(cell, inputs):
        calls.append(len(inputs))

    w = parameter("w", [1.0])
    optimizer = Descent([w], learning_rate=0.5)
    optimizer.register_forward_pre_hook(hook)
    optimizer((tensor([1.0]),))
    assert calls == [1]
    assert w.asnumpy().tolist() == [0.5]


def test_a_copy_of_network_and_optimizer_belong_together():
    net = nn.Dense(2, 2)
    optimizer = Descent(net.trainable_params(), learning_rate=[0.5, 0.25, 0.125])
    gradients = tuple(Tensor(np.ones(p.shape, np.float32)) for p in optimizer.parameters)
    optimizer(gradients)
    net_copy, optimizer_copy = copy.deepcopy((net, optimizer))
    assert optimizer_copy.parameters[0] is net_copy.trainable_params()[0]
    optimizer_copy(gradients)
    assert optimizer.global_step.asnumpy().tolist() == [1]
    assert optimizer_copy.global_step.asnumpy().tolist() == [2]
    np.testing.assert_allclose(net.weight.asnumpy() - net_copy.weight.asnumpy(), 0.25, rtol=1e-6)


def test_an_optimizer_survives_a_pickle_with_its_step():
    optimizer = SignDescent([parameter("w", [1.0])], learning_rate=[0.5, 0.25])
    optimizer((tensor([1.0]),))
    twin = pickle.loads(pickle.dumps(optimizer))
    twin((tensor([1.0]),))
    assert twin.parameters[0].asnumpy().tolist() == [0.25]
    assert optimizer.parameters[0].asnumpy().tolist() == [0.5]


def test_threads_that_step_one_optimizer_take_turns():
    w = parameter("w", np.zeros(1000))
    optimizer = Descent([w], learning_rate=1.0)
    gradient = tensor(np.ones(1000))

    def steps():
        for _ in range(50):
            optimizer((gradient,))

    callers = [threading.Thread(target=steps) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert set(w.asnumpy().tolist()) == {-200.0}
    assert optimizer.global_step.asnumpy().tolist() == [200]


def test_target_names_what_exists():
    optimizer = Descent([parameter("w", [1.0])], learning_rate=0.5)
    assert optimizer.target == "CPU"
    optimizer.target = "CPU"
    with pytest.raises(MissingKernelError, match="'descent' has no kernel for device 'GPU'"):
        optimizer.target = "GPU"
    with pytest.raises(ValueError, match="'target' must be one of"):
        optimizer.target = "TPU"
    with pytest.raises(TypeError, match="'target' must be one of"):
        optimizer.target = 0
    assert optimizer.target == "CPU"


def test_unique_is_a_bool():
    optimizer = Descent([parameter("w", [1.0])], learning_rate=0.5)
    assert optimizer.unique is True
    optimizer.unique = False
    assert optimizer.unique is False
    with pytest.raises(TypeError, match="'unique' must be True or False"):
        optimizer.unique = 1


def test_broadcast_in_one_process_changes_nothing():
    w = parameter("w", [1.0])
    optimizer = Descent([w], learning_rate=0.5)
    assert optimizer.broadcast_params(optimizer((tensor([1.0]),))) is True
    assert w.asnumpy().tolist() == [0.5]


def test_rule_and_spec_have_to_agree():
    @rule(state=("m",))
    def unstated(w, g, m, lr):
        return w - lr * m, m + g

    class Unstated(Descent):
        rule = unstated

    with pytest.raises(InvalidSpecError, match=r"'m' is not in the spec's 'state'"):
        Unstated([parameter("w", [1.0])], 0.1)

    class Misshapen(Descent):
        spec = OptimizerSpec("misshapen", "a:B", state=(StateSlot("m", "m", shape="scalar"),))
        rule = unstated

    with pytest.raises(InvalidSpecError, match="'m' is elementwise"):
        Misshapen([parameter("w", [1.0])], 0.1)

    @rule()
    def mistyped(w, g, lr, bta):
        return w - lr * bta * g

    class Mistyped(Descent):
        rule = mistyped

    with pytest.raises(InvalidSpecError, match=r"\['bta'\]"):
        Mistyped([parameter("w", [1.0])], 0.1)


def test_weights_rebound_to_a_view_are_updated():
    w = parameter("w", np.zeros((2, 3)))
    optimizer = Descent([w], learning_rate=1.0)
    optimizer((tensor(np.ones((2, 3))),))
    w.set_data(tensor(np.arange(6).reshape(3, 2)).T)
    optimizer((tensor(np.ones((2, 3))),))
    np.testing.assert_array_equal(w.asnumpy(), np.arange(6).reshape(3, 2).T - 1)


def test_a_dtype_that_changed_behind_the_optimizer_is_named():
    w = parameter("w", [1.0])
    optimizer = Descent([w], learning_rate=1.0)
    optimizer((tensor([1.0]),))
    w.set_dtype(mindspore.float16)
    with pytest.raises(TypeError, match="'w' is now of Float16, but was of Float32"):
        optimizer((tensor([1.0]),))


@rule()
def doubled_descent(w, g, lr):
    return w - (2 * lr) * (g * 0.5)


@rule()
def signed_halves(w, g, lr):
    """The rule of the class, in other words: its scalars are others, and there are more of them."""
    return w - (lr / 4) * (2 * g) - (lr * 0.5) * g


def test_a_registered_rule_is_given_its_own_scalars():
    class Descent(Optimizer):
        rule = doubled_descent

        def __init__(self, params, learning_rate):
            super().__init__(learning_rate, params)

    Descent.spec = OptimizerSpec("own_scalars", Descent)
    register(Descent.spec, kernels=[KernelSpec("own_scalars", "CPU", signed_halves, priority=5)])
    try:
        w = parameter("w", [1.0, 2.0])
        Descent([w], 0.5)((tensor([1.0, -2.0]),))
    finally:
        unregister("own_scalars")
    assert w.asnumpy().tolist() == [0.5, 3.0]


def test_a_group_that_leaves_the_gradients_dtype_takes_its_kernel_along():
    first, second = parameter("a", [1.0, 1.0]), parameter("b", [1.0, 1.0])
    groups = [{"params": [first], "lr": 0.5}, {"params": [second], "lr": 0.25}]
    optimizer = SignDescent(groups, learning_rate=0.1)
    narrow = Tensor(np.array([1.0, 1.0]), mindspore.float16)
    for gradients in ((tensor([1.0, 1.0]), narrow), (narrow, tensor([1.0, 1.0])), (narrow, narrow)):
        optimizer(gradients)
    assert first.asnumpy().tolist() == [-0.5, -0.5]
    assert second.asnumpy().tolist() == [0.25, 0.25]


def test_gradients_by_name_take_the_way_of_all_others(mode):
    optimizer = SignDescent([parameter("w", [1.0, -2.0])], learning_rate=0.5)
    optimizer(gradients=(tensor([3.0, -0.1]),))
    assert optimizer.parameters[0].asnumpy().tolist() == [0.5, -1.5]
    with pytest.raises(ValueError, match=r"gradient of 'w' has shape \(3,\), the parameter has \(2,\)"):
        optimizer(gradients=(tensor([1.0, 1.0, 1.0]),))
    assert optimizer.global_step.asnumpy().tolist() == [1]


def test_a_function_under_jit_may_step_with_a_list():
    expected = SignDescent([parameter("w", [1.0, -2.0]), parameter("b", [1.0])], learning_rate=0.5)
    optimizer = SignDescent([parameter("w", [1.0, -2.0]), parameter("b", [1.0])], learning_rate=0.5)

    @mindspore.jit
    def step(first, second):
        return optimizer([first, second])

    gradients = tensor([3.0, -0.1]), tensor([1.0])
    expected(gradients)
    step(*gradients)
    for one, other in zip(optimizer.get_parameters(), expected.get_parameters(), strict=True):
        assert (one.asnumpy() == other.asnumpy()).all()

"""Optimizers around another one: views, factors on the host and in a graph, what is shared and what is refused."""

from __future__ import annotations

import copy
import pickle

import mindspore
import numpy as np
import pytest
from mindspore import nn

import tinyms_core
from tinyms_core import RuleError, WrappingOptimizer, rule
from tinyms_core.conformance.inner import InnerClassic, InnerDecoupled, InnerMomentum
from tinyms_core.examples import UnitGradient, parameter, tensor, unit_length
from tinyms_core.kernels.factor import analyse_factor
from tinyms_core.optimizer.views import undecayed

OWN = (InnerMomentum, InnerDecoupled, InnerClassic)


def inner(cls=InnerMomentum, **changes):
    first, second = parameter("first.weight", [3.0, 4.0]), parameter("second.weight", [1.0])
    arguments = {"learning_rate": 0.5, "weight_decay": 0.25, "loss_scale": 4.0, "inner_momentum": 0.5, **changes}
    return cls([first, second], **arguments)


def values(optimizer):
    return [p.asnumpy().copy() for p in optimizer.get_parameters()]


@pytest.mark.parametrize("cls", OWN)
def test_a_view_steps_the_same_parameters_without_decay(cls):
    decayed, bare = inner(cls), inner(cls, weight_decay=0.0)
    view = undecayed(decayed, (True, False))
    gradients = (tensor([4.0, 8.0]), tensor([4.0]))
    view(gradients)
    bare(gradients)
    expected = inner(cls)
    expected(gradients)
    assert (decayed.parameters[0].asnumpy() == bare.parameters[0].asnumpy()).all()
    assert (decayed.parameters[1].asnumpy() == expected.parameters[1].asnumpy()).all()
    assert decayed.global_step.asnumpy().tolist() == [1]


@pytest.mark.parametrize("cls", OWN)
def test_a_view_leaves_the_optimizer_as_it_was(cls):
    optimizer, untouched = inner(cls), inner(cls)
    undecayed(optimizer, (True, True))
    gradients = (tensor([4.0, 8.0]), tensor([4.0]))
    optimizer(gradients)
    untouched(gradients)
    for one, other in zip(values(optimizer), values(untouched), strict=True):
        assert (one == other).all()


@pytest.mark.parametrize("cls", [nn.Momentum, nn.AdamWeightDecay])
def test_a_view_of_mindspores_optimizer_is_apart_from_it(cls):
    more = {"momentum": 0.5} if cls is nn.Momentum else {}
    optimizer = cls([parameter("w", [1.0])], learning_rate=0.5, weight_decay=0.25, **more)
    before = optimizer.decay_flags, optimizer.exec_weight_decay
    view = undecayed(optimizer, (True,))
    assert view.decay_flags == (False,)
    assert (optimizer.decay_flags, optimizer.exec_weight_decay) == before
    assert view.parameters[0] is optimizer.parameters[0]


@pytest.mark.parametrize("cls", OWN)
@pytest.mark.parametrize("mode", [mindspore.PYNATIVE_MODE, mindspore.GRAPH_MODE])
def test_the_update_sees_the_factor_times_the_decayed_gradient(cls, mode):
    mindspore.set_context(mode=mode)
    try:
        optimizer = inner(cls)
        UnitGradient(optimizer, epsilon=1e-12)((tensor([12.0, 16.0]), tensor([8.0])))
        # The gradients without the scale are (3, 4) and 2, the factors 1/5 and 1/2.
        first = np.array([3.0, 4.0]) - 0.5 / 5 * (np.array([3.0, 4.0]) * 1.25)
        np.testing.assert_allclose(optimizer.parameters[0].asnumpy(), first, rtol=1e-6)
        np.testing.assert_allclose(optimizer.parameters[1].asnumpy(), [1.0 - 0.5 / 2 * 2.25], rtol=1e-6)
    finally:
        mindspore.set_context(mode=mindspore.PYNATIVE_MODE)


def test_dynamic_decay_is_that_of_the_step():
    class Decay(nn.Cell):
        def construct(self, step):
            return step * 0.5

    optimizer = inner(weight_decay=Decay())
    wrapped = UnitGradient(optimizer, epsilon=1e-12)
    gradients = (tensor([12.0, 16.0]), tensor([8.0]))
    wrapped(gradients)
    np.testing.assert_allclose(optimizer.parameters[0].asnumpy(), [2.7, 3.6], rtol=1e-6)
    wrapped(gradients)
    # v = 0.5 · (0.6, 0.8) + ((3, 4) + 0.5 · (2.7, 3.6)) / 5
    seen = 0.5 * np.array([0.6, 0.8]) + (np.array([3.0, 4.0]) + 0.5 * np.array([2.7, 3.6])) / 5
    np.testing.assert_allclose(optimizer.parameters[0].asnumpy(), np.array([2.7, 3.6]) - 0.5 * seen, rtol=1e-6)


def test_a_target_reaches_both():
    optimizer = UnitGradient(inner())
    optimizer.target = "CPU"
    with pytest.raises(ValueError, match="'target' must be one of"):
        optimizer.target = "TPU"
    assert optimizer.target == optimizer.optimizer.target == "CPU"


def test_unique_is_the_wrapped_optimizers():
    optimizer = UnitGradient(inner())
    optimizer.unique = False
    assert optimizer.optimizer.unique is False
    with pytest.raises(TypeError, match="unique"):
        optimizer.unique = 1


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_are_around_copies(duplicate):
    optimizer = UnitGradient(inner())
    twin = duplicate(optimizer)
    assert twin.optimizer is not optimizer.optimizer
    twin((tensor([12.0, 16.0]), tensor([8.0])))
    assert optimizer.parameters[0].asnumpy().tolist() == [3.0, 4.0]
    assert twin.parameters[0].asnumpy().tolist() != [3.0, 4.0]


def test_config_builds_one_around_the_same_optimizer():
    optimizer = UnitGradient(inner(), epsilon=0.5)
    assert optimizer.get_config() == {"optimizer": optimizer.optimizer, "epsilon": 0.5}


@rule(state=("m",))
def with_state(w, g, m):
    return g, m


class Recorder(nn.Optimizer):
    """Changes nothing, and keeps the first gradients that it and its copies are given."""

    given: list = []

    def construct(self, gradients):
        self.given.append(gradients[0].asnumpy())
        return True


def test_of_a_parameter_whose_memory_is_a_view_elements_are_in_their_order():
    values = np.arange(1.0, 7.0, dtype=np.float32).reshape(2, 3)
    Recorder.given.clear()
    contiguous = []
    for of in (lambda: tensor(values).T, lambda: tensor(values.T.copy())):
        w = parameter("w", np.zeros((3, 2)))
        w.data = of()
        UnitGradient(Recorder(0.5, [w], weight_decay=0.25))((tensor([[3.0, 0.0], [4.0, 1.0], [2.0, 2.0]]),))
        contiguous.append(w.is_contiguous())
    assert contiguous == [False, True]
    of_view, of_twin = Recorder.given
    assert (of_view == of_twin).all()
    assert of_view.any()


@rule()
def of_the_element(w, g):
    return g * 2


@rule()
def of_scalars(w, g, lr):
    return lr * 2


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        (with_state, "a factor has no state"),
        (of_the_element, "one number for each"),
        (of_scalars, "one number for each"),
    ],
)
def test_what_is_no_factor_is_refused(factor, message):
    with pytest.raises(RuleError, match=message):
        analyse_factor(factor, {})


def test_a_factor_is_one_value_for_each_tensor():
    found = analyse_factor(unit_length, {"epsilon": 0.5})
    assert found.program.stages == 2
    assert found.program.tensor_slots[found.column] == found.slot


class Unregistered(WrappingOptimizer):
    factor = of_scalars

    def __init__(self, optimizer):
        super().__init__(optimizer)


def test_a_wrong_factor_is_found_when_the_optimizer_is_built():
    with pytest.raises(RuleError, match="of_scalars"):
        Unregistered(inner())


def test_create_optimizer_builds_both():
    net = nn.SequentialCell(nn.Dense(4, 8), nn.Dense(8, 2))
    optimizer = tinyms_core.create_optimizer(
        "lars", net, around="momentum", learning_rate=0.1, momentum=0.8, weight_decay=0.1, coefficient=0.5
    )
    assert type(optimizer.optimizer).__name__ == "Momentum"
    assert optimizer.get_config()["coefficient"] == 0.5
    assert optimizer.optimizer.get_config()["momentum"] == 0.8
    assert [s.parameter.name for s in optimizer.optimizer.settings if s.decays] == ["0.weight", "1.weight"]


def test_create_optimizer_takes_the_other_one_built():
    other = inner()
    optimizer = tinyms_core.create_optimizer("lars", other, use_clip=True)
    assert optimizer.optimizer is other


@pytest.mark.parametrize(
    ("name", "given", "arguments", "message"),
    [
        ("lars", "net", {}, "name that one, such as around='momentum'"),
        (
            "lars",
            "net",
            {"around": "momentum", "learning_rate": 0.1, "momentun": 0.9},
            r"unknown.*momentun.*momentum takes",
        ),
        ("lars", "inner", {"around": "momentum"}, "is built already, so these say nothing: around"),
        ("lars", "inner", {"learning_rate": 0.1}, "is built already, so these say nothing: learning_rate"),
        ("lars", "inner", {"momentum": 0.1}, "unknown argument"),
        ("adam", "net", {"around": "momentum"}, "adam: it is not built around another optimizer"),
    ],
)
def test_create_optimizer_says_what_is_wrong(name, given, arguments, message):
    thing = nn.Dense(2, 2) if given == "net" else inner()
    with pytest.raises(TypeError, match=message):
        tinyms_core.create_optimizer(name, thing, **arguments)


@pytest.mark.parametrize("mode", [mindspore.PYNATIVE_MODE, mindspore.GRAPH_MODE])
@pytest.mark.parametrize("call", ["list", "by name"])
def test_gradients_come_as_a_list_or_by_name(mode, call):
    expected, optimizer = UnitGradient(inner()), UnitGradient(inner())
    gradients = (tensor([4.0, 8.0]), tensor([4.0]))
    expected(gradients)
    mindspore.set_context(mode=mode)
    try:
        optimizer(list(gradients)) if call == "list" else optimizer(gradients=gradients)
    finally:
        mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    for one, other in zip(values(optimizer), values(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize("cls", OWN)
def test_a_function_under_jit_may_step_with_a_list(cls):
    expected, optimizer = UnitGradient(inner(cls)), UnitGradient(inner(cls))

    @mindspore.jit
    def step(first, second):
        return optimizer([first, second])

    gradients = (tensor([4.0, 8.0]), tensor([4.0]))
    expected(gradients)
    step(*gradients)
    for one, other in zip(values(optimizer), values(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)

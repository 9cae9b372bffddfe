"""Steps in graphs: the kernels of the host where they can be, MindSpore's operators elsewhere, the same numbers."""

from __future__ import annotations

import mindspore
import numpy as np
import pytest
from mindspore import Parameter, Tensor, context, nn, ops

import tinyms_core
from tinyms_core.kernels import trampoline

SHAPES = ((5, 3), (), (7,), (0,), (2, 3, 2, 2))
STEPS = 4

pytestmark = pytest.mark.skipif(bool(trampoline.unavailable()), reason="needs a C compiler")


@pytest.fixture
def mode():
    """Set the mode, and take it back."""
    before = context.get_context("mode")
    yield lambda value: context.set_context(mode=value)
    context.set_context(mode=before)


def parameters(dtype=np.float32):
    generator = np.random.default_rng(3)
    arrays = [np.asarray(generator.normal(size=shape), dtype) for shape in SHAPES]
    return [Parameter(Tensor(array), name=f"w{i}") for i, array in enumerate(arrays)]


def gradients(step, dtype=np.float32):
    generator = np.random.default_rng(100 + step)
    return tuple(Tensor(np.asarray(generator.normal(size=shape), dtype)) for shape in SHAPES)


def build(owned, **more):
    groups = [{"params": owned[:2], "weight_decay": 0.1, "lr": 0.3}, {"params": owned[2:], "grad_centralization": True}]
    return tinyms_core.get_optimizer("adam")(groups, learning_rate=[0.1, 0.2, 0.1, 0.05], loss_scale=8.0, **more)


def trajectory(run, optimizer, dtype=np.float32):
    for step in range(STEPS):
        run(gradients(step, dtype))
    everything = [*optimizer.parameters, *(p for row in optimizer.states.values() for p in row)]
    return [parameter.asnumpy().copy() for parameter in everything]


def same(left, right):
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_graph_and_jit_are_eager_bit_for_bit(mode, dtype):
    eager = build(parameters(dtype))
    expected = trajectory(eager, eager, dtype)
    jitted = build(parameters(dtype))

    @mindspore.jit
    def step(g):
        return jitted(g)

    assert same(trajectory(step, jitted, dtype), expected)
    mode(context.GRAPH_MODE)
    graph = build(parameters(dtype))
    assert graph.traced_on_host
    assert same(trajectory(graph, graph, dtype), expected)
    assert int(graph.global_step.asnumpy()[0]) == STEPS


def test_without_the_library_operators_serve(mode):
    eager = build(parameters())
    expected = trajectory(eager, eager)
    mode(context.GRAPH_MODE)
    with trampoline.withheld():
        graph = build(parameters())
    assert not graph.traced_on_host
    for found, value in zip(trajectory(graph, graph), expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-6)


def test_the_switch_leaves_graphs_to_operators(monkeypatch):
    monkeypatch.setenv("TINYMS_OPTIM_GRAPH_KERNELS", "0")
    assert not build(parameters()).traced_on_host
    assert "TINYMS_OPTIM_GRAPH_KERNELS is 0" in trampoline.unavailable()


def test_bfloat16_is_left_to_operators():
    owned = [Parameter(Tensor(np.ones(3), mindspore.bfloat16), name="w")]
    assert not tinyms_core.get_optimizer("momentum")(owned, 0.1, 0.9).traced_on_host


def wrapped(owned):
    groups = [{"params": owned[:2], "weight_decay": 0.1, "lr": 0.3}, {"params": owned[2:], "weight_decay": 0.0}]
    inner = tinyms_core.get_optimizer("momentum")(groups, 0.1, 0.9, loss_scale=8.0)
    return tinyms_core.get_optimizer("lars")(inner, lars_filter=lambda parameter: parameter.name != "w2")


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_an_optimizer_around_another_takes_the_same_kernels(mode, dtype):
    eager = wrapped(parameters(dtype))
    expected = trajectory(eager, eager.optimizer, dtype)
    jitted = wrapped(parameters(dtype))

    @mindspore.jit
    def step(g):
        return jitted(g)

    assert jitted.traced_operator is not None
    assert same(trajectory(step, jitted.optimizer, dtype), expected)
    mode(context.GRAPH_MODE)
    graph = wrapped(parameters(dtype))
    assert same(trajectory(graph, graph.optimizer, dtype), expected)
    assert int(graph.global_step.asnumpy()[0]) == STEPS


def test_around_another_operators_serve_without_the_library(mode):
    eager = wrapped(parameters())
    expected = trajectory(eager, eager.optimizer)
    mode(context.GRAPH_MODE)
    with trampoline.withheld():
        graph = wrapped(parameters())
    assert graph.traced_operator is None
    for found, value in zip(trajectory(graph, graph.optimizer), expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-6)


class ReadsAround(nn.Cell):
    """Reads a weight before and after a step in the same graph."""

    def __init__(self, weight, optimizer):
        super().__init__()
        self.weight, self.optimizer = weight, optimizer

    def construct(self, gradient):
        before = self.weight * 2
        done = self.optimizer((gradient,))
        return before * 1, ops.depend(self.weight * 2, done)


def test_reads_in_the_same_graph_keep_their_place(mode):
    mode(context.GRAPH_MODE)
    weight = Parameter(Tensor(np.full(3, 1.0, np.float32)), name="w")
    cell = ReadsAround(weight, tinyms_core.get_optimizer("sgd")([weight], learning_rate=0.5))
    before, after = cell(Tensor(np.ones(3, np.float32)))
    assert before.asnumpy().tolist() == [2.0] * 3
    assert after.asnumpy().tolist() == [1.0] * 3


class TwoSteps(nn.Cell):
    """Two optimizers in one graph, the second with the first one's result as its gradient."""

    def __init__(self, left, right):
        super().__init__()
        self.left, self.right = left, right

    def construct(self, gradient):
        done = self.left((gradient,))
        return self.right((ops.depend(self.left.parameters[0] + 0.0, done),))


def test_several_optimizers_in_one_graph(mode):
    mode(context.GRAPH_MODE)
    sgd = tinyms_core.get_optimizer("sgd")
    first, second = (Parameter(Tensor(np.full(2, 1.0, np.float32)), name=name) for name in ("a", "b"))
    TwoSteps(sgd([first], 0.5), sgd([second], 1.0))(Tensor(np.ones(2, np.float32)))
    assert first.asnumpy().tolist() == [0.5, 0.5]
    assert second.asnumpy().tolist() == [0.5, 0.5]


class Turned(nn.Cell):
    """Steps with a transposed gradient."""

    def __init__(self, optimizer):
        super().__init__()
        self.optimizer = optimizer

    def construct(self, gradient):
        return self.optimizer((ops.transpose(gradient, (1, 0)),))


def test_a_view_as_gradient_is_read_in_order(mode):
    mode(context.GRAPH_MODE)
    weight = Parameter(Tensor(np.zeros((2, 3), np.float32)), name="w")
    optimizer = tinyms_core.get_optimizer("sgd")([weight], learning_rate=1.0)
    given = np.arange(6, dtype=np.float32).reshape(3, 2)
    Turned(optimizer)(Tensor(given))
    assert np.array_equal(weight.asnumpy(), -given.T)


def test_new_memory_between_steps_is_found(mode):
    mode(context.GRAPH_MODE)
    weight = Parameter(Tensor(np.zeros(3, np.float32)), name="w")
    optimizer = tinyms_core.get_optimizer("sgd")([weight], learning_rate=1.0)
    optimizer((Tensor(np.ones(3, np.float32)),))
    weight.set_data(Tensor(np.full(3, 10.0, np.float32)))
    optimizer((Tensor(np.ones(3, np.float32)),))
    assert weight.asnumpy().tolist() == [9.0] * 3


def test_an_error_in_the_kernel_reaches_the_caller(mode, monkeypatch, capsys):
    mode(context.GRAPH_MODE)
    weight = Parameter(Tensor(np.zeros(3, np.float32)), name="w")
    optimizer = tinyms_core.get_optimizer("sgd")([weight], learning_rate=1.0)

    def broken(*_):
        raise MemoryError("no room")

    monkeypatch.setattr(optimizer._graph_step._step, "at_addresses", broken)
    with pytest.raises(RuntimeError, match="tinyms_step"):
        optimizer((Tensor(np.ones(3, np.float32)),))
    assert "MemoryError: no room" in capsys.readouterr().err
    assert weight.asnumpy().tolist() == [0.0] * 3
    assert int(optimizer.global_step.asnumpy()[0]) == 0

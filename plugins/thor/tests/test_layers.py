"""The factors and the step of each kind of layer against a float64 reference, in each mode, also with a loss scale."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import mindspore
import numpy as np
import pytest
import tinyms_thor.optimizer
from mindspore import Tensor, nn, ops
from tinyms_thor import blocks, reference

import tinyms_core

MODES = ("pynative", "jit", "graph")
DAMPING = 0.03
RATE = 0.5


@contextlib.contextmanager
def running(mode):
    mindspore.set_context(mode=mindspore.GRAPH_MODE if mode == "graph" else mindspore.PYNATIVE_MODE)
    try:
        yield
    finally:
        mindspore.set_context(mode=mindspore.PYNATIVE_MODE)


class Weighed(nn.Cell):
    """A scaled mean loss of a network: each output times a weight of its own, squared."""

    def __init__(self, net, scale):
        super().__init__(auto_prefix=False)
        self.net = net
        self.scale = scale

    def construct(self, x, weights):
        out = self.net(x)
        return ops.square(out * weights).sum() / x.shape[0] * self.scale


class Step(nn.Cell):
    def __init__(self, net, optimizer, scale):
        super().__init__(auto_prefix=False)
        self.loss = Weighed(net, scale)
        self.optimizer = optimizer
        self.weights = optimizer.parameters
        self.gradient = ops.GradOperation(get_by_list=True)

    def construct(self, x, weights):
        gradients = self.gradient(self.loss, self.weights)(x, weights)
        return ops.depend(x, self.optimizer(gradients))


def stepper(mode, net, optimizer, scale):
    step = Step(net, optimizer, scale)
    if mode != "jit":
        return step

    @mindspore.jit
    def compiled(x, weights):
        return step(x, weights)

    return compiled


@pytest.fixture(autouse=True)
def _same_weights():
    mindspore.set_seed(1)


def numbers(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def outputs_slopes(net, x, weights):
    """Gradients of the mean loss by the network's outputs."""
    out = net(x).asnumpy().astype(np.float64)
    return 2.0 * out * np.square(weights, dtype=np.float64) / x.shape[0]


def thor(net, **arguments):
    given = {"learning_rate": Tensor(RATE), "damping": Tensor(DAMPING), "momentum": 0.0, **arguments}
    return tinyms_core.get_optimizer("thor")(net, **given)


@dataclass(frozen=True)
class Stepped:
    """What one step did: the negative change of each parameter over the rate, and the factors, by the weight's name."""

    change: dict
    a: dict
    g: dict


def run(net, x, weights, mode, scale=1.0, **arguments):
    """One step; nothing of older factors is kept, so that those in the state are what was seen."""
    before = {p.name: p.asnumpy().astype(np.float64) for p in net.trainable_params()}
    optimizer = thor(net, loss_scale=scale, factor_decay=0.0, **arguments)
    try:
        with running(mode):
            stepper(mode, net, optimizer, scale)(x, Tensor(weights))
            after = {p.name: p.asnumpy().astype(np.float64) for p in net.trainable_params()}
        state = {p.name: p.asnumpy().copy() for p in optimizer.get_parameters()}
    finally:
        optimizer.detach()
    return Stepped(
        {name: (before[name] - after[name]) / RATE for name in before},
        *({name: state.get(f"{factor}.{name}") for name in before} for factor in ("matrix_a", "matrix_g")),
    )


def close(actual, expected):
    error = np.abs(actual - expected).max() / np.abs(expected).max()
    assert error <= 1e-4, error


def factors_close(stepped, weight, a, g):
    """Both factors of all groups; a vector is a diagonal."""
    found = stepped.a[weight]
    close(np.diag(found)[None] if found.ndim == 1 else found, np.stack(a))
    close(stepped.g[weight], np.stack(g))


SCALES = pytest.mark.parametrize("scale", [1.0, 1024.0])
IN_EACH_MODE = pytest.mark.parametrize("mode", MODES)


@IN_EACH_MODE
@SCALES
@pytest.mark.parametrize(("shape", "bias"), [((6, 4), True), ((6, 4), False), ((3, 5, 4), True)])
def test_dense(mode, scale, shape, bias):
    net = nn.Dense(4, 3, has_bias=bias)
    x, weights = Tensor(numbers(1, *shape)), numbers(2, *shape[:-1], 3)
    slopes = outputs_slopes(net, x, weights)
    a, g = reference.dense_factors(x.asnumpy(), slopes, 1.0)
    gradient = slopes.reshape(-1, 3).T @ x.asnumpy().reshape(-1, 4).astype(np.float64)
    stepped = run(net, x, weights, mode, scale)
    factors_close(stepped, "weight", a, g)
    close(stepped.change["weight"], reference.preconditioned(gradient, a, g, DAMPING))
    if bias:
        close(stepped.change["bias"], slopes.reshape(-1, 3).sum(axis=0))


@IN_EACH_MODE
@SCALES
def test_dense_with_an_activation_sees_the_slope_before_it(mode, scale):
    net = nn.Dense(4, 3, activation="tanh")
    x, weights = Tensor(numbers(1, 6, 4)), numbers(2, 6, 3)
    out = net(x).asnumpy().astype(np.float64)
    slopes = outputs_slopes(net, x, weights) * (1.0 - out**2)
    a, g = reference.dense_factors(x.asnumpy(), slopes, 1.0)
    gradient = slopes.T @ x.asnumpy().astype(np.float64)
    stepped = run(net, x, weights, mode, scale)
    factors_close(stepped, "weight", a, g)
    close(stepped.change["weight"], reference.preconditioned(gradient, a, g, DAMPING))


CONVOLUTIONS = {
    "same": ({"kernel_size": 3}, (1, 1)),
    "same, stride": ({"kernel_size": 3, "stride": 2}, (0, 1)),
    "valid": ({"kernel_size": 3, "pad_mode": "valid"}, (0, 0)),
    "pad": ({"kernel_size": 3, "pad_mode": "pad", "padding": (1, 0, 2, 1)}, (1, 2)),
    "not square": ({"kernel_size": (3, 2), "stride": (2, 1), "pad_mode": "valid"}, (0, 0)),
    "same, dilation": ({"kernel_size": 3, "stride": (1, 2), "dilation": 2}, (2, 2)),
    "dilation": ({"kernel_size": 2, "dilation": (2, 1), "pad_mode": "valid"}, (0, 0)),
    "groups": ({"kernel_size": 3, "group": 2}, (1, 1)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize(
    ("mode", "scale"), [("pynative", 1.0), ("pynative", 1024.0), ("jit", 1024.0), ("graph", 1024.0)]
)
def test_convolution(mode, scale, name):
    options, margins = CONVOLUTIONS[name]
    net = nn.Conv2d(4, 6, **options)
    x = Tensor(numbers(1, 3, 4, 6, 7))
    weights = numbers(2, *net(x).shape)
    slopes = outputs_slopes(net, x, weights)
    a, g = reference.convolution_factors(
        x.asnumpy(),
        slopes,
        1.0,
        kernel=net.kernel_size,
        stride=net.stride,
        dilation=net.dilation,
        margins=margins,
        groups=net.group,
    )
    gradient = mindspore.grad(lambda w: (ops.square(net.conv2d(x, w) * Tensor(weights))).sum() / 3)(net.weight)
    stepped = run(net, x, weights, mode, scale)
    factors_close(stepped, "weight", a, g)
    close(stepped.change["weight"], reference.preconditioned(gradient.asnumpy(), a, g, DAMPING))


@IN_EACH_MODE
@SCALES
@pytest.mark.parametrize("one_hot", [False, True])
def test_embedding(mode, scale, one_hot):
    net = nn.Embedding(7, 3, use_one_hot=one_hot)
    ids = np.array([[1, 2], [2, 6], [0, 2], [5, 1]], np.int32)
    x, weights = Tensor(ids), 10.0 * numbers(2, 4, 2, 3)
    slopes = outputs_slopes(net, x, weights)
    a, g = reference.embedding_factors(ids, slopes, 1.0, 7)
    gradient = np.zeros((7, 3))
    np.add.at(gradient, ids.reshape(-1), slopes.reshape(-1, 3))
    stepped = run(net, x, weights, mode, scale)
    factors_close(stepped, "embedding_table", a, g)
    expected = reference.preconditioned(gradient.T, a, g, DAMPING).T
    close(stepped.change["embedding_table"], expected)


@IN_EACH_MODE
@SCALES
def test_normalization(mode, scale):
    net = nn.LayerNorm((3,))
    x, weights = Tensor(numbers(1, 5, 3)), numbers(2, 5, 3)
    slopes = outputs_slopes(net, x, weights)
    rows = x.asnumpy().astype(np.float64)
    normal = (rows - rows.mean(axis=1, keepdims=True)) / np.sqrt(rows.var(axis=1, keepdims=True) + net.epsilon)
    change = run(net, x, weights, mode, scale, batch_size=5).change
    close(change["gamma"], reference.normalized((slopes * normal).sum(axis=0), DAMPING, 5))
    close(change["beta"], reference.normalized(slopes.sum(axis=0), DAMPING, 5))


@IN_EACH_MODE
def test_balance(mode):
    net = nn.Dense(4, 3, has_bias=False)
    x, weights = Tensor(3.0 * numbers(1, 6, 4)), numbers(2, 6, 3)
    slopes = outputs_slopes(net, x, weights)
    a, g = reference.dense_factors(x.asnumpy(), slopes, 1.0)
    gradient = slopes.T @ x.asnumpy().astype(np.float64)
    balanced = reference.preconditioned(gradient, a, g, DAMPING, balance=True)
    assert np.abs(balanced - reference.preconditioned(gradient, a, g, DAMPING)).max() > 0.01
    close(run(net, x, weights, mode, damping_balance=True).change["weight"], balanced)


def block_diagonal(factor, size):
    """A factor without what lies between the blocks that it is kept as."""
    kept = np.zeros_like(factor)
    for first in range(0, len(factor), size):
        part = slice(first, first + size)
        kept[part, part] = factor[part, part]
    return kept


@IN_EACH_MODE
def test_a_large_factor_is_blocks_and_said_to_be(mode):
    net = nn.Dense(2100, 3, has_bias=False)
    # Small inputs: where A is much larger than the damping, float32 leaves few digits of the step.
    x, weights = Tensor(np.float32(0.05) * numbers(1, 4, 2100)), 5.0 * numbers(2, 4, 3)
    slopes = outputs_slopes(net, x, weights)
    (a,), g = reference.dense_factors(x.asnumpy(), slopes, 1.0)
    gradient = slopes.T @ x.asnumpy().astype(np.float64)
    told = r"the factor of the inputs of layer '' has 2100 rows, more than 2048, and is kept as 2 blocks of 1050"
    with pytest.warns(RuntimeWarning, match=told):
        stepped = run(net, x, weights, mode)
    factors_close(stepped, "weight", [a[:1050, :1050], a[1050:, 1050:]], g)
    expected = reference.preconditioned(gradient, [block_diagonal(a, 1050)], g, DAMPING)
    assert np.abs(expected - reference.preconditioned(gradient, [a], g, DAMPING)).max() > 0.01 * np.abs(expected).max()
    close(stepped.change["weight"], expected)


def test_blocks_of_groups_whose_last_one_is_filled_up(monkeypatch):
    monkeypatch.setattr(blocks, "LARGEST", 5)
    monkeypatch.setattr(tinyms_thor.optimizer, "LARGEST", 5)
    net = nn.Conv2d(4, 12, (1, 7), group=2, pad_mode="valid")
    x = Tensor(numbers(1, 3, 4, 2, 9))
    weights = numbers(2, *net(x).shape)
    slopes = outputs_slopes(net, x, weights)
    layout = {"kernel": (1, 7), "stride": (1, 1), "dilation": (1, 1), "margins": (0, 0), "groups": 2}
    a, g = reference.convolution_factors(x.asnumpy(), slopes, 1.0, **layout)
    gradient = mindspore.grad(lambda w: (ops.square(net.conv2d(x, w) * Tensor(weights))).sum() / 3)(net.weight)
    with pytest.warns(RuntimeWarning, match="more than 5, and is kept as") as told:
        stepped = run(net, x, weights, "pynative")
    assert [str(w.message).split("layer ")[1] for w in told] == [
        "'' has 14 rows, more than 5, and is kept as 3 blocks of 5; what lies between them is left out",
        "'' has 6 rows, more than 5, and is kept as 2 blocks of 3; what lies between them is left out",
    ]
    assert stepped.a["weight"].shape == (6, 5, 5)
    parts = [block_diagonal(factor, 5) for factor in a], [block_diagonal(factor, 3) for factor in g]
    close(stepped.change["weight"], reference.preconditioned(gradient.asnumpy(), *parts, DAMPING))

"""Whole networks: training, loss scale, checkpoints, detaching, and what is refused."""

from __future__ import annotations

import contextlib
import copy
import itertools
import pickle
import warnings

import mindspore
import numpy as np
import pytest
from mindspore import FixedLossScaleManager, Model, Tensor, dataset, nn, ops
from tinyms_thor import curvature

import tinyms_core

MODES = ("pynative", "jit", "graph")
IN_EACH_MODE = pytest.mark.parametrize("mode", MODES)


@contextlib.contextmanager
def running(mode):
    mindspore.set_context(mode=mindspore.GRAPH_MODE if mode == "graph" else mindspore.PYNATIVE_MODE)
    try:
        yield
    finally:
        mindspore.set_context(mode=mindspore.PYNATIVE_MODE)


def numbers(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def make_network():
    conv = nn.Conv2d(1, 2, 3, weight_init=Tensor(numbers(1, 2, 1, 3, 3)), has_bias=True, bias_init="zeros")
    dense = nn.Dense(32, 3, weight_init=Tensor(0.2 * numbers(2, 3, 32)), bias_init="zeros")
    return nn.SequentialCell(conv, nn.ReLU(), nn.Flatten(), dense)


IMAGES, LABELS = numbers(3, 8, 1, 4, 4), (np.arange(8) % 3).astype(np.int32)


def thor(net, **arguments):
    given = {
        "learning_rate": Tensor(0.02),
        "damping": Tensor(0.1),
        "momentum": 0.9,
        "weight_decay": 1e-3,
        "frequency": 2,
        **arguments,
    }
    return tinyms_core.get_optimizer("thor")(net, **given)


class Step(nn.Cell):
    """One step of training."""

    def __init__(self, net, optimizer, scale=1.0):
        super().__init__(auto_prefix=False)
        self.loss = Scaled(net, scale)
        self.optimizer = optimizer
        self.weights = optimizer.parameters
        self.gradient = ops.GradOperation(get_by_list=True)

    def construct(self, images, labels):
        gradients = self.gradient(self.loss, self.weights)(images, labels)
        return ops.depend(images, self.optimizer(gradients))


class Scaled(nn.Cell):
    def __init__(self, net, scale):
        super().__init__(auto_prefix=False)
        self.net = net
        self.scale = scale
        self.loss = nn.SoftmaxCrossEntropyWithLogits(sparse=True, reduction="mean")

    def construct(self, images, labels):
        return self.loss(self.net(images), labels) * self.scale


def stepper(mode, net, optimizer, scale=1.0):
    step = Step(net, optimizer, scale)
    if mode != "jit":
        return step

    @mindspore.jit
    def compiled(images, labels):
        return step(images, labels)

    return compiled


def train(mode, steps, scale=1.0, **arguments):
    """Train a new network; returns its weights and the optimizer's state, by name."""
    net = make_network()
    optimizer = thor(net, loss_scale=scale, **arguments)
    with running(mode):
        step = stepper(mode, net, optimizer, scale)
        for _ in range(steps):
            step(Tensor(IMAGES), Tensor(LABELS))
        return values_of(net), values_of(optimizer)


def values_of(cell):
    return {p.name: p.asnumpy().copy() for p in cell.get_parameters()}


def require_equal(actual, expected):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert np.array_equal(actual[name], value), name


def require_close(actual, expected, tolerance):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, rtol=tolerance, atol=tolerance, err_msg=name)


EAGER = {}


def eager(**arguments):
    key = tuple(sorted(arguments.items()))
    if key not in EAGER:
        EAGER[key] = train("pynative", 5, **arguments)
    return EAGER[key]


@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.parametrize("options", [{}, {"factor_decay": 0.5, "damping_balance": True, "use_nesterov": True}])
def test_modes_agree(mode, options):
    for found, expected in zip(train(mode, 5, **options), eager(**options), strict=True):
        require_close(found, expected, 2e-4)


@IN_EACH_MODE
def test_a_scaled_loss_gives_the_same_steps(mode):
    (weights, _), (expected, _) = train(mode, 5, scale=1024.0), eager()
    require_close(weights, expected, 2e-4)


@IN_EACH_MODE
def test_a_checkpoint_goes_on_bit_for_bit(mode, tmp_path):
    options = {"factor_decay": 0.5, "trace_thresholds": (0.01, 0.0)}
    expected = train(mode, 5, **options)
    net = make_network()
    optimizer = thor(net, **options)
    with running(mode):
        step = stepper(mode, net, optimizer)
        for _ in range(3):
            step(Tensor(IMAGES), Tensor(LABELS))
    mindspore.save_checkpoint(net, str(tmp_path / "net.ckpt"))
    tinyms_core.save_checkpoint(optimizer, str(tmp_path / "thor.ckpt"))
    assert set(mindspore.load_checkpoint(str(tmp_path / "net.ckpt"))) == set(values_of(make_network()))
    net = make_network()
    optimizer = thor(net, **options)
    for cell, name in ((net, "net.ckpt"), (optimizer, "thor.ckpt")):
        mindspore.load_param_into_net(cell, mindspore.load_checkpoint(str(tmp_path / name)))
    with running(mode):
        step = stepper(mode, net, optimizer)
        for _ in range(2):
            step(Tensor(IMAGES), Tensor(LABELS))
    require_equal(values_of(net), expected[0])
    require_equal(values_of(optimizer), expected[1])


def test_the_network_is_what_it_was():
    net = make_network()
    classes = [type(cell) for _, cell in net.cells_and_names()]
    names, shown = [p.name for p in net.trainable_params()], str(net)
    before = net(Tensor(IMAGES)).asnumpy()
    optimizer = thor(net)
    for _ in range(2):
        assert [type(cell) for _, cell in net.cells_and_names()] == classes
        assert [p.name for p in net.trainable_params()] == [p.name for p in net.get_parameters()] == names
        assert str(net) == shown
        assert np.array_equal(net(Tensor(IMAGES)).asnumpy(), before)
        optimizer.detach()
    assert isinstance(net[3].matmul, ops.MatMul)
    assert isinstance(net[0].conv2d, ops.Conv2D)


def test_a_detached_optimizer_refuses_to_step():
    net = make_network()
    optimizer = thor(net)
    step = stepper("pynative", net, optimizer)
    step(Tensor(IMAGES), Tensor(LABELS))
    optimizer.detach()
    before = values_of(net)
    with pytest.raises(RuntimeError, match="it was detached from its network"):
        step(Tensor(IMAGES), Tensor(LABELS))
    require_equal(values_of(net), before)
    again = thor(net)
    stepper("pynative", net, again)(Tensor(IMAGES), Tensor(LABELS))
    assert any((values_of(net)[name] != value).any() for name, value in before.items())


@pytest.mark.parametrize("mode", ["pynative", "graph"])
@pytest.mark.parametrize("scale", [1.0, 128.0])
def test_model_trains_it(mode, scale):
    net = make_network()
    optimizer = thor(net, loss_scale=scale)
    loss = nn.SoftmaxCrossEntropyWithLogits(sparse=True, reduction="mean")
    manager = {} if scale == 1.0 else {"loss_scale_manager": FixedLossScaleManager(scale, drop_overflow_update=False)}
    with running(mode):
        model = Model(net, loss, optimizer, metrics={"accuracy"}, **manager)
        batches = dataset.NumpySlicesDataset((IMAGES, LABELS), ["image", "label"], shuffle=False).batch(8)
        model.train(5, batches, dataset_sink_mode=False)
        weights = values_of(net)
        assert model.eval(batches, dataset_sink_mode=False)["accuracy"] > 0.3
    require_close(weights, eager()[0], 2e-4)


def test_a_layer_used_twice_counts_all_its_rows():
    class Twice(nn.Cell):
        def __init__(self, dense):
            super().__init__()
            self.dense = dense

        def construct(self, x, y):
            return (self.dense(x) ** 2).sum() + (self.dense(y) ** 2).sum()

    class Once(Twice):
        def construct(self, x, y):
            return (self.dense(ops.concat((x, y))) ** 2).sum()

    changed = []
    for kind in (Twice, Once):
        net = kind(nn.Dense(3, 2, weight_init=Tensor(numbers(1, 2, 3)), has_bias=False))
        optimizer = thor(net, frequency=2)
        gradients = mindspore.grad(net, None, optimizer.parameters)(Tensor(numbers(2, 4, 3)), Tensor(numbers(3, 5, 3)))
        optimizer(gradients)
        changed.append(net.dense.weight.asnumpy())
    np.testing.assert_allclose(changed[0], changed[1], rtol=1e-5)


def test_curvature_is_seen_at_refresh_steps_alone(monkeypatch):
    net = make_network()
    optimizer = thor(net, frequency=3)
    seen = []
    for layer in optimizer.curvatures.values():
        real = layer.kind.sums
        monkeypatch.setattr(
            layer.kind,
            "sums",
            lambda *a, real=real: (seen.append(int(optimizer.global_step.asnumpy()[0])), real(*a))[1],
        )
    step = stepper("pynative", net, optimizer)
    inverses = []
    for _ in range(5):
        step(Tensor(IMAGES), Tensor(LABELS))
        inverses.append(values_of(optimizer)["matrix_a_inv.3.weight"])
    assert seen == [0, 0, 3, 3]
    assert np.array_equal(inverses[0], inverses[2])
    assert not np.array_equal(inverses[2], inverses[3])


def test_factor_decay_keeps_a_part_of_the_old_factors():
    net = make_network()
    optimizer = thor(net, factor_decay=0.75, frequency=2)
    step = stepper("pynative", net, optimizer)
    step(Tensor(IMAGES), Tensor(LABELS))
    first = values_of(optimizer)["matrix_a.0.weight"]
    step(Tensor(IMAGES), Tensor(LABELS))
    step(Tensor(2.0 * IMAGES), Tensor(LABELS))
    # The inputs of the first layer are the images, so that its factor of the second batch is four times the first.
    np.testing.assert_allclose(values_of(optimizer)["matrix_a.0.weight"], (0.75 + 0.25 * 4.0) * first, rtol=1e-5)


@IN_EACH_MODE
def test_trace_thresholds_refresh_keep_and_freeze(mode):
    net = nn.Dense(3, 1, weight_init=Tensor(numbers(1, 1, 3)), has_bias=False)
    # A rate of zero: the traces change with the inputs alone.
    optimizer = thor(net, learning_rate=Tensor(0.0), weight_decay=0.0, trace_thresholds=(0.5, 0.01))

    class Squared(nn.Cell):
        def __init__(self):
            super().__init__(auto_prefix=False)
            self.net = net

        def construct(self, x, labels):
            return self.net(x).sum() + 0.0 * labels.sum()

    step = Step(net, optimizer)
    step.loss = Squared()
    run = step if mode != "jit" else mindspore.jit(step.construct)
    x = numbers(2, 4, 3)
    inverses, traces = [], []
    with running(mode):
        # Refreshed at first; then a small change is kept, a large one refreshes, no change freezes, for good.
        for factor in (1.0, 1.1, 3.0, 3.0, 9.0):
            for _ in range(2):
                run(Tensor(np.float32(factor) * x), Tensor(LABELS))
            state = values_of(optimizer)
            inverses.append(state["matrix_a_inv.weight"])
            traces.append(state["traces.weight"])
    assert [bool(t[1]) for t in traces] == [False, False, False, True, True]
    assert [np.array_equal(a, b) for a, b in itertools.pairwise(inverses)] == [True, False, True, True]


def test_gradients_from_elsewhere_are_told_of():
    net = nn.Dense(3, 2, weight_init=Tensor(numbers(1, 2, 3)), has_bias=False)
    optimizer = thor(net, weight_decay=0.0, momentum=0.0, learning_rate=Tensor(1.0))
    before = net.weight.asnumpy().copy()
    with pytest.warns(RuntimeWarning, match=r"at step 0 no backward pass through the layer of 'weight' was seen"):
        optimizer((Tensor(np.ones((2, 3), np.float32)),))
    np.testing.assert_allclose(net.weight.asnumpy(), before - 1.0, rtol=1e-6)


def test_an_overflow_is_thrown_away_and_seen_anew():
    net = nn.Dense(3, 2, weight_init=Tensor(numbers(1, 2, 3)), has_bias=False)
    optimizer = thor(net, frequency=50)
    gradient = mindspore.grad(lambda x, s: (net(x) ** 2).sum() * s, None, optimizer.parameters)
    x = Tensor(numbers(2, 4, 3))
    gradient(x, Tensor(np.float32(np.inf)))
    with pytest.warns(RuntimeWarning, match="is not finite, so it stays as it was"):
        optimizer(gradient(x, Tensor(1.0)))
    assert np.array_equal(values_of(optimizer)["matrix_a_inv.weight"][0], np.eye(3))
    optimizer(gradient(x, Tensor(1.0)))
    state = values_of(optimizer)
    assert not np.array_equal(state["matrix_a_inv.weight"][0], np.eye(3))
    assert all(np.isfinite(value).all() for value in (*state.values(), *values_of(net).values()))


def test_a_layer_that_is_not_positive_definite_gets_more_damping():
    net = nn.Dense(3, 2, weight_init=Tensor(numbers(1, 2, 3)), has_bias=False)
    optimizer = thor(net, damping=Tensor(0.0))
    gradients = mindspore.grad(lambda x: (net(x) ** 2).sum(), None, optimizer.parameters)(Tensor(numbers(2, 1, 3)))
    with pytest.warns(RuntimeWarning, match="is not positive definite with a damping of 0, so more was added"):
        optimizer(gradients)
    assert np.isfinite(net.weight.asnumpy()).all()


def test_clipping_keeps_the_norm_of_each_tensor_at_one():
    for clip in (False, True):
        net = nn.Dense(3, 2, weight_init=Tensor(numbers(1, 2, 3)), bias_init="zeros")
        optimizer = thor(net, learning_rate=Tensor(1.0), momentum=0.0, enable_clip_grad=clip, damping=Tensor(1e-4))
        before = values_of(net)
        gradient = mindspore.grad(lambda x, net=net: 30.0 * net(x).sum(), None, optimizer.parameters)
        optimizer(gradient(Tensor(numbers(2, 4, 3))))
        norms = [np.linalg.norm(values_of(net)[name] - value) for name, value in before.items()]
        assert bool(max(norms) <= 1.0 + 1e-5) is clip
        assert bool(norms[1] == pytest.approx(1.0, rel=1e-5)) is clip


def test_decay_applies_where_the_filter_says():
    changes = {}
    for chosen in ("weight", "bias"):
        net = nn.Dense(3, 2, weight_init=Tensor(numbers(1, 2, 3)), bias_init=Tensor(numbers(2, 2)))
        optimizer = thor(
            net,
            learning_rate=Tensor(1.0),
            momentum=0.0,
            weight_decay=0.5,
            decay_filter=lambda p, chosen=chosen: p.name == chosen,
        )
        before = values_of(net)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            optimizer((Tensor(np.zeros((2, 3), np.float32)), Tensor(np.zeros(2, np.float32))))
        after = values_of(net)
        changes = {name: np.allclose(after[name], 0.5 * before[name]) for name in before}
        assert changes == {"weight": chosen == "weight", "bias": chosen == "bias"}


@IN_EACH_MODE
@pytest.mark.parametrize("listed", ["learning_rate", "damping"])
def test_rates_and_dampings_are_read_by_step_and_end(mode, listed):
    net = make_network()
    optimizer = thor(net, **{listed: Tensor([0.1, 0.2, 0.3])})
    with running(mode):
        step = stepper(mode, net, optimizer)
        for _ in range(3):
            step(Tensor(IMAGES), Tensor(LABELS))
        before = values_of(net), values_of(optimizer)
        with pytest.raises(ValueError, match=rf"{listed} lists 3 value\(s\)"):
            step(Tensor(IMAGES), Tensor(LABELS))
        require_equal(values_of(net), before[0])
        require_equal(values_of(optimizer), before[1])
        assert optimizer.global_step.asnumpy()[0] == 3


def test_a_listed_damping_has_effect():
    (first, _), (second, _) = (train("pynative", 3, damping=Tensor(d)) for d in ([0.1, 0.1, 0.1], [0.1, 0.1, 0.9]))
    assert any((first[name] != second[name]).any() for name in first)


def test_large_factors_are_blocks_and_said_to_be(monkeypatch):
    from tinyms_thor import blocks
    from tinyms_thor import optimizer as module

    monkeypatch.setattr(blocks, "LARGEST", 4)
    monkeypatch.setattr(module, "LARGEST", 4)
    rows, matrix = numbers(1, 2, 9, 7), numbers(2, 2, 7, 3)
    layout = blocks.Blocks(2, 7)
    assert layout.shape == (4, 4, 4)
    gram = layout.gram(rows)
    whole = np.zeros((2, 8, 8), np.float32)
    for group in range(2):
        full = rows[group].T @ rows[group]
        whole[group, :4, :4], whole[group, 4:7, 4:7] = full[:4, :4], full[4:, 4:]
        np.testing.assert_allclose(
            layout.times(gram, matrix)[group], whole[group, :7, :7] @ matrix[group], rtol=1e-4, atol=1e-4
        )
    net = nn.Dense(7, 2, has_bias=False)
    with pytest.warns(RuntimeWarning, match=r"the factor of the inputs of layer '' has 7 rows, more than 4"):
        thor(net).detach()


def test_shared_weights_and_second_optimizers_are_refused_by_name():
    class Tied(nn.Cell):
        def __init__(self):
            super().__init__()
            self.first = nn.Dense(3, 3)
            self.second = nn.Dense(3, 3)
            self.second.weight = self.first.weight

    with pytest.raises(ValueError, match=r"the layers 'first' and 'second' share the weight 'first\.weight'"):
        thor(Tied())
    net = make_network()
    thor(net)
    with pytest.raises(ValueError, match=r"another thor looks at the layer '0' already; call its detach\(\)"):
        thor(net)


def test_it_is_not_copied():
    optimizer = thor(make_network())
    with pytest.raises(TypeError, match="belongs to its network and cannot be copied"):
        copy.deepcopy(optimizer)
    with pytest.raises(TypeError, match="belongs to its network and cannot be pickled"):
        pickle.dumps(optimizer)


@pytest.mark.parametrize(("batch_size", "told"), [(4, False), (8, False), (5, True)])
def test_another_batch_size_is_told_of_once(batch_size, told):
    net = nn.SequentialCell(nn.Dense(3, 3), nn.LayerNorm((3,)), nn.Dense(3, 2))
    optimizer = thor(net, batch_size=batch_size)
    gradient = mindspore.grad(lambda x: net(x).mean(), None, optimizer.parameters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            optimizer(gradient(Tensor(numbers(1, 8, 3))))
    messages = [str(w.message) for w in caught if "'batch_size'" in str(w.message)]
    assert len(messages) == told
    assert all("'batch_size' is 5, and the layer of '0.weight' saw 8 rows" in message for message in messages)


@pytest.mark.parametrize("mode", MODES)
def test_a_network_that_was_compiled_before_is_seen_as_well(mode):
    net = make_network()
    with running(mode):
        call = mindspore.jit(net.construct) if mode == "jit" else net
        before = call(Tensor(IMAGES)).asnumpy()
        optimizer = thor(net)
        assert np.array_equal(call(Tensor(IMAGES)).asnumpy(), before)
        step = stepper(mode, net, optimizer)
        for _ in range(5):
            step(Tensor(IMAGES), Tensor(LABELS))
        weights = values_of(net)
    require_close(weights, eager()[0], 2e-4)


def test_frozen_layers_are_left_alone():
    net = make_network()
    net[0].weight.requires_grad = False
    net[0].bias.requires_grad = False
    optimizer = thor(net)
    before = values_of(net)
    stepper("pynative", net, optimizer)(Tensor(IMAGES), Tensor(LABELS))
    assert list(optimizer.curvatures) == ["3"]
    assert np.array_equal(values_of(net)["0.weight"], before["0.weight"])


def test_the_options_reach_every_layer():
    optimizer = thor(make_network(), frequency=7, loss_scale=8.0, batch_size=5)
    (options,) = {layer.options for layer in optimizer.curvatures.values()}
    assert options == curvature.Options(7, 8.0, None, None, False, 5)

"""`tinyms_core.mindcv.create_optimizer` trains as MindCV's arguments say, and refuses what would have no effect."""

from __future__ import annotations

import inspect

import mindspore
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn

import tinyms_core
from tinyms_core.examples import parameter, tensor
from tinyms_core.mindcv import ABSENT, DEFAULTS, OPTIMIZERS, create_optimizer


class Net(nn.Cell):
    """A matrix, a bias, and the scale of a normalization."""

    def __init__(self):
        super().__init__()
        random = np.random.default_rng(5)
        for name, shape in (("weight", (4, 3)), ("bias", (3,)), ("gamma", (3,))):
            setattr(self, name, Parameter(Tensor(random.normal(size=shape).astype(np.float32)), name=f"a.{name}"))


def trained(net: nn.Cell, optimizer: nn.Optimizer) -> list[np.ndarray]:
    random = np.random.default_rng(6)
    for _ in range(3):
        optimizer(tuple(Tensor(random.normal(size=p.shape).astype(np.float32)) for p in net.trainable_params()))
    return [p.asnumpy() for p in net.trainable_params()]


# What each name is, written out with our own classes.
CASES = {
    "sgd": ("sgd", {"momentum": 0.8, "nesterov": True, "loss_scale": 2.0}, {}),
    "momentum": ("momentum", {"momentum": 0.8, "use_nesterov": True, "loss_scale": 2.0}, {}),
    "nesterov": ("momentum", {"momentum": 0.8, "use_nesterov": True, "loss_scale": 2.0}, {}),
    "adam": ("adam", {"use_nesterov": True, "beta1": 0.8, "loss_scale": 2.0}, {"beta1": 0.8}),
    "adamw": ("adamw", {"beta2": 0.9, "loss_scale": 2.0}, {"beta2": 0.9}),
    "lion": ("lion", {"loss_scale": 2.0}, {}),
    "adan": ("adan", {"loss_scale": 2.0}, {}),
    "rmsprop": ("rmsprop", {"momentum": 0.8, "epsilon": 1e-3, "decay": 0.7, "loss_scale": 2.0}, {"decay": 0.7}),
    "adagrad": ("adagrad", {"loss_scale": 2.0}, {}),
    "lamb": ("lamb", {"beta1": 0.8}, {"beta1": 0.8}),
}
GIVEN = {"momentum": 0.8, "nesterov": True, "loss_scale": 2.0, "eps": 1e-3}


def test_there_is_a_case_for_each_name():
    assert set(CASES) == set(OPTIMIZERS)
    assert not set(OPTIMIZERS) & set(ABSENT)


def test_the_arguments_are_mindcvs():
    taken = inspect.signature(create_optimizer).parameters
    assert list(taken) == [
        "model_or_params", "opt", "lr", "weight_decay", "momentum", "nesterov", "weight_decay_filter", "layer_decay",
        "loss_scale", "schedule_decay", "checkpoint_path", "eps", "kwargs",
    ]  # fmt: skip
    assert {name: taken[name].default for name in DEFAULTS} == dict(DEFAULTS)


@pytest.mark.parametrize("opt", CASES)
def test_it_trains_as_the_optimizer_itself(opt):
    name, written, more = CASES[opt]
    shared = {key: value for key, value in GIVEN.items() if key in OPTIMIZERS[opt].takes}
    ours, theirs = Net(), Net()
    rates = [0.1, 0.05, 0.01]
    built = create_optimizer(ours, opt.upper(), rates, 0.1, **shared, **more)
    groups = [{"params": theirs.trainable_params(), "weight_decay": 0.1}]
    plain = tinyms_core.get_optimizer(name)(groups, learning_rate=rates, **written)
    for one, other in zip(trained(ours, built), trained(theirs, plain), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("decay_filter", "decayed"),
    [
        ("disable", {"a.weight", "a.bias", "a.gamma"}),
        ("norm_and_bias", {"a.weight"}),
        ("auto", {"a.weight", "a.bias"}),
    ],
)
def test_the_filter_of_weight_decay(decay_filter, decayed):
    optimizer = create_optimizer(Net(), "sgd", 0.1, 0.2, weight_decay_filter=decay_filter)
    assert {s.parameter.name for s in optimizer.settings if s.decays} == decayed
    assert [p.name for p in optimizer.parameters] == ["a.weight", "a.bias", "a.gamma"]


def test_a_network_may_name_what_does_not_decay():
    net = Net()
    net.no_weight_decay = lambda: {"a.weight"}
    optimizer = create_optimizer(net, "sgd", 0.1, 0.2, weight_decay_filter="norm_and_bias")
    assert not any(s.decays for s in optimizer.settings)


def test_group_dicts_are_taken_as_they_are():
    weight, bias, gamma = Net().trainable_params()
    optimizer = create_optimizer([{"params": [weight], "lr": 0.5}, {"params": [bias, gamma]}], "sgd", 0.1, 0.2)
    assert [(s.rate.exact, s.decays) for s in optimizer.settings] == [(0.5, True), (0.1, True), (0.1, True)]


def test_layers_learn_at_their_own_rates():
    """Twelve parameters in a row are a layer, those that do not train among them; the classifier is the last."""
    net = nn.Cell()
    net.blocks = nn.CellList([nn.SequentialCell(nn.Dense(3, 3), nn.BatchNorm1d(3)) for _ in range(4)])
    net.classifier = nn.Dense(3, 2)
    net.pretrained_cfg = {"classifier": "classifier"}
    optimizer = create_optimizer(net, "sgd", [0.8, 0.4], 0.1, layer_decay=0.5)
    found = {s.parameter.name: (s.rate.argument[0], s.decays) for s in optimizer.settings}
    assert found["blocks.0.0.weight"] == (0.2, True)
    assert found["blocks.1.1.gamma"] == (0.2, False)
    assert found["blocks.2.0.weight"] == (0.4, True)
    assert found["classifier.weight"] == (0.8, True)
    assert found["classifier.bias"] == (0.8, False)


def test_the_optimizers_state_is_loaded(tmp_path):
    file = str(tmp_path / "optimizer.ckpt")
    net = Net()
    optimizer = create_optimizer(net, "adam")
    trained(net, optimizer)
    mindspore.save_checkpoint(optimizer, file)
    again = create_optimizer(Net(), "adam", checkpoint_path=file)
    assert int(again.global_step.asnumpy()[0]) == 3
    with pytest.raises(ValueError, match=r"'checkpoint_path': .* of another optimizer"):
        create_optimizer(Net(), "momentum", checkpoint_path=file)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"opt": "nadam"}, ValueError, "'nadam' is MindCV's alone"),
        ({"opt": "adamm"}, ValueError, "did you mean 'adam'"),
        ({"opt": None}, TypeError, "'opt' must be the name"),
        ({"opt": "adamw", "eps": 1e-6}, ValueError, "'eps' does not apply to 'adamw', got 1e-06; it is of rmsprop"),
        ({"opt": "adam", "momentum": 0.5}, ValueError, "'momentum' does not apply to 'adam'"),
        ({"opt": "lamb", "loss_scale": 8.0}, ValueError, "'loss_scale' does not apply to 'lamb'"),
        ({"opt": "lion", "schedule_decay": 0.1}, ValueError, "'schedule_decay' does not apply to 'lion'"),
        ({"opt": "adamw", "clip": True}, TypeError, r"unknown argument\(s\) \['clip'\]"),
        ({"weight_decay_filter": "norm"}, ValueError, "'weight_decay_filter' must be one of disable, auto"),
        ({"layer_decay": 0.5}, ValueError, r"'layer_decay' needs a network whose pretrained_cfg\['classifier'\]"),
        ({"layer_decay": 0.5, "weight_decay_filter": "auto"}, ValueError, "'weight_decay_filter' other than 'auto'"),
        ({"layer_decay": "half"}, TypeError, "'layer_decay' must be a float"),
        ({"checkpoint_path": "nowhere.ckpt"}, FileNotFoundError, "'checkpoint_path': there is no file"),
        ({"lr": "fast"}, TypeError, "'learning_rate'"),
        ({"learning_rate": 0.1}, TypeError, "'learning_rate' is 'lr' here"),
        ({"name": "adam"}, TypeError, "'name' is 'opt' here"),
        ({"opt": "momentum", "use_nesterov": True}, TypeError, "'use_nesterov' is 'nesterov' here"),
        ({"opt": "adam", "momentum": np.array([0.9, 0.8])}, ValueError, "'momentum' does not apply to 'adam'"),
    ],
)
def test_what_would_have_no_effect_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        create_optimizer(Net(), **arguments)


def test_group_dicts_are_not_filtered():
    groups = [{"params": Net().trainable_params()}]
    with pytest.raises(ValueError, match="'weight_decay_filter' makes groups itself"):
        create_optimizer(groups, "sgd", weight_decay_filter="norm_and_bias")
    with pytest.raises(ValueError, match="'layer_decay' needs a network"):
        create_optimizer(groups, "sgd", layer_decay=0.5)


def test_what_is_required_is_named():
    with pytest.raises(TypeError, match=r"^momentum: 'momentum' is required; it has no default$"):
        tinyms_core.create_optimizer("momentum", Net(), learning_rate=0.1)
    with pytest.raises(TypeError, match=r"^lamb: 'learning_rate' is required; it has no default$"):
        tinyms_core.create_optimizer("lamb", Net())


def test_a_network_in_the_place_of_parameters_is_told_where_it_belongs():
    with pytest.raises(TypeError, match=r"got the network Net; give its trainable_params\(\), or the network to"):
        tinyms_core.get_optimizer("adam")(Net())


@pytest.mark.parametrize(
    ("name", "arguments", "hint"),
    [
        ("adam", {"lr": 0.1}, "'lr' is learning_rate here"),
        ("adam", {"betas": (0.9, 0.99)}, "'betas' is beta1 and beta2 here"),
        ("rmsprop", {"eps": 1e-8}, "'eps' is epsilon here"),
        ("adam", {"nesterov": True}, "'nesterov' is use_nesterov here"),
        ("adam", {"weight_decay_filter": "auto"}, "'weight_decay_filter' is decay_bias_and_norm here"),
        ("adam", {"bta1": 0.9}, "did you mean 'beta1' by 'bta1'?"),
        ("adam", {"zzz": 0.9}, r"\['zzz'\]; it takes"),
    ],
)
def test_an_argument_of_another_library_is_named_with_ours(name, arguments, hint):
    with pytest.raises(TypeError, match=hint.replace("?", r"\?")):
        tinyms_core.create_optimizer(name, Net(), **arguments)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (None, TypeError, "'model_or_params' must be a network, or a list of Parameters or of group dicts, got None"),
        (parameter("w", [1.0]), TypeError, "'model_or_params' must be a network"),
        ([tensor([1.0])], TypeError, r"model_or_params\[0\] must be a Parameter or a group dict, got Tensor"),
        ([], ValueError, "it is empty"),
        (nn.ReLU(), ValueError, "the network ReLU has no trainable parameters"),
    ],
)
def test_what_is_no_network_and_no_parameters_is_refused(given, error, message):
    for decay_filter in ("disable", "auto", "norm_and_bias"):
        with pytest.raises(error, match=message):
            create_optimizer(given, weight_decay_filter=decay_filter)


class Classified(nn.Cell):
    """A network with a layer, a classifier, and a Parameter that calls itself otherwise than its place."""

    def __init__(self, classifier):
        super().__init__()
        self.trunk = nn.Dense(3, 3)
        self.trunk.weight.name = "renamed"
        self.head = nn.Dense(3, 2)
        self.pretrained_cfg = classifier and {"classifier": classifier}


def test_layers_are_found_by_place_and_rates_read_once():
    optimizer = create_optimizer(Classified("head"), "sgd", iter([0.8, 0.4]), layer_decay=0.5)
    found = {s.parameter.name: s.rate.argument for s in optimizer.settings}
    assert found["renamed"] == found["trunk.bias"] == [0.4, 0.2]
    assert found["head.weight"] == [0.8, 0.4]


@pytest.mark.parametrize(
    ("classifier", "message"),
    [("tail", "'tail', with which no parameter's name begins"), (None, "Classified has none")],
)
def test_a_classifier_that_is_not_there_is_named(classifier, message):
    with pytest.raises(ValueError, match=message):
        create_optimizer(Classified(classifier), "sgd", layer_decay=0.5)


@pytest.mark.parametrize(
    ("name", "arguments", "error", "message"),
    [
        ("adam", {"decay_bias_and_norm": "no"}, TypeError, "'decay_bias_and_norm' must be True or False, got 'no'"),
        ("lars", {"around": "lars", "learning_rate": 0.1}, TypeError, "is not around another one itself, got 'lars'"),
    ],
)
def test_what_a_network_is_not_built_with_is_named(name, arguments, error, message):
    with pytest.raises(error, match=message):
        tinyms_core.create_optimizer(name, Net(), **arguments)


def test_biases_are_found_in_a_network_alone():
    with pytest.raises(ValueError, match="'decay_bias_and_norm' is for a network"):
        tinyms_core.create_optimizer("adam", Net().trainable_params(), decay_bias_and_norm=True)


@pytest.mark.parametrize("rate", [0.0, [0.1, 0.2], np.array([0.1, 0.2]), Tensor([0.1, 0.2])])
def test_a_rate_beside_an_optimizer_that_is_built_is_refused(rate):
    built = tinyms_core.create_optimizer("adam", Net())
    with pytest.raises(TypeError, match="is built already, so these say nothing: learning_rate"):
        tinyms_core.create_optimizer("lars", built, learning_rate=rate)

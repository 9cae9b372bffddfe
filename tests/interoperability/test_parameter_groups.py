"""Groups by patterns of names: who decays, how fast each layer learns, for our optimizers and MindSpore's."""

from __future__ import annotations

import mindspore
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn
from mindspore.nn import CosineDecayLR

import tinyms_core
from tinyms_core import parameter_groups

SHAPES = {
    "embed.weight": (5, 3),
    "blocks.0.attn.weight": (3, 3),
    "blocks.0.attn.bias": (3,),
    "blocks.2.attn.weight": (3, 3),
    "blocks.10.norm.gamma": (3,),
    "head.weight": (3, 2),
}
LAYERS = ("embed.*", "blocks.{}.*", "*")


def parameters() -> list[Parameter]:
    random = np.random.default_rng(7)
    return [Parameter(Tensor(random.normal(size=s).astype(np.float32)), name=name) for name, s in SHAPES.items()]


def found(groups: list[dict], key: str) -> dict[str, object]:
    return {p.name: group.get(key) for group in groups[:-1] for p in group["params"]}


def test_what_matches_does_not_decay():
    groups = parameter_groups(parameters(), weight_decay=0.1, no_decay=["*.bias", "embed.*"])
    assert found(groups, "weight_decay") == {
        **dict.fromkeys(SHAPES, 0.1),
        "embed.weight": 0.0,
        "blocks.0.attn.bias": 0.0,
    }
    assert [p.name for p in groups[-1]["order_params"]] == list(SHAPES)
    assert "lr" not in groups[0]


def test_one_pattern_is_a_string_and_dimensions_count():
    by_name = parameter_groups(parameters(), weight_decay=0.1, no_decay="*.bias", no_decay_ndim=1)
    assert {name for name, decay in found(by_name, "weight_decay").items() if decay == 0.0} == {
        "blocks.0.attn.bias",
        "blocks.10.norm.gamma",
    }


def test_a_decay_that_is_not_given_is_the_optimizers():
    groups = parameter_groups(parameters(), no_decay="*.bias")
    assert found(groups, "weight_decay") == {**dict.fromkeys(SHAPES), "blocks.0.attn.bias": 0.0}
    optimizer = tinyms_core.get_optimizer("adam")(groups, weight_decay=0.3)
    assert {s.parameter.name for s in optimizer.settings if not s.decays} == {"blocks.0.attn.bias"}


def test_each_number_is_a_layer_in_the_order_of_numbers():
    groups = parameter_groups(parameters(), learning_rate=1.0, layers=LAYERS, layer_decay=0.5)
    assert found(groups, "lr") == {
        "embed.weight": 0.0625,
        "blocks.0.attn.weight": 0.125,
        "blocks.0.attn.bias": 0.125,
        "blocks.2.attn.weight": 0.25,
        "blocks.10.norm.gamma": 0.5,
        "head.weight": 1.0,
    }


@pytest.mark.parametrize("rate", [[0.5, 0.25], (0.5, 0.25), np.array([0.5, 0.25]), Tensor([0.5, 0.25]), iter])
def test_listed_rates_are_scaled_one_by_one(rate):
    rate = iter([0.5, 0.25]) if rate is iter else rate
    groups = parameter_groups(parameters(), learning_rate=rate, layers=["embed.*", "*"], layer_decay=0.5)
    assert found(groups, "lr")["embed.weight"] == [0.25, 0.125]
    assert found(groups, "lr")["head.weight"] == [0.5, 0.25]


@pytest.mark.parametrize("mode", [mindspore.PYNATIVE_MODE, mindspore.GRAPH_MODE])
@pytest.mark.parametrize("make", [tinyms_core.get_optimizer("momentum"), nn.Momentum], ids=["ours", "mindspore"])
def test_any_optimizer_takes_the_groups(make, mode):
    """Three steps with a schedule, against the arithmetic written out."""
    schedule = CosineDecayLR(0.0, 1.0, 4)
    given = parameters()
    groups = parameter_groups(
        given, weight_decay=0.1, no_decay_ndim=1, learning_rate=schedule, layers=LAYERS, layer_decay=0.5
    )
    rates = {name: 0.5 ** (4 - depth) for name, depth in zip(SHAPES, (0, 1, 1, 2, 3, 4), strict=True)}
    weights = {p.name: p.asnumpy().astype(np.float64) for p in given}
    sums = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    random = np.random.default_rng(3)
    mindspore.set_context(mode=mode)
    try:
        optimizer = make(groups, learning_rate=schedule, momentum=0.9)
        for step in range(3):
            gradients = [random.normal(size=shape).astype(np.float32) for shape in SHAPES.values()]
            optimizer(tuple(map(Tensor, gradients)))
            for (name, shape), gradient in zip(SHAPES.items(), gradients, strict=True):
                decayed = gradient + (0.1 * weights[name] if len(shape) > 1 else 0.0)
                sums[name] = 0.9 * sums[name] + decayed
                weights[name] -= rates[name] * 0.5 * (1 + np.cos(np.pi * step / 4)) * sums[name]
    finally:
        mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    for parameter in given:
        np.testing.assert_allclose(parameter.asnumpy(), weights[parameter.name], rtol=1e-5, atol=1e-6)


def test_of_a_network_the_trainable_parameters_are_taken():
    net = nn.SequentialCell(nn.Dense(3, 2), nn.BatchNorm1d(2))
    groups = parameter_groups(net, weight_decay=0.1, no_decay=["*.bias", "1.*"])
    assert set(found(groups, "weight_decay")) == {"0.weight", "0.bias", "1.gamma", "1.beta"}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"no_decay": "*.bais"}, ValueError, r"'no_decay': '\*\.bais' matches no parameter; there are embed\.weight"),
        ({"no_decay": [3]}, TypeError, r"no_decay\[0\] must be a str"),
        ({"no_decay_ndim": -1}, ValueError, "'no_decay_ndim' must be in"),
        ({"no_decay_ndim": 1.5}, TypeError, "'no_decay_ndim' must be an int"),
        ({"learning_rate": 0.1}, ValueError, "'learning_rate' given without 'layers', 'layer_decay'"),
        ({"layer_decay": 0.5, "learning_rate": 1.0}, ValueError, "given without 'layers'"),
        (
            {"layers": ["embed.*", "blocks.*"], "layer_decay": 0.5, "learning_rate": 1.0},
            ValueError,
            r"in none of 'embed\.\*', 'blocks\.\*' are head\.weight; a last pattern '\*'",
        ),
        (
            {"layers": ["*", "head.*"], "layer_decay": 0.5, "learning_rate": 1.0},
            ValueError,
            r"'head\.\*' matches no parameter that an earlier pattern has not",
        ),
        (
            {"layers": ["blocks.{}.{}.*", "*"], "layer_decay": 0.5, "learning_rate": 1.0},
            ValueError,
            "more than one '{}'",
        ),
        (
            {"layers": LAYERS, "layer_decay": 1.5, "learning_rate": 1.0},
            ValueError,
            r"'layer_decay' must be in \(0, 1\]",
        ),
        ({"layers": LAYERS, "layer_decay": True, "learning_rate": 1.0}, TypeError, "'layer_decay' must be a float"),
        ({"layers": LAYERS, "layer_decay": 0.5, "learning_rate": "fast"}, TypeError, "'learning_rate' must be a float"),
        ({"layers": LAYERS, "layer_decay": 0.5, "learning_rate": []}, ValueError, "'learning_rate' is an empty list"),
        ({"layers": LAYERS, "layer_decay": 0.5, "learning_rate": -1.0}, ValueError, "'learning_rate' must be finite"),
        ({"layers": LAYERS, "layer_decay": 0.5, "learning_rate": [True, 0.1]}, TypeError, r"'learning_rate\[0\]' must"),
        (
            {"layers": 3, "layer_decay": 0.5, "learning_rate": 1.0},
            TypeError,
            r"'layers' must be a str .* got 3 of",
        ),
        ({"no_decay": None}, TypeError, "'no_decay' must be a str .* got None"),
        ({"weight_decay": "much"}, TypeError, "'weight_decay' must be a float or int >= 0"),
        ({"weight_decay": -0.1}, ValueError, "'weight_decay' must be in"),
    ],
)
def test_what_is_wrong_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        parameter_groups(parameters(), **arguments)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ([], ValueError, "is empty"),
        (Parameter(Tensor([1.0]), name="w"), TypeError, "must be a network or a list"),
        ([1.0], TypeError, r"net_or_params\[0\] must be a Parameter"),
        ([Parameter(Tensor([1.0]), name="w")] * 2, ValueError, "2 parameters have the name 'w'"),
    ],
)
def test_what_is_no_list_of_parameters_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        parameter_groups(given)


def test_a_network_without_parameters_is_refused():
    with pytest.raises(ValueError, match="the network ReLU has no trainable parameters"):
        parameter_groups(nn.ReLU())


@pytest.mark.parametrize("rate", [0.5, np.array(0.5), Tensor(0.5)])
def test_one_rate_may_be_an_array_without_dimensions(rate):
    groups = parameter_groups(parameters(), learning_rate=rate, layers=["embed.*", "*"], layer_decay=0.5)
    assert found(groups, "lr")["embed.weight"] == 0.25


def test_a_number_is_found_behind_a_wildcard():
    """Python 3.10 has groups of its own in the expression of such a wildcard."""
    groups = parameter_groups(parameters(), learning_rate=1.0, layers=["embed.*", "*s.{}.*", "*"], layer_decay=0.5)
    assert found(groups, "lr")["blocks.2.attn.weight"] == 0.25

"""LARS around optimizers of this library and of `mindspore.nn`, against float64 references.

`mindspore.nn.LARS` cannot decide anything: its operator has no kernel on CPU.
"""

import mindspore
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn, ops
from mindspore.nn.learning_rate_schedule import ExponentialDecayLR
from tinyms_lars.optimizer import LARS
from tinyms_lars.reference import reference as lars_reference

import tinyms_core
from tinyms_core import optimizer_info

STEPS = 8
SHAPES = {"dense.weight": (5, 8), "dense.bias": (19,), "norm.gamma": (3,), "LayerNorm.weight": (6,)}
RATES = {"dense.weight": 0.03}
DECAYS = {"dense.weight": 0.2}
RATE, DECAY = 0.02, 0.05
OPTIONS = {"coefficient": 0.02, "epsilon": 1e-3}

# An optimizer, its arguments, the plugin whose reference it follows, and where decay enters. Half and a quarter
# have no rounding in float32, in which mindspore.nn computes 1 - beta.
MINE = tinyms_core.get_optimizer
TABLE = [
    (MINE("momentum"), {"momentum": 0.9, "loss_scale": 8.0, "use_nesterov": True}, "momentum", "gradient"),
    (MINE("sgd"), {"momentum": 0.5, "dampening": 0.25, "loss_scale": 8.0}, "sgd", "gradient"),
    (MINE("adam"), {"beta1": 0.5, "beta2": 0.75, "eps": 1e-3, "loss_scale": 8.0}, "adam", "gradient"),
    (MINE("adam_weight_decay"), {"beta1": 0.5, "beta2": 0.75, "eps": 1e-3}, "adam_weight_decay", "update"),
    (MINE("lamb"), {"beta1": 0.5, "beta2": 0.75, "eps": 1e-3}, "lamb", "update"),
    (nn.Momentum, {"momentum": 0.9, "loss_scale": 8.0}, "momentum", "gradient"),
    (nn.SGD, {"momentum": 0.5, "dampening": 0.25, "loss_scale": 8.0}, "sgd", "gradient"),
    (nn.Adam, {"beta1": 0.5, "beta2": 0.75, "eps": 1e-3, "loss_scale": 8.0}, "adam", "gradient"),
    (nn.AdamWeightDecay, {"beta1": 0.5, "beta2": 0.75, "eps": 1e-3}, "adam_weight_decay", "update"),
]
NAMES = [f"{cls.__module__.partition('.')[0]}-{cls.__name__}" for cls, *_ in TABLE]
WAYS = ("pynative", "jit", "graph")


def values(seed, scale=1.0):
    generator = np.random.default_rng(seed)
    return {name: (scale * generator.standard_normal(shape)).astype(np.float32) for name, shape in SHAPES.items()}


def build(cls, arguments):
    parameters = {name: Parameter(Tensor(value), name=name) for name, value in values(1).items()}
    groups = [
        {"params": [parameters["dense.weight"]], "lr": RATES["dense.weight"], "weight_decay": DECAYS["dense.weight"]},
        {"params": [parameters[name] for name in list(SHAPES)[1:]]},
    ]
    return cls(groups, learning_rate=RATE, weight_decay=DECAY, **arguments), parameters


def run(cls, arguments, way, use_clip):
    mindspore.set_context(mode=mindspore.GRAPH_MODE if way == "graph" else mindspore.PYNATIVE_MODE)
    try:
        inner, parameters = build(cls, arguments)
        step = LARS(inner, use_clip=use_clip, **OPTIONS)
        if way == "jit":
            step = mindspore.jit(step.construct)
        for count in range(STEPS):
            scale = arguments.get("loss_scale", 1.0)
            step(tuple(Tensor(value) for value in values(100 + count, scale).values()))
        return {name: parameter.asnumpy().astype(np.float64) for name, parameter in parameters.items()}
    finally:
        mindspore.set_context(mode=mindspore.PYNATIVE_MODE)


def right(plugin, arguments, where, use_clip):
    """The trajectory in float64, of LARS's reference and then the plugin's."""
    spec = optimizer_info(plugin)
    reference = _resolve(spec.oracle)
    defaults = {h.name: h.default for h in spec.hyperparameters if h.kind not in ("rate", "decay")}
    given = {n: v for n, v in {**defaults, **arguments}.items() if n != "loss_scale"}
    found = {}
    for name, first in values(1).items():
        w, rate, decay = first.astype(np.float64), RATES.get(name, RATE), DECAYS.get(name, DECAY)
        rate = float(np.float32(rate))
        state = {
            slot.name: np.full(w.shape if slot.shape == "like" else (), float(slot.initial)) for slot in spec.state
        }
        for count in range(STEPS):
            g = values(100 + count)[name].astype(np.float64)
            chosen = "LayerNorm" not in name and "bias" not in name
            seen = lars_reference(
                w, g, lr=rate, t=count + 1, weight_decay=decay, name=name, use_clip=use_clip,
                lars_filter=lambda p: "LayerNorm" not in p.name and "bias" not in p.name, **OPTIONS,
            )  # fmt: skip
            assert (seen is not None) == chosen
            in_update = decay if where == "update" and not chosen else 0.0
            g = seen if chosen else g + (decay * w if where == "gradient" else 0.0)
            w, state = reference(w, g, state, lr=rate, t=count + 1, weight_decay=in_update, **given)
        found[name] = w
    return found


def _resolve(oracle):
    module, _, name = oracle.partition(":")
    return getattr(__import__(module, fromlist=[name]), name)


@pytest.mark.parametrize("use_clip", [False, True])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("cls", "arguments", "plugin", "where"), TABLE, ids=NAMES)
def test_the_trajectory_is_that_of_the_references(cls, arguments, plugin, where, way, use_clip):
    expected = right(plugin, arguments, where, use_clip)
    first = values(1)
    for name, value in run(cls, arguments, way, use_clip).items():
        np.testing.assert_allclose(value, expected[name], rtol=2e-6, atol=2e-6, err_msg=name)
        # The steps are small beside the weights: they are compared too.
        moved = np.abs(expected[name] - first[name]).max()
        assert np.abs(value - expected[name]).max() < 2e-4 * moved, name


@pytest.mark.parametrize(("cls", "arguments", "plugin", "where"), TABLE, ids=NAMES)
def test_the_wrapped_optimizer_goes_on_as_without(cls, arguments, plugin, where):
    wrapped, held = build(cls, arguments)
    bare, expected = build(cls, arguments)
    scale = arguments.get("loss_scale", 1.0)
    optimizer = LARS(wrapped, **OPTIONS)
    for count in range(4):
        gradients = tuple(Tensor(value) for value in values(100 + count, scale).values())
        with pytest.raises(ValueError, match="gradient"):
            optimizer(gradients[:1])
        wrapped(gradients)
        bare(gradients)
    for name, parameter in held.items():
        assert (parameter.asnumpy() == expected[name].asnumpy()).all(), name


class GrowingDecay(nn.Cell):
    """A weight decay that depends on the step."""

    def construct(self, step):
        return ops.cast(step, mindspore.float32).reshape(()) * 0.1 + 0.1


def varying(rate, decay, own_rate):
    parameters = {name: Parameter(Tensor(value), name=name) for name, value in values(1).items()}
    first, *rest = parameters.values()
    group = {"params": [first], "weight_decay": 0.2} if own_rate is None else {"params": [first], "lr": own_rate}
    return nn.Momentum([group, {"params": rest}], rate, 0.5, weight_decay=decay, loss_scale=8.0), parameters


@pytest.mark.parametrize(
    ("rate", "decay", "own_rate"),
    [
        (ExponentialDecayLR(0.1, 0.5, 2), 0.1, None),
        ([0.1, 0.2, 0.3, 0.4], 0.1, None),
        (0.1, GrowingDecay(), None),
        (0.1, GrowingDecay(), [0.1, 0.2, 0.3, 0.4]),
    ],
    ids=["schedule", "listed rates", "decay of the step", "both, in a group"],
)
def test_what_varies_in_mindspores_optimizer_is_read_alike_in_both_modes(rate, decay, own_rate):
    found = []
    for way in ("pynative", "graph"):
        mindspore.set_context(mode=mindspore.GRAPH_MODE if way == "graph" else mindspore.PYNATIVE_MODE)
        try:
            inner, parameters = varying(rate, decay, own_rate)
            optimizer = LARS(inner, use_clip=True, **OPTIONS)
            for count in range(3):
                optimizer(tuple(Tensor(value) for value in values(100 + count, 8.0).values()))
            found.append({name: parameter.asnumpy() for name, parameter in parameters.items()})
        finally:
            mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    for name, value in found[0].items():
        np.testing.assert_allclose(value, found[1][name], rtol=1e-6, atol=1e-6, err_msg=name)

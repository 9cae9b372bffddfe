"""RMSProp beside that of `mindspore.nn`, which decides where it is right on CPU; elsewhere, the reference."""

import mindspore
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn
from tinyms_rmsprop import SPEC
from tinyms_rmsprop.optimizer import RMSProp
from tinyms_rmsprop.reference import reference

PAIRS = [(RMSProp, nn.RMSProp), (nn.RMSProp, RMSProp)]
STEPS = 20
SHAPES = {"dense.weight": (5, 8), "dense.bias": (19,), "norm.gamma": (3,)}
GROUP_DECAY = 0.05
GROUP_RATE = 0.01

# The options of a run, which oracle decides about it, and why that one.
TABLE = [
    ({}, "mindspore.nn", "the plain step; eps is too small to be seen"),
    ({"momentum": 0.8}, "mindspore.nn", "momentum"),
    ({"decay": 0.5}, "mindspore.nn", "a shorter average"),
    ({"use_locking": True}, "mindspore.nn", "changes nothing"),
    ({"weight_decay": 0.1, "loss_scale": 8.0}, "mindspore.nn", "decay and scaled loss"),
    ({"centered": True}, "mindspore.nn", "centered"),
    ({"centered": True, "momentum": 0.8, "decay": 0.5}, "mindspore.nn", "centered, with momentum"),
    ({"centered": True, "epsilon": 0.1}, "mindspore.nn", "centered, eps is under the root in both"),
    ({"epsilon": 0.1}, "reference", "mindspore.nn has eps outside the root for elements in whole blocks of eight"),
    ({"epsilon": 0.1, "momentum": 0.8}, "reference", "as above"),
]
BY_PEER = [options for options, oracle, _ in TABLE if oracle == "mindspore.nn"]
BY_REFERENCE = [options for options, oracle, _ in TABLE if oracle == "reference"]


def describe(options):
    return ", ".join(f"{name}={value}" for name, value in options.items()) or "defaults"


def make_parameters():
    generator = np.random.default_rng(1)
    return [Parameter(Tensor(generator.standard_normal(s).astype(np.float32)), name=n) for n, s in SHAPES.items()]


def gradients(step):
    generator = np.random.default_rng(100 + step)
    return [generator.standard_normal(shape).astype(np.float32) for shape in SHAPES.values()]


def in_groups(parameters):
    return [{"params": parameters[:1], "weight_decay": GROUP_DECAY, "lr": GROUP_RATE}, {"params": parameters[1:]}]


def build(optimizer_class, options, grouped):
    parameters = make_parameters()
    optimizer = optimizer_class(in_groups(parameters) if grouped else parameters, **options)
    return optimizer, parameters


def take_steps(optimizer, options, first, last):
    scale = np.float32(options.get("loss_scale", 1.0))
    for step in range(first, last):
        optimizer(tuple(Tensor(gradient * scale) for gradient in gradients(step)))


def run(optimizer_class, options, grouped):
    """The parameters and the state after all steps, by name."""
    optimizer, parameters = build(optimizer_class, options, grouped)
    take_steps(optimizer, options, 0, STEPS)
    return (
        {parameter.name: parameter.asnumpy() for parameter in parameters},
        {held.name: held.asnumpy() for held in optimizer.get_parameters() if held.name not in SHAPES},
    )


def run_reference(options, grouped):
    """The parameters after all steps, in float64, by name."""
    values = {**SPEC.defaults, **options}
    own = {h.name: values[h.name] for h in SPEC.hyperparameters if h.kind not in ("rate", "decay")}
    own.pop("loss_scale", None)
    weights = {parameter.name: parameter.asnumpy().astype(np.float64) for parameter in make_parameters()}
    states = {name: first_state(own, shape) for name, shape in SHAPES.items()}
    for step in range(STEPS):
        for name, gradient in zip(SHAPES, gradients(step), strict=True):
            rate, decay = settings_of(name, values, grouped)
            gradient = gradient.astype(np.float64)
            if SPEC.capabilities.weight_decay == "gradient":
                gradient, decay = gradient + decay * weights[name], 0.0
            weights[name], states[name] = reference(
                weights[name], gradient, states[name], lr=rate, t=step + 1, weight_decay=decay, **own
            )
    return weights


def first_state(own, shape):
    starts = {s.name: own[s.initial] if isinstance(s.initial, str) else s.initial for s in SPEC.state}
    return {s.name: np.full(shape, starts[s.name]) if s.shape == "like" else starts[s.name] for s in SPEC.state}


def settings_of(name, values, grouped):
    """The rate and the weight decay of a parameter."""
    if grouped and name == "dense.weight":
        return GROUP_RATE, GROUP_DECAY
    decays = grouped or "gamma" not in name
    return values["learning_rate"], values["weight_decay"] if decays else 0.0


@pytest.mark.parametrize("grouped", [False, True], ids=["ungrouped", "grouped"])
@pytest.mark.parametrize("options", BY_PEER, ids=describe)
def test_trajectory_equals_mindspore_nn(options, grouped):
    ours, state = run(RMSProp, options, grouped)
    theirs, their_state = run(nn.RMSProp, options, grouped)
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=0, atol=1e-5, err_msg=name)
    for name, value in their_state.items():
        np.testing.assert_allclose(state[name], value, rtol=0, atol=1e-5 * max(1.0, np.abs(value).max()), err_msg=name)


@pytest.mark.parametrize("grouped", [False, True], ids=["ungrouped", "grouped"])
@pytest.mark.parametrize("options", [options for options, _, _ in TABLE], ids=describe)
def test_trajectory_equals_the_reference(options, grouped):
    ours, _ = run(RMSProp, options, grouped)
    for name, value in run_reference(options, grouped).items():
        np.testing.assert_allclose(ours[name], value, rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("options", BY_REFERENCE, ids=describe)
def test_mindspore_nn_cannot_decide_there(options):
    """Where this fails, `mindspore.nn` has been mended, and the table may name it as the oracle."""
    theirs, _ = run(nn.RMSProp, options, False)
    right = run_reference(options, False)
    assert max(np.abs(theirs[name] - value).max() for name, value in right.items()) > 1e-3


@pytest.mark.parametrize("grouped", [False, True], ids=["ungrouped", "grouped"])
@pytest.mark.parametrize("options", [options for options, _, _ in TABLE], ids=describe)
def test_state_is_named_and_shaped_as_in_mindspore_nn(options, grouped):
    described = []
    for optimizer_class in (RMSProp, nn.RMSProp):
        optimizer, _ = build(optimizer_class, options, grouped)
        described.append({p.name: (tuple(p.shape), str(p.dtype)) for p in optimizer.get_parameters()})
    assert described[0] == described[1]


@pytest.mark.parametrize("pair", PAIRS, ids=["from ours", "from mindspore.nn"])
def test_training_continues_from_the_checkpoint_of_the_other(pair, tmp_path):
    options = {"centered": True, "momentum": 0.8}
    first, _ = build(pair[0], options, False)
    take_steps(first, options, 0, STEPS // 2)
    mindspore.save_checkpoint(first, str(tmp_path / "half.ckpt"))
    second, parameters = build(pair[1], options, False)
    missing, unexpected = mindspore.load_param_into_net(second, mindspore.load_checkpoint(str(tmp_path / "half.ckpt")))
    assert not missing
    assert not unexpected
    take_steps(second, options, STEPS // 2, STEPS)
    whole, _ = run(RMSProp, options, False)
    for parameter in parameters:
        np.testing.assert_allclose(parameter.asnumpy(), whole[parameter.name], rtol=0, atol=1e-5)

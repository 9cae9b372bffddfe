"""AdaFactor beside that of `mindspore.nn`, which decides where it is right on CPU; elsewhere, the reference."""

import mindspore
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn
from tinyms_adafactor import SPEC
from tinyms_adafactor.optimizer import AdaFactor
from tinyms_adafactor.reference import reference

PAIRS = [(AdaFactor, nn.AdaFactor), (nn.AdaFactor, AdaFactor)]
STEPS = 20
SHAPES = {"dense.weight": (5, 8), "dense.bias": (19,), "norm.gamma": (3,), "conv.weight": (4, 3, 3, 2)}
RATE = {"relative_step": False, "learning_rate": 0.01}

# The options of a run, which oracle decides about it, and why that one. `mindspore.nn` has another default of
# beta1, so that it is always given.
TABLE = [
    ({"beta1": None}, "mindspore.nn", "the plain step"),
    ({"beta1": 0.9}, "mindspore.nn", "an average of the changes"),
    ({"beta1": None, "decay_rate": 0.5}, "mindspore.nn", "another decay of the averages"),
    ({"beta1": None, "clip_threshold": 0.5}, "mindspore.nn", "steps are clipped"),
    ({"beta1": None, "eps": (0.01, 3.0)}, "mindspore.nn", "both constants matter"),
    ({"beta1": None, "warmup_init": True}, "mindspore.nn", "a rate that grows"),
    ({"beta1": None, "scale_parameter": False}, "mindspore.nn", "not relative to the parameter"),
    ({"beta1": None, **RATE}, "mindspore.nn", "a rate of the user's"),
    ({"beta1": 0.9, **RATE, "scale_parameter": False}, "mindspore.nn", "nothing relative"),
    ({"beta1": 0.9, "compression": True}, "mindspore.nn", "float16, while it holds the averages"),
    ({"beta1": None, "weight_decay": 0.1}, "reference", "mindspore.nn decays gamma too"),
    ({"beta1": None, "loss_scale": 8.0}, "reference", "mindspore.nn does not divide by it"),
    (
        {"beta1": None, "relative_step": False, "learning_rate": [0.01] * STEPS},
        "reference",
        "with listed rates mindspore.nn turns scale_parameter off",
    ),
]
BY_PEER = [options for options, oracle, _ in TABLE if oracle == "mindspore.nn"]
BY_REFERENCE = [options for options, oracle, _ in TABLE if oracle == "reference"]


def describe(options):
    return ", ".join(f"{name}={str(value)[:12]}" for name, value in options.items())


def make_parameters():
    generator = np.random.default_rng(1)
    return [Parameter(Tensor(generator.standard_normal(s).astype(np.float32)), name=n) for n, s in SHAPES.items()]


def gradients(step):
    generator = np.random.default_rng(100 + step)
    return [generator.standard_normal(shape).astype(np.float32) for shape in SHAPES.values()]


def take_steps(optimizer, options, first, last):
    scale = np.float32(options.get("loss_scale", 1.0))
    for step in range(first, last):
        optimizer(tuple(Tensor(gradient * scale) for gradient in gradients(step)))


def run(optimizer_class, options):
    """The parameters and the state after all steps, by name."""
    optimizer = optimizer_class(make_parameters(), **options)
    take_steps(optimizer, options, 0, STEPS)
    return {p.name: p.asnumpy() for p in optimizer.get_parameters() if not p.name.startswith("Parameter$")}


def run_reference(options):
    """The parameters after all steps, in float64, by name."""
    values = {**SPEC.defaults, **options}
    own = {h.name: values[h.name] for h in SPEC.hyperparameters if h.kind not in ("rate", "decay")}
    own.pop("loss_scale")
    kept = [slot for slot in SPEC.state if slot.kept_with(values)]
    weights = {parameter.name: parameter.asnumpy().astype(np.float64) for parameter in make_parameters()}
    states = {name: {slot.name: np.zeros(slot.shape_for(shape)) for slot in kept} for name, shape in SHAPES.items()}
    rate = values["learning_rate"][0] if isinstance(values["learning_rate"], list) else values["learning_rate"]
    for step in range(STEPS):
        for name, gradient in zip(SHAPES, gradients(step), strict=True):
            decay = 0.0 if "gamma" in name else values["weight_decay"]
            weights[name], states[name] = reference(
                weights[name], gradient.astype(np.float64), states[name], lr=rate, t=step + 1, weight_decay=decay, **own
            )
    return weights


@pytest.mark.parametrize("options", BY_PEER, ids=describe)
def test_trajectory_equals_mindspore_nn(options):
    ours, theirs = run(AdaFactor, options), run(nn.AdaFactor, options)
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=2e-6, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("options", [o for o, _, _ in TABLE if "compression" not in o], ids=describe)
def test_trajectory_equals_the_reference(options):
    ours = run(AdaFactor, options)
    for name, value in run_reference(options).items():
        np.testing.assert_allclose(ours[name], value, rtol=2e-6, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("options", BY_REFERENCE, ids=describe)
def test_mindspore_nn_cannot_decide_there(options):
    """Where this fails, `mindspore.nn` has been mended, and the table may name it as the oracle."""
    ours, theirs = run(AdaFactor, options), run(nn.AdaFactor, options)
    assert max(np.abs(theirs[name] - value).max() for name, value in ours.items()) > 1e-4


@pytest.mark.parametrize("options", [options for options, _, _ in TABLE], ids=describe)
def test_state_is_named_and_shaped_as_in_mindspore_nn(options):
    described = []
    for optimizer_class in (AdaFactor, nn.AdaFactor):
        optimizer = optimizer_class(make_parameters(), **options)
        described.append({p.name: (tuple(p.shape), str(p.dtype)) for p in optimizer.get_parameters()})
    # Without beta1 that of mindspore.nn holds a Parameter that has no name, and no use.
    unnamed = [name for name in described[1] if name.startswith("Parameter$")]
    assert len(unnamed) == (options["beta1"] is None)
    assert described[0] == {name: value for name, value in described[1].items() if name not in unnamed}


@pytest.mark.parametrize("options", [{"beta1": 0.9}, {"beta1": 0.9, "compression": True}], ids=describe)
@pytest.mark.parametrize("pair", PAIRS, ids=["from ours", "from mindspore.nn"])
def test_training_continues_from_the_checkpoint_of_the_other(pair, options, tmp_path):
    first = pair[0](make_parameters(), **options)
    take_steps(first, options, 0, STEPS // 2)
    mindspore.save_checkpoint(first, str(tmp_path / "half.ckpt"))
    second = pair[1](make_parameters(), **options)
    missing, unexpected = mindspore.load_param_into_net(second, mindspore.load_checkpoint(str(tmp_path / "half.ckpt")))
    assert not missing
    assert not unexpected
    take_steps(second, options, STEPS // 2, STEPS)
    whole = run(AdaFactor, options)
    for parameter in second.get_parameters():
        np.testing.assert_allclose(parameter.asnumpy(), whole[parameter.name], rtol=2e-6, atol=2e-6)

"""What AdaFactor takes and refuses as arguments."""

import inspect

import numpy as np
import pytest
from tinyms_adafactor.optimizer import AdaFactor

import tinyms_core
from tinyms_core.examples import parameter, tensor

SIGNATURE = (
    "(params, learning_rate=None, eps=(1e-30, 0.001), clip_threshold=1.0, decay_rate=0.8, beta1=None, "
    "weight_decay=0.0, scale_parameter=True, relative_step=True, warmup_init=False, compression=False, "
    "loss_scale=1.0)"
)

# Arguments, at least one of which is wrong, the exception, and a pattern of its message.
REFUSED = [
    ({"params": None}, ValueError, r"'params' must be an iterable"),
    ({"params": []}, ValueError, r"'params' is empty"),
    ({"learning_rate": 0.1}, ValueError, r"'learning_rate' must be None with relative_step=True, got 0\.1"),
    ({"learning_rate": 0.0}, ValueError, r"'learning_rate' must be None with relative_step=True, got 0\.0"),
    ({"learning_rate": [0.1]}, ValueError, r"'learning_rate' must be None with relative_step=True"),
    ({"relative_step": False}, ValueError, r"'learning_rate' must be given with relative_step=False"),
    (
        {"relative_step": False, "learning_rate": 0.1, "warmup_init": True},
        ValueError,
        r"'warmup_init' must be False with relative_step=False, got True",
    ),
    ({"relative_step": False, "learning_rate": -0.1}, ValueError, r"'learning_rate' must be finite and >= 0"),
    ({"relative_step": False, "learning_rate": "0.1"}, TypeError, r"'learning_rate' must be a float or int >= 0"),
    ({"relative_step": False, "learning_rate": True}, TypeError, r"'learning_rate'"),
    ({"relative_step": False, "learning_rate": tensor([[0.1]])}, ValueError, r"'learning_rate' as a Tensor"),
    ({"eps": 1e-3}, TypeError, r"'eps' must be a tuple of 2 floats in \(0, inf\), got 0\.001 of type float"),
    ({"eps": None}, TypeError, r"'eps' must be a tuple of 2 floats"),
    ({"eps": "ab"}, TypeError, r"'eps' must be a tuple of 2 floats"),
    ({"eps": (1e-30,)}, ValueError, r"'eps' must hold 2 floats in \(0, inf\), got 1"),
    ({"eps": (1e-30, 1e-3, 1.0)}, ValueError, r"'eps' must hold 2 floats in \(0, inf\), got 3"),
    ({"eps": (0.0, 1e-3)}, ValueError, r"'eps\[0\]' must be in \(0, inf\), got 0\.0"),
    ({"eps": (1e-30, -1.0)}, ValueError, r"'eps\[1\]' must be in \(0, inf\), got -1\.0"),
    ({"eps": (1e-30, float("nan"))}, ValueError, r"'eps\[1\]' must be in \(0, inf\), got nan"),
    ({"eps": (1e-30, 1)}, TypeError, r"'eps\[1\]' must be a float in \(0, inf\), got 1 of type int; write 1\.0"),
    ({"clip_threshold": 0.0}, ValueError, r"'clip_threshold' must be in \(0, inf\), got 0\.0"),
    ({"clip_threshold": -1.0}, ValueError, r"'clip_threshold' must be in \(0, inf\), got -1\.0"),
    ({"clip_threshold": 1}, TypeError, r"'clip_threshold' must be a float .* write 1\.0"),
    ({"clip_threshold": None}, TypeError, r"'clip_threshold' must be a float"),
    ({"decay_rate": 0.0}, ValueError, r"'decay_rate' must be in \(0, 1\), got 0\.0"),
    ({"decay_rate": 1.0}, ValueError, r"'decay_rate' must be in \(0, 1\), got 1\.0"),
    ({"decay_rate": "0.8"}, TypeError, r"'decay_rate' must be a float"),
    ({"beta1": 0.0}, ValueError, r"'beta1' must be in \(0, 1\), got 0\.0"),
    ({"beta1": 1.0}, ValueError, r"'beta1' must be in \(0, 1\), got 1\.0"),
    ({"beta1": 1}, TypeError, r"'beta1' must be a float"),
    ({"beta1": True}, TypeError, r"'beta1' must be a float"),
    ({"weight_decay": -0.1}, ValueError, r"'weight_decay' must be in \[0, inf\), got -0\.1"),
    ({"weight_decay": None}, TypeError, r"'weight_decay'"),
    ({"scale_parameter": 1}, TypeError, r"'scale_parameter' must be True or False, got 1"),
    ({"relative_step": None}, TypeError, r"'relative_step' must be True or False, got None"),
    ({"warmup_init": "yes"}, TypeError, r"'warmup_init' must be True or False, got 'yes'"),
    ({"compression": 0}, TypeError, r"'compression' must be True or False, got 0"),
    ({"loss_scale": 0.0}, ValueError, r"'loss_scale' must be in \(0, inf\), got 0\.0"),
    ({"loss_scale": None}, TypeError, r"'loss_scale'"),
    ({"learning_rat": 0.1}, TypeError, r"learning_rat"),
]
ACCEPTED = [
    {"learning_rate": 1, "relative_step": False},
    {"eps": (1e-20, 1e-2)},
    {"beta1": np.float64(0.5)},
    {"warmup_init": True},
    {"compression": True, "scale_parameter": False},
    {"weight_decay": 2},
]


def test_the_signature_is_the_documented_one():
    signature = inspect.signature(AdaFactor)
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    assert str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)) == SIGNATURE


@pytest.mark.parametrize(("arguments", "error", "message"), REFUSED)
def test_a_bad_value_is_refused_by_name(arguments, error, message):
    w = parameter("w", [1.0, 2.0])
    with pytest.raises(error, match=message):
        AdaFactor(**{"params": [w], **arguments})
    assert (w.name, w.asnumpy().tolist()) == ("w", [1.0, 2.0])


@pytest.mark.parametrize("arguments", ACCEPTED)
def test_a_good_value_is_taken(arguments):
    optimizer = AdaFactor([parameter("w", [1.0, 2.0])], **arguments)
    for name, value in arguments.items():
        assert optimizer.get_config()[name] == value


def test_two_eps_may_be_a_list():
    assert AdaFactor([parameter("w", [1.0])], eps=[1e-20, 1e-2]).get_config()["eps"] == (1e-20, 1e-2)


def test_a_group_has_no_rate_where_steps_are_relative():
    first, second = parameter("first", [1.0]), parameter("second", [1.0])
    with pytest.raises(ValueError, match=r"group 1 has an 'lr', 0\.2, where adafactor finds its own rate"):
        AdaFactor([{"params": [first]}, {"params": [second], "lr": 0.2}])
    AdaFactor([{"params": [first]}, {"params": [second], "lr": 0.2}], learning_rate=0.1, relative_step=False)


@pytest.mark.parametrize("name", ["adafactor", "ada_factor", "AdaFactor", "ADA-FACTOR"])
def test_the_name_resolves_in_every_spelling(name):
    assert tinyms_core.get_optimizer(name) is AdaFactor


def test_create_optimizer_leaves_the_rate_to_the_optimizer():
    w = parameter("w", [1.0])
    tinyms_core.create_optimizer("adafactor", [w])((tensor([1.0]),))
    assert w.asnumpy().tolist() == [pytest.approx(0.99)]

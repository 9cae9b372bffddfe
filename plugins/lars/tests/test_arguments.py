"""What LARS takes and refuses as arguments."""

import inspect

import numpy as np
import pytest
from mindspore import nn
from tinyms_lars import neither_norm_nor_bias
from tinyms_lars.optimizer import LARS

import tinyms_core
from tinyms_core.examples import SignDescent, parameter

# An argument, a value that it may not have, the exception, and a pattern of its message.
REFUSED = [
    ("optimizer", None, TypeError, r"'optimizer' must be an optimizer of tinyms_core or of mindspore\.nn, got None"),
    ("optimizer", [parameter("w", [1.0])], TypeError, r"'optimizer' must be an optimizer"),
    ("optimizer", nn.Momentum, TypeError, r"'optimizer' must be an optimizer that has been built, got the class"),
    ("optimizer", nn.Dense(1, 1), TypeError, r"'optimizer' must be an optimizer"),
    ("epsilon", 1, TypeError, r"'epsilon' must be a float in \(0, inf\), got 1 of type int; write 1\.0"),
    ("epsilon", True, TypeError, r"'epsilon' must be a float"),
    ("epsilon", "0.5", TypeError, r"'epsilon' must be a float"),
    ("epsilon", None, TypeError, r"'epsilon' must be a float"),
    ("epsilon", float("nan"), ValueError, r"'epsilon' must be in \(0, inf\), got nan"),
    ("epsilon", 0.0, ValueError, r"'epsilon' must be in \(0, inf\), got 0\.0"),
    ("epsilon", float("inf"), ValueError, r"'epsilon' must be in \(0, inf\), got inf"),
    ("coefficient", 1, TypeError, r"'coefficient' must be a float in \(0, inf\), got 1 of type int; write 1\.0"),
    ("coefficient", None, TypeError, r"'coefficient' must be a float"),
    ("coefficient", float("nan"), ValueError, r"'coefficient' must be in \(0, inf\), got nan"),
    ("coefficient", -0.1, ValueError, r"'coefficient' must be in \(0, inf\), got -0\.1"),
    ("use_clip", 1, TypeError, r"'use_clip' must be True or False, got 1 of type int"),
    ("use_clip", None, TypeError, r"'use_clip' must be True or False, got None"),
    ("lars_filter", None, TypeError, r"'lars_filter' must be a function of a Parameter that returns a bool, got None"),
    ("lars_filter", "weight", TypeError, r"'lars_filter' must be a function"),
    ("lars_filter", lambda p: 1, TypeError, r"'lars_filter' must return True or False, got 1 of type int for 'w'"),
    ("lars_filter", lambda p: None, TypeError, r"'lars_filter' must return True or False, got None"),
]


def momentum(**arguments):
    return nn.Momentum([parameter("w", [1.0, 2.0])], 0.1, 0.9, **arguments)


def test_the_signature_is_the_documented_one():
    found = {p.name: p.default for p in inspect.signature(LARS).parameters.values()}
    assert found == {
        "optimizer": inspect.Parameter.empty,
        "epsilon": 1e-5,
        "coefficient": 0.001,
        "use_clip": False,
        "lars_filter": neither_norm_nor_bias,
    }


@pytest.mark.parametrize(("argument", "value", "error", "message"), REFUSED)
def test_a_bad_value_is_refused_by_name(argument, value, error, message):
    optimizer = momentum()
    with pytest.raises(error, match=message):
        LARS(**{"optimizer": optimizer, argument: value})
    assert optimizer.parameters[0].asnumpy().tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "arguments", [{"epsilon": np.float64(0.5)}, {"coefficient": np.float32(0.5)}, {"use_clip": True}]
)
def test_a_good_value_is_taken(arguments):
    optimizer = LARS(momentum(), **arguments)
    for name, value in arguments.items():
        assert optimizer.get_config()[name] == value


def test_an_unknown_argument_is_refused():
    with pytest.raises(TypeError, match="eps"):
        LARS(momentum(), eps=1e-5)


def test_lars_around_lars_is_refused():
    with pytest.raises(TypeError, match=r"'optimizer' must be one that is not around another optimizer, got LARS"):
        LARS(LARS(momentum()))


def test_decay_that_cannot_be_left_out_is_refused():
    inner = nn.AdaFactor([parameter("w", [1.0])], learning_rate=0.1, relative_step=False, weight_decay=0.1)
    with pytest.raises(ValueError, match=r"AdaFactor of mindspore\.nn cannot be left out"):
        LARS(inner)


@pytest.mark.parametrize(
    ("name", "chosen"), [("conv.weight", True), ("conv.bias", False), ("LayerNorm.gamma", False), ("bn.gamma", True)]
)
def test_the_default_filter(name, chosen):
    assert neither_norm_nor_bias(parameter(name, [1.0])) is chosen


def test_the_filter_is_asked_once_for_each_parameter():
    asked = []
    inner = SignDescent([parameter("a", [1.0]), parameter("b", [1.0])], learning_rate=0.1)
    LARS(inner, lars_filter=lambda p: asked.append(p.name) or True)
    assert asked == ["a", "b"]


def test_it_is_an_optimizer_of_mindspore_and_shows_what_it_is_around():
    inner = momentum()
    optimizer = tinyms_core.get_optimizer("LARS")(inner)
    assert isinstance(optimizer, nn.Optimizer)
    assert optimizer.optimizer is inner
    assert optimizer.parameters[0] is inner.parameters[0]
    assert optimizer.learning_rate is inner.learning_rate
    assert optimizer.global_step is inner.global_step
    assert {p.name for p in optimizer.get_parameters()} == {p.name for p in inner.get_parameters()}

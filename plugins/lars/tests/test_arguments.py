"""What LARS takes beside the tables that the kit reads."""

import pytest
from mindspore import nn
from tinyms_lars import neither_norm_nor_bias
from tinyms_lars.optimizer import LARS

import tinyms_core
from tinyms_core.examples import SignDescent, parameter


def momentum(**arguments):
    return nn.Momentum([parameter("w", [1.0, 2.0])], 0.1, 0.9, **arguments)


def test_an_unknown_argument_is_refused():
    with pytest.raises(TypeError, match="eps"):
        LARS(momentum(), eps=1e-5)


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

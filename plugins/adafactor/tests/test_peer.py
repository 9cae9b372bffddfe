"""Training goes on from checkpoints of `mindspore.nn`, with compression too, and the other way round."""

import mindspore
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn
from tinyms_adafactor.optimizer import AdaFactor

PAIRS = [(AdaFactor, nn.AdaFactor), (nn.AdaFactor, AdaFactor)]
STEPS = 20
SHAPES = {"dense.weight": (5, 8), "dense.bias": (19,), "norm.gamma": (3,), "conv.weight": (4, 3, 3, 2)}


def make_parameters():
    generator = np.random.default_rng(1)
    return [Parameter(Tensor(generator.standard_normal(s).astype(np.float32)), name=n) for n, s in SHAPES.items()]


def take_steps(optimizer, first, last):
    for step in range(first, last):
        generator = np.random.default_rng(100 + step)
        optimizer(tuple(Tensor(generator.standard_normal(s).astype(np.float32)) for s in SHAPES.values()))
    return optimizer


# The options are those with which both compute the same: elsewhere a checkpoint of the one means less to the other.
@pytest.mark.parametrize("options", [{}, {"compression": True}], ids=["plain", "compression"])
@pytest.mark.parametrize("pair", PAIRS, ids=["from ours", "from mindspore.nn"])
def test_training_continues_from_the_checkpoint_of_the_other(pair, options, tmp_path):
    first, second = (optimizer_class(make_parameters(), beta1=0.9, **options) for optimizer_class in pair)
    take_steps(first, 0, STEPS // 2)
    mindspore.save_checkpoint(first, str(tmp_path / "half.ckpt"))
    missing, unexpected = mindspore.load_param_into_net(second, mindspore.load_checkpoint(str(tmp_path / "half.ckpt")))
    assert not missing
    assert not unexpected
    take_steps(second, STEPS // 2, STEPS)
    whole = take_steps(AdaFactor(make_parameters(), beta1=0.9, **options), 0, STEPS)
    expected = {parameter.name: parameter.asnumpy() for parameter in whole.get_parameters()}
    for parameter in second.get_parameters():
        np.testing.assert_allclose(parameter.asnumpy(), expected[parameter.name], rtol=2e-6, atol=2e-6)

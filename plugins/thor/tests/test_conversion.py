"""Code that converts networks and models for MindSpore's thor: it does no harm, or is refused by name."""

from __future__ import annotations

import mindspore
import numpy as np
import pytest
from mindspore import FixedLossScaleManager, Model, Tensor, dataset, nn
from mindspore.train import ConvertModelUtils, ConvertNetUtils

import tinyms_core

IMAGES = np.random.default_rng(3).normal(size=(16, 1, 4, 4)).astype(np.float32)
LABELS = (np.arange(16) % 3).astype(np.int32)


class Words(nn.Cell):
    """A network with a layer that MindSpore converts."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def construct(self, x):
        return self.layer(x)


def make_network():
    generator = np.random.default_rng(1)
    weights = [Tensor(0.2 * generator.normal(size=s).astype(np.float32)) for s in ((2, 1, 3, 3), (3, 32))]
    conv = nn.Conv2d(1, 2, 3, weight_init=weights[0])
    return nn.SequentialCell(conv, nn.ReLU(), nn.Flatten(), nn.Dense(32, 3, weight_init=weights[1], bias_init="zeros"))


def thor(net, **arguments):
    return tinyms_core.get_optimizer("thor")(
        net, Tensor(0.02), Tensor(0.1), 0.9, batch_size=8, frequency=2, **arguments
    )


@pytest.mark.parametrize("mode", [mindspore.PYNATIVE_MODE, mindspore.GRAPH_MODE])
@pytest.mark.parametrize("scale", [1.0, 128.0])
def test_a_converted_model_trains_as_the_model_itself(mode, scale):
    mindspore.set_context(mode=mode)
    try:
        trained = []
        for converted in (False, True):
            net = make_network()
            loss = nn.SoftmaxCrossEntropyWithLogits(sparse=True, reduction="mean")
            optimizer = thor(net, loss_scale=scale)
            manager = FixedLossScaleManager(scale, drop_overflow_update=False)
            model = Model(net, loss, optimizer, metrics={"accuracy"}, loss_scale_manager=manager)
            if converted:
                model = ConvertModelUtils().convert_to_thor_model(
                    model=model, network=net, loss_fn=loss, optimizer=optimizer, metrics={"accuracy"},
                    loss_scale_manager=manager,
                )  # fmt: skip
            batches = dataset.NumpySlicesDataset((IMAGES, LABELS), ["image", "label"], shuffle=False).batch(8)
            model.train(2, batches, dataset_sink_mode=False)
            assert int(optimizer.global_step.asnumpy()[0]) == 4
            trained.append({p.name: p.asnumpy().copy() for p in net.trainable_params()})
    finally:
        mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    for name, value in trained[0].items():
        assert np.array_equal(value, trained[1][name]), name


def converted(layer):
    net = Words(layer)
    ConvertNetUtils().convert_to_thor_net(net)
    return net


@pytest.mark.parametrize(
    ("make", "made"),
    [
        (lambda: converted(nn.Dense(3, 2)), "DenseThor"),
        (lambda: converted(nn.Conv2d(1, 2, 3)), "Conv2dThor"),
        (lambda: converted(nn.Embedding(5, 2)), "EmbeddingThor"),
        # MindSpore's conversion to it fails, whatever the optimizer.
        (lambda: Words(nn.EmbeddingLookupThor(5, 2, target="CPU")), "EmbeddingLookupThor"),
    ],
)
def test_a_converted_network_is_refused_by_name(make, made):
    with pytest.raises(ValueError, match=rf"the layer 'layer' is a {made} of mindspore\.nn.* leave the conversion out"):
        thor(make())

"""LARS in MindSpore's own training, around an optimizer of either library, with and without a loss scale."""

import mindspore
import numpy as np
import pytest
from mindspore import Tensor, nn
from mindspore.dataset import NumpySlicesDataset
from tinyms_lars.optimizer import LARS

import tinyms_core

MODES = {"pynative": mindspore.PYNATIVE_MODE, "graph": mindspore.GRAPH_MODE}
INNER = {"tinyms": tinyms_core.get_optimizer("momentum"), "mindspore": nn.Momentum}


@pytest.fixture(params=MODES)
def mode(request):
    mindspore.set_context(mode=MODES[request.param])
    yield request.param
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)


def network():
    generator = np.random.default_rng(2)
    first, second = (Tensor(0.4 * generator.standard_normal(s).astype(np.float32)) for s in ((8, 4), (1, 8)))
    zeros = {"bias_init": "zeros"}
    return nn.SequentialCell(
        nn.Dense(4, 8, weight_init=first, **zeros), nn.Tanh(), nn.Dense(8, 1, weight_init=second, **zeros)
    )


def data():
    generator = np.random.default_rng(3)
    features = generator.standard_normal((32, 4)).astype(np.float32)
    return features, np.tanh(features @ np.array([[0.8], [-0.5], [0.3], [0.1]], np.float32))


def lars(cls, net, **more):
    return LARS(
        cls(net.trainable_params(), learning_rate=0.1, momentum=0.5, weight_decay=1e-3, **more), coefficient=0.1
    )


def weights(net):
    return [parameter.asnumpy() for parameter in net.trainable_params()]


@pytest.mark.parametrize("name", INNER)
def test_model_trains(mode, name):
    net = network()
    features, targets = data()
    optimizer = lars(INNER[name], net)
    before = float(np.mean(np.square(net(Tensor(features)).asnumpy() - targets)))
    model = mindspore.Model(net, nn.MSELoss(), optimizer)
    batches = NumpySlicesDataset((features, targets), shuffle=False).batch(8)
    model.train(10, batches, dataset_sink_mode=False)
    assert float(np.mean(np.square(net(Tensor(features)).asnumpy() - targets))) < 0.5 * before
    assert optimizer.global_step.asnumpy().tolist() == [40]


@pytest.mark.parametrize("name", INNER)
def test_a_scaled_loss_gives_the_same_training(mode, name):
    found = []
    for scale in (1.0, 64.0):
        net = network()
        manager = mindspore.FixedLossScaleManager(scale, drop_overflow_update=False)
        optimizer = lars(INNER[name], net, loss_scale=scale)
        cell = mindspore.amp.build_train_network(
            net, optimizer, nn.MSELoss(), level="O0", loss_scale_manager=manager
        ).set_train()
        for _ in range(5):
            cell(*(Tensor(part) for part in data()))
        found.append(weights(net))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_both_libraries_train_alike(mode):
    found = []
    for cls in INNER.values():
        net = network()
        cell = nn.TrainOneStepCell(nn.WithLossCell(net, nn.MSELoss()), lars(cls, net)).set_train()
        for _ in range(5):
            cell(*(Tensor(part) for part in data()))
        found.append(weights(net))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", INNER)
def test_a_checkpoint_loads_into_the_bare_optimizer_and_back(tmp_path, name):
    bare = INNER[name](network().trainable_params(), 0.1, 0.5)
    around = LARS(INNER[name](network().trainable_params(), 0.1, 0.5))
    for source, target in ((around, bare), (bare, around)):
        mindspore.save_checkpoint(source, str(tmp_path / "saved.ckpt"))
        loaded = mindspore.load_checkpoint(str(tmp_path / "saved.ckpt"))
        assert mindspore.load_param_into_net(target, loaded, strict_load=True) == ([], [])

"""State in the host's memory: asked for, declared, refused, copied along; on the CPU the step is the plain one."""

from __future__ import annotations

import copy
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from mindspore import nn

import tinyms_core
from tinyms_core.examples import parameter, tensor
from tinyms_core.registry.errors import InvalidSpecError, MissingKernelError


def built(name, **given):
    return tinyms_core.get_optimizer(name)([parameter("w", [1.0, -2.0, 3.0])], **given)


@pytest.fixture
def elsewhere(monkeypatch):
    """MindSpore's device is another one, as far as the question is asked for offload."""
    monkeypatch.setattr(
        "tinyms_core.optimizer.offload.context",
        SimpleNamespace(get_context=lambda name: {"device_target": "Ascend"}[name]),
    )


def of_parameters():
    """The optimizers that are built from parameters."""
    found = map(tinyms_core.optimizer_info, tinyms_core.list_optimizers())
    return [spec for spec in found if not (spec.capabilities.wraps_optimizer or spec.capabilities.consumes_network)]


@pytest.mark.parametrize("spec", of_parameters(), ids=lambda spec: spec.name)
def test_on_the_cpu_the_step_is_the_plain_one_or_it_is_refused_by_name(spec):
    required = {h.name: 0.1 for h in spec.hyperparameters if h.required}
    plain, offloaded = built(spec.name, **required), built(spec.name, **required)
    if spec.capabilities.layerwise or spec.capabilities.workspace:
        with pytest.raises(ValueError, match=f"{spec.name}: 'use_offload' must be False: a step of {spec.name}"):
            offloaded.use_offload = True
        return
    plain.use_offload, offloaded.use_offload = False, True
    for step in range(3):
        for optimizer in (plain, offloaded):
            optimizer((tensor([0.5, -1.0, 0.1 * step]),))
    for one, other in zip(plain.get_parameters(), offloaded.get_parameters(), strict=True):
        np.testing.assert_array_equal(one.asnumpy(), other.asnumpy())
    assert (plain.use_offload, offloaded.use_offload) == (False, True)


def test_it_is_declared_or_asked_for():
    assert built("adam_offload").use_offload
    assert not built("adam").use_offload
    net = nn.Dense(2, 3)
    assert tinyms_core.create_optimizer("momentum", net, learning_rate=0.1, momentum=0.9, offload=True).use_offload
    assert not tinyms_core.create_optimizer("adam_offload", net, offload=False).use_offload


def test_a_class_may_ask_for_it():
    class Offloaded(tinyms_core.get_optimizer("adam")):
        def __init__(self, params):
            tinyms_core.Optimizer.__init__(
                self, 0.1, params, hyperparameters={
                    "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "use_locking": False, "use_nesterov": False,
                }, offload=True,
            )  # fmt: skip

    assert Offloaded([parameter("w", [1.0])]).use_offload


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda optimizer: pickle.loads(pickle.dumps(optimizer))])
def test_copies_have_it_too(copied):
    optimizer = built("adam")
    optimizer.use_offload = True
    assert copied(optimizer).use_offload
    optimizer = built("adam_offload")
    optimizer.use_offload = False
    assert not copied(optimizer).use_offload


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("lamb", {"learning_rate": 0.1}, "lamb: 'use_offload' must be False: a step of lamb needs the norm of whole"),
        ("adafactor", {}, "adafactor: 'use_offload' must be False: a step of adafactor is of whole arrays"),
    ],
)
def test_steps_of_whole_parameters_are_refused_by_name(name, given, message):
    optimizer = built(name, **given)
    with pytest.raises(ValueError, match=message):
        optimizer.use_offload = True
    assert not optimizer.use_offload


def test_optimizers_around_others_and_preconditioned_ones_are_refused():
    net = nn.Dense(2, 3)
    with pytest.raises(ValueError, match="lars: 'offload' must be False: its factors are of whole parameters"):
        tinyms_core.create_optimizer("lars", net, around="momentum", learning_rate=0.1, momentum=0.9, offload=True)
    with pytest.raises(ValueError, match="thor: 'use_offload' must be False: its gradients are preconditioned"):
        tinyms_core.create_optimizer("thor", net, learning_rate=0.1, damping=0.1, momentum=0.9, offload=True)


def test_steps_of_operators_are_refused():
    class Classic(tinyms_core.Optimizer):
        def construct(self, gradients):
            return self.next_step()

    with pytest.raises(ValueError, match="Classic: 'use_offload' must be False: its steps are operators of its own"):
        Classic(0.1, [parameter("w", [1.0])]).use_offload = True
    with pytest.raises(TypeError, match="'use_offload' must be True or False, got 1"):
        built("adam").use_offload = 1


@pytest.mark.usefixtures("elsewhere")
def test_on_another_device_it_is_refused_and_said_what_does_it():
    optimizer = built("adam")
    with pytest.raises(
        MissingKernelError, match=r"adam: state cannot be offloaded where MindSpore's device is 'Ascend'"
    ):
        optimizer.use_offload = True
    with pytest.raises(MissingKernelError, match=r"kernels\.ArrayOptimizer\('adam_offload', \.\.\., offload=True\)"):
        built("adam_offload")


def test_a_layerwise_optimizer_cannot_declare_it():
    with pytest.raises(InvalidSpecError, match=r"Capabilities\.offload"):
        tinyms_core.Capabilities(layerwise=True, offload=True)

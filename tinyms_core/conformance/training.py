"""Execution: MindSpore's own training loops and wrappers take the optimizer as one of theirs."""

from __future__ import annotations

from typing import Any

import mindspore
import numpy as np
from mindspore import Tensor, nn
from mindspore.dataset import NumpySlicesDataset

from tinyms_core.conformance.catalog import check
from tinyms_core.conformance.cells import Network, regression
from tinyms_core.conformance.compare import require, require_close
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.trial import make_arguments, values_of
from tinyms_core.optimizer.modes import execution_mode
from tinyms_core.registry.specs import Capabilities

_SCALE = 64.0


def _scaled(can: Capabilities) -> bool:
    return can.loss_scale


def build(subject: Subject, network: nn.Cell, **changes: Any) -> Any:
    """The optimizer for a network's trainable parameters."""
    workload = subject.plain(hyperparameters=subject.defaults, decay=(0.0,))
    arguments = {**make_arguments(subject.spec, workload), **changes}
    return subject.optimizer_class(network.trainable_params(), **arguments)


def train(network: nn.Cell, optimizer: Any, steps: int, cell: Any = None) -> list[float]:
    """Train on the small regression.

    Arguments:
        network: a `Network`.
        optimizer: its optimizer.
        steps: how many steps, each on all of the data.
        cell: what does a step with features and targets; a TrainOneStepCell when None.

    Returns:
        The loss before each step.
    """
    features, targets = (Tensor(part) for part in regression())
    if cell is None:
        cell = nn.TrainOneStepCell(nn.WithLossCell(network, nn.MSELoss()), optimizer).set_train()
    losses = []
    for _ in range(steps):
        result = cell(features, targets)
        losses.append(float((result[0] if isinstance(result, tuple) else result).asnumpy()))
    return losses


@check("Execution", {"pynative": ("float32",), "graph": ("float32",)})
def check_model_train(subject: Subject) -> None:
    """MindSpore's ``Model`` trains a network with it, and the loss goes down."""
    network = Network()
    optimizer = build(subject, network)
    model = mindspore.Model(network, nn.MSELoss(), optimizer)
    features, targets = regression()
    before = _loss(network, features, targets)
    dataset = NumpySlicesDataset((features, targets), shuffle=False).batch(8)
    model.train(5, dataset, dataset_sink_mode=False)
    after = _loss(network, features, targets)
    steps = int(optimizer.global_step.asnumpy().reshape(-1)[0])
    require(steps == 20, f"after 5 epochs of 4 batches global_step is {steps}")
    require(np.isfinite(after) and after < 0.9 * before, f"the loss went from {before:.4f} to {after:.4f} in 20 steps")


def _loss(network: nn.Cell, features: Any, targets: Any) -> float:
    return float(np.mean(np.square(network(Tensor(features)).asnumpy() - targets)))


@check("Execution", {"pynative": ("float32",), "graph": ("float32",)})
def check_wrapper_composes(subject: Subject) -> None:
    """TrainOneStepCell and a plain loop of value_and_grad give the same training."""
    wrapped = Network()
    losses = train(wrapped, build(subject, wrapped), 6)
    require(np.isfinite(losses).all() and losses[-1] < losses[0], f"with TrainOneStepCell the losses are {losses}")
    plain = Network()
    optimizer = build(subject, plain)
    loss_of = nn.WithLossCell(plain, nn.MSELoss())
    forward = mindspore.value_and_grad(loss_of, None, plain.trainable_params())
    features, targets = (Tensor(part) for part in regression())
    with execution_mode("pynative"):
        for _ in range(6):
            _, gradients = forward(features, targets)
            optimizer(gradients)
    for one, other in zip(wrapped.trainable_params(), plain.trainable_params(), strict=True):
        require_close(values_of(one), values_of(other), "float32", f"{one.name}, TrainOneStepCell and plain loop", 1e-5)


@check(
    "Execution", {"pynative": ("float32",), "graph": ("float32",)}, requirement=_scaled, needs="a declared loss_scale"
)
def check_loss_scale_wrapper_composes(subject: Subject) -> None:
    """``amp.build_train_network`` with a fixed loss scale gives the training without one."""
    plain = Network()
    with execution_mode("pynative"):
        train(plain, build(subject, plain), 5)
    scaled = Network()
    optimizer = build(subject, scaled, loss_scale=_SCALE)
    manager = mindspore.FixedLossScaleManager(_SCALE, drop_overflow_update=False)
    cell = mindspore.amp.build_train_network(
        scaled, optimizer, nn.MSELoss(), level="O0", loss_scale_manager=manager
    ).set_train()
    train(scaled, optimizer, 5, cell)
    for one, other in zip(scaled.trainable_params(), plain.trainable_params(), strict=True):
        require_close(values_of(one), values_of(other), "float32", f"{one.name}, scaled and not", 1e-5)

"""A step of each optimizer that does all that the optimizer can, to be compiled as one graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mindspore
from mindspore import Parameter, Tensor, nn

import tinyms_core
from tinyms_core.conformance.kernel_runs import settings_of
from tinyms_core.conformance.networks import NetworkLoss, SmallNetwork, batch, network_arguments
from tinyms_core.conformance.subject import Subject
from tinyms_core.optimizer.flat_step import FlatStep
from tinyms_core.registry.specs import OptimizerSpec

# What stands inside of an optimizer that goes around another one.
WRAPPED = "momentum"
# The parameters: a matrix, a convolution whose gradient may be centralized, narrow ones, and a table with rows. Flags
# make a difference to the first two, which are enough where they are not the usual ones.
FEW = ("matrix", "kernel")
MEMBERS = {
    "matrix": ((6, 4), "float32"),
    "kernel": ((2, 2, 3), "float32"),
    "half": ((4, 5), "float16"),
    "brain": ((4,), "bfloat16"),
    "table": ((5, 2), "float32"),
}
RATES = [0.1, 0.2, 0.1]
SCALE = 8.0


class Steps(nn.Cell):
    """Steps of several optimizers: one with all gradients, the others with the first of them."""

    def __init__(self, whole: nn.Cell, others: list[nn.Cell]) -> None:
        super().__init__(auto_prefix=False)
        self.whole = whole
        self.others = nn.CellList(others, auto_prefix=False)

    def construct(self, *tensors: Any) -> Any:
        done: Any = (self.whole(*tensors),)
        for step in self.others:
            done += (step(*tensors[: len(FEW)]),)
        return done


@dataclass(frozen=True)
class Step:
    """A step to be compiled.

    Attributes:
        inputs: a Cell, and the Cell's inputs.
        others: what the names of Cells contain whose operators are not the optimizer's.
    """

    inputs: tuple[Any, ...]
    others: tuple[str, ...] = ()


def step_of(name: str) -> Step:
    """An optimizer's step in all that it can do.

    Flags are off and on, rates are listed, a group has decay and one has centralized gradients, parameters are of every
    dtype that Ascend has, and one has rows, as far as the optimizer declares these.
    """
    spec = tinyms_core.optimizer_info(name)
    return _of_network(spec) if spec.capabilities.consumes_network else _of_parameters(spec)


def _of_parameters(spec: OptimizerSpec) -> Step:
    wraps = spec.capabilities.wraps_optimizer
    updating = tinyms_core.optimizer_info(WRAPPED) if wraps else spec
    rows = updating.capabilities.sparse != "none" and not wraps
    members = {name: of for name, of in MEMBERS.items() if rows or name != "table"}
    steps: list[nn.Cell] = []
    for number, setting in enumerate(_settings_of(spec)):
        own = {name: members[name] for name in FEW} if steps else members
        optimizer = _built(updating, _settings_of(updating)[0] if wraps else setting, own)
        if wraps:
            optimizer = tinyms_core.get_optimizer(spec.name)(optimizer, **setting)
        for held in optimizer.get_parameters():
            # Several optimizers have state of the same name, which a graph may not.
            held.name = f"{number}.{held.name}"
        steps.append(FlatStep(optimizer, [shape if name == "table" else None for name, (shape, _) in own.items()]))
    gradients: list[Tensor] = []
    for name, (shape, dtype) in members.items():
        if name == "table":
            gradients += [Tensor([2, 0, 2], mindspore.int32), _ones((3, *shape[1:]), dtype)]
        else:
            gradients.append(_ones(shape, dtype))
    return Step((Steps(steps[0], steps[1:]), *gradients))


def _built(spec: OptimizerSpec, setting: dict[str, Any], members: dict[str, Any]) -> Any:
    can = spec.capabilities
    owned = {name: Parameter(_ones(*of), name=name) for name, of in members.items()}
    kernel = owned.pop("kernel")
    groups = [
        {"params": list(owned.values()), **({"weight_decay": 0.1} if can.weight_decay != "none" else {})},
        {"params": [kernel], **({"grad_centralization": True} if can.centralization else {})},
        {"order_params": [kernel if name == "kernel" else owned[name] for name in members]},
    ]
    rate = next((h for h in spec.hyperparameters if h.kind == "rate"), None)
    if rate is not None and rate.goes_with({**spec.defaults, **setting}):
        setting["learning_rate"] = RATES if can.dynamic_rates else RATES[0]
    if can.loss_scale:
        setting["loss_scale"] = SCALE
    return tinyms_core.get_optimizer(spec.name)(groups, **setting)


def _of_network(spec: OptimizerSpec) -> Step:
    """A step of training: there is no other of such an optimizer."""
    net = SmallNetwork()
    optimizer = tinyms_core.get_optimizer(spec.name)(net, **network_arguments(spec, full=True))
    return Step((nn.TrainOneStepCell(NetworkLoss(net), optimizer), *batch()), ("network-", "Gradients/"))


def _settings_of(spec: OptimizerSpec) -> tuple[dict[str, Any], ...]:
    """Values of an optimizer's hyperparameters, with flags off and on."""
    wraps = spec.capabilities.wraps_optimizer
    found = settings_of(spec) if wraps else Subject(spec, "graph", "float32").settings
    return tuple(_fitting(spec, dict(setting)) for setting in found)


def _fitting(spec: OptimizerSpec, setting: dict[str, Any]) -> dict[str, Any]:
    """The values without those that a flag among them rules out."""
    known = {**spec.defaults, **setting}
    allowed = {h.name for h in spec.hyperparameters if h.goes_with(known)}
    return {name: value for name, value in setting.items() if name in allowed}


def _ones(shape: tuple[int, ...], dtype: str) -> Tensor:
    return mindspore.ops.ones(shape, getattr(mindspore, dtype))

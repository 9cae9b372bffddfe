"""A small network, its data, and an optimizer that is built from it: what checks of such optimizers are made of."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import mindspore
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from tinyms_core.conformance.catalog import CheckFailure, check
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.tables import Made
from tinyms_core.conformance.trial import Snapshot, values_of
from tinyms_core.conformance.values import LOSS_SCALE, other_value
from tinyms_core.optimizer.dtypes import dtype_name
from tinyms_core.optimizer.modes import execution_mode
from tinyms_core.registry.hyperparameters import Hyperparameter
from tinyms_core.registry.probe import resolve
from tinyms_core.registry.specs import Capabilities, OptimizerSpec

STEPS: Final = 5
NEEDS: Final = "a declared consumes_network"
ROWS: Final = 8
_DECAY: Final = 0.01
_RATE: Final = 0.02


def of_network(can: Capabilities) -> bool:
    """Whether an optimizer is built from a network."""
    return can.consumes_network


network_check = functools.partial(check, requirement=of_network, needs=NEEDS, networks=True)
"""Declares a check of every optimizer that is built from a network."""


class SmallNetwork(nn.Cell):
    """A convolution and a table of words, side by side, and a dense layer.

    Arguments:
        frozen: whether the convolution and the dense layer's bias are frozen.
    """

    def __init__(self, frozen: bool = False) -> None:
        super().__init__()
        kernel, table, head = (_numbers(seed, *shape) for seed, shape in enumerate(((2, 1, 3, 3), (5, 3), (2, 35))))
        self.convolution = nn.Conv2d(1, 2, 3, weight_init=Tensor(0.5 * kernel), has_bias=True, bias_init="zeros")
        self.table = nn.Embedding(5, 3, embedding_table=Tensor(table))
        self.head = nn.Dense(35, 2, weight_init=Tensor(0.2 * head), bias_init="zeros")
        self.flatten = nn.Flatten()
        if frozen:
            for parameter in (self.convolution.weight, self.convolution.bias, self.head.bias):
                parameter.requires_grad = False

    def construct(self, images: Any, words: Any) -> Any:
        seen = self.flatten(ops.tanh(self.convolution(images)))
        return self.head(ops.concat((seen, self.table(words)), 1))


class NetworkLoss(nn.Cell):
    """The mean squared error of a network, times a loss scale."""

    def __init__(self, network: nn.Cell, scale: float = 1.0) -> None:
        super().__init__(auto_prefix=False)
        self.network = network
        self.scale = scale

    def construct(self, images: Any, words: Any, targets: Any) -> Any:
        return ops.square(self.network(images, words) - targets).mean() * self.scale


class _Step(nn.Cell):
    """Gradients of a loss, and a step with them."""

    def __init__(self, loss: nn.Cell, optimizer: Any) -> None:
        super().__init__(auto_prefix=False)
        self.loss = loss
        self.optimizer = optimizer
        self.weights = optimizer.parameters
        self.gradient = ops.GradOperation(get_by_list=True)

    def construct(self, images: Any, words: Any, targets: Any) -> Any:
        gradients = self.gradient(self.loss, self.weights)(images, words, targets)
        return ops.depend(images, self.optimizer(gradients))


def _numbers(seed: int, *shape: int) -> Any:
    return np.random.default_rng([11, seed]).standard_normal(shape).astype(np.float32)


def arrays() -> tuple[Any, Any, Any]:
    """Images, words and targets of one batch, which the network can learn."""
    targets = 0.5 * _numbers(8, ROWS, 2)
    return _numbers(7, ROWS, 1, 4, 4), (np.arange(ROWS) % 5).astype(np.int32), targets


def batch() -> tuple[Tensor, Tensor, Tensor]:
    """The same as Tensors."""
    images, words, targets = arrays()
    return Tensor(images), Tensor(words), Tensor(targets)


def network_arguments(spec: OptimizerSpec, full: bool = False) -> dict[str, Any]:
    """Arguments beside the network.

    What has no default is what the first row of the plugin's table of accepted arguments says, or what the
    declaration allows. Whole numbers are the smallest that are allowed, so that what is done each so many steps is.

    Arguments:
        spec: the declaration.
        full: whether all other options are on.

    Raises:
        CheckFailure: nothing says what an argument may be.
    """
    table = resolve(spec.accepted) if spec.accepted else ()
    row: Mapping[str, Any] = table[0] if table else {}
    given = {}
    for h in spec.hyperparameters:
        if h.name in row:
            value = row[h.name]
            given[h.name] = value.make() if isinstance(value, Made) else value
        elif h.by_step and (h.kind == "rate" or h.required or full):
            given[h.name] = Tensor(np.float32(_RATE))
        elif h.kind == "decay":
            given[h.name] = _DECAY
        elif h.name == LOSS_SCALE:
            given[h.name] = 1.0
        elif h.kind == "int":
            given[h.name] = _smallest(h)
        elif h.free and h.required:
            raise CheckFailure(
                f"the argument {h.name!r} has no default, and the first row of the table of accepted arguments, "
                "OptimizerSpec.accepted, does not say what it may be"
            )
        elif h.required or (full and not h.inert and not h.free):
            given[h.name] = other_value(h)
    return given


def _smallest(declared: Hyperparameter) -> int:
    low, _, with_low, _ = declared.bounds
    if not np.isfinite(low):
        return int(other_value(declared))
    return int(low) if with_low else int(low) + 1


class NetworkTrial:
    """An optimizer under test with a network of its own.

    Arguments:
        subject: the subject.
        full: whether all options are on.
        frozen: whether some of the network's parameters are frozen.
        scale: what the loss is multiplied by; the optimizer is told where it takes a loss scale.
        changes: other arguments.

    Attributes:
        network: the network.
        optimizer: the optimizer.
    """

    def __init__(
        self,
        subject: Subject,
        *,
        full: bool = False,
        frozen: bool = False,
        scale: float = 1.0,
        **changes: Any,
    ) -> None:
        given = {**network_arguments(subject.spec, full), **changes}
        if scale != 1.0:
            given[LOSS_SCALE] = scale
        self.network = SmallNetwork(frozen)
        self.loss = NetworkLoss(self.network, scale)
        self.optimizer = subject.optimizer_class(self.network, **given)
        cell = _Step(self.loss, self.optimizer)
        self._step: Callable[..., Any] = mindspore.jit(cell.construct) if subject.mode == "jit" else cell

    def step(self) -> None:
        """One step on the batch."""
        self._step(*batch())

    def run(self, steps: int) -> NetworkTrial:
        """Some steps."""
        for _ in range(steps):
            self.step()
        return self

    def kept(self) -> dict[str, Parameter]:
        """All Parameters of the optimizer but the network's, by name."""
        own = {id(parameter) for parameter in self.network.get_parameters()}
        return {p.name: p for p in self.optimizer.get_parameters() if id(p) not in own}

    def snapshot(self) -> Snapshot:
        """All values as they are now, copied."""
        parameters, kept = {p.name: p for p in self.network.get_parameters()}, self.kept()
        return Snapshot(
            parameters={name: values_of(parameter) for name, parameter in parameters.items()},
            state={name: values_of(parameter) for name, parameter in kept.items()},
            dtypes={n: dtype_name(p.dtype) or str(p.dtype).lower() for n, p in {**parameters, **kept}.items()},
            global_step=self.count(),
            compilations=0,
        )

    def count(self) -> int:
        """The number of steps that the optimizer has counted."""
        return int(self.optimizer.global_step.asnumpy().reshape(-1)[0])

    def mean_loss(self) -> float:
        """The loss of the batch, without a scale."""
        images, words, targets = arrays()
        outputs = self.network(Tensor(images), Tensor(words)).asnumpy()
        return float(np.square(outputs - targets).mean())

    def release(self) -> None:
        """Let go of the network, for an optimizer that holds on to it."""
        detach = getattr(self.optimizer, "detach", None)
        if detach is not None:
            detach()


def network_history(subject: Subject, mode: str = "", full: bool = False) -> tuple[Snapshot, ...]:
    """What network and optimizer hold at first and after each of some steps; run once and kept."""
    return _kept_history(_Key(subject.spec, mode or subject.mode, full))


@dataclass(frozen=True)
class _Key:
    spec: OptimizerSpec
    mode: str
    full: bool


@functools.lru_cache(maxsize=12)
def _kept_history(key: _Key) -> tuple[Snapshot, ...]:
    with execution_mode(key.mode):
        trial = NetworkTrial(Subject(key.spec, key.mode), full=key.full)
        snapshots = [trial.snapshot()]
        for _ in range(STEPS):
            trial.step()
            snapshots.append(trial.snapshot())
    return tuple(snapshots)

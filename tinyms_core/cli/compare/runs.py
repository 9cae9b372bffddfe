"""One training, until an accuracy is reached: how many steps it took, and how many seconds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import mindspore
import numpy as np
from mindspore import Tensor, nn

from tinyms_core.cli.compare.tasks import Part, Task, batches
from tinyms_core.cli.errors import CommandError
from tinyms_core.optimizer.create import create_optimizer
from tinyms_core.optimizer.modes import execution_mode

# Steps that compile and fill caches; what they change is taken back before the clock starts.
_WARM_UP: Final = 2


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        optimizer: the optimizer's name.
        seed: of weights, order and moves.
        steps: after how many steps the accuracy was looked at.
        accuracies: the accuracies.
        seconds: the time that training had taken by then, without the looking.
        target: the accuracy to reach.
    """

    optimizer: str
    seed: int
    steps: tuple[int, ...]
    accuracies: tuple[float, ...]
    seconds: tuple[float, ...]
    target: float

    @property
    def reached(self) -> int | None:
        """Which look was the first to see the target reached; None where none was."""
        return next((k for k, accuracy in enumerate(self.accuracies) if accuracy >= self.target), None)

    @property
    def steps_taken(self) -> float:
        """Steps to the target; infinite where it was not reached."""
        return float("inf") if self.reached is None else float(self.steps[self.reached])

    @property
    def seconds_taken(self) -> float:
        """Seconds to the target; infinite where it was not reached."""
        return float("inf") if self.reached is None else self.seconds[self.reached]

    @property
    def best(self) -> float:
        """The best accuracy that was seen."""
        return max(self.accuracies)

    def to_dict(self) -> dict[str, Any]:
        """The fields, and where the target was reached, as a dict that ``json.dumps`` takes."""
        return {**asdict(self), "reached_at_step": None if self.reached is None else self.steps[self.reached]}


def train_until(
    task: Task,
    train: Part,
    judge: Part,
    optimizer: str,
    hyperparameters: Mapping[str, Any],
    seed: int,
    mode: str,
    limit: int | None = None,
) -> Run:
    """Train until the target is reached, or the limit.

    Args:
        task: What to learn.
        train: What to learn from.
        judge: What the accuracy is of.
        optimizer: The optimizer's name.
        hyperparameters: With what it is built, the learning rate among them.
        seed: Of weights, order and moves.
        mode: ``"graph"`` or ``"pynative"``.
        limit: After how many steps to give up; the task's own unless it is given.

    Returns:
        The run. Its clock counts forward and backward passes and updates, not compilation.

    Raises:
        CommandError: If the optimizer refuses the hyperparameters.
    """
    with execution_mode(mode):
        mindspore.set_seed(seed)
        network = task.network()
        built = _build(optimizer, network, hyperparameters)
        loss = nn.SoftmaxCrossEntropyWithLogits(sparse=True, reduction="mean")
        step = nn.TrainOneStepCell(nn.WithLossCell(network, loss), built)
        source = batches(train, task.batch_size, seed)
        images = Tensor(judge.images)
        _warm_up(step, built, network, images, next(batches(train, task.batch_size, seed)))
        looks = []
        seconds = 0.0
        for number in range(1, (limit or task.limit) + 1):
            batch = next(source)
            step.set_train(True)
            began = time.perf_counter()
            value = float(step(*batch).asnumpy())
            seconds += time.perf_counter() - began
            if number % task.interval == 0:
                looks.append((number, _accuracy(network, images, judge.labels), seconds))
            if not np.isfinite(value) or (looks and looks[-1][1] >= task.target):
                break
        let_go(built)
    steps, accuracies, times = zip(*(looks or [(number, 0.0, seconds)]), strict=True)
    return Run(optimizer, seed, steps, accuracies, times, task.target)


def _build(name: str, network: nn.Cell, hyperparameters: Mapping[str, Any]) -> Any:
    try:
        return create_optimizer(name, network, **hyperparameters)
    except (TypeError, ValueError) as error:
        shown = ", ".join(f"{key}={value}" for key, value in hyperparameters.items())
        raise CommandError(f"{name!r} refuses {shown}: {error}") from error


def _warm_up(step: nn.Cell, optimizer: Any, network: nn.Cell, images: Tensor, batch: tuple[Tensor, Tensor]) -> None:
    """Compile and fill caches, and leave weights and state as they were."""
    cells = {id(p): p for p in (*network.get_parameters(), *optimizer.get_parameters())}.values()
    before = [np.array(parameter.asnumpy()) for parameter in cells]
    step.set_train(True)
    for _ in range(_WARM_UP):
        step(*batch).asnumpy()
    network.set_train(False)
    network(images).asnumpy()
    for parameter, values in zip(cells, before, strict=True):
        # In place, since what was compiled keeps the memory of a Parameter.
        np.copyto(parameter.asnumpy(), values)


def _accuracy(network: nn.Cell, images: Tensor, labels: Any) -> float:
    network.set_train(False)
    return float(np.mean(network(images).asnumpy().argmax(axis=1) == labels))


def let_go(optimizer: Any) -> None:
    """Let go of the network, for an optimizer that looks at it."""
    detach = getattr(optimizer, "detach", None)
    if detach is not None:
        detach()

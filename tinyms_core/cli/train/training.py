"""Training one optimizer through MindSpore's ``Model``, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import mindspore
import numpy as np
from mindspore import dataset, nn

from tinyms_core.cli.errors import CommandError
from tinyms_core.cli.train.configuration import COSINE, Configuration, cosine_rates
from tinyms_core.cli.train.data import Digits, RandomShift
from tinyms_core.cli.train.network import SmallLeNet
from tinyms_core.cli.train.step_time import TIMED_STEPS, StepTime, time_step
from tinyms_core.optimizer.create import create_optimizer
from tinyms_core.optimizer.modes import execution_mode
from tinyms_core.registry.api import optimizer_info

MODES = {"graph": mindspore.GRAPH_MODE, "pynative": mindspore.PYNATIVE_MODE}

# Called after each step, with the epoch (from 1) and the mean loss of the epoch before.
Progress = Callable[[int, float | None], None]


@dataclass(frozen=True)
class Settings:
    """What is the same for every optimizer of a run.

    Attributes:
        mode: ``"graph"`` or ``"pynative"``.
        seed: of the weights, of the order of images and of their moves.
        epochs: how often each image is seen.
        batch_size: images in a step.
    """

    mode: str
    seed: int
    epochs: int
    batch_size: int


@dataclass(frozen=True)
class Result:
    """What came of training with one optimizer.

    Attributes:
        configuration: with what it was built.
        steps_per_epoch: steps in an epoch.
        losses: the loss of each step.
        train_loss: mean loss of the last epoch.
        accuracy: share of held-out images that are classified rightly.
        steps_per_second: whole training steps, without the first, which compiles.
        step_time: what the optimizer's own step takes; None where it takes part in the network's passes.
        seconds: training and judging, compilation included.
    """

    configuration: Configuration
    steps_per_epoch: int
    losses: tuple[float, ...]
    train_loss: float
    accuracy: float
    steps_per_second: float
    step_time: StepTime | None
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict that ``json.dumps`` takes."""
        return asdict(self)


class _Recorder(mindspore.Callback):  # type: ignore[misc]
    """Keeps the losses; they are read once an epoch, since reading waits for the step."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self.losses: list[float] = []
        self.first_step_end = 0.0
        self._pending: list[Any] = []
        self._progress = progress
        self._epoch_loss: float | None = None

    def on_train_step_end(self, run_context: Any) -> None:
        parameters = run_context.original_args()
        self._pending.append(parameters.net_outputs)
        if not self.first_step_end:
            parameters.net_outputs.asnumpy()
            self.first_step_end = time.perf_counter()
        self._progress(parameters.cur_epoch_num, self._epoch_loss)

    def on_train_epoch_end(self, run_context: Any) -> None:
        values = [float(loss.asnumpy()) for loss in self._pending]
        self._pending.clear()
        self.losses += values
        self._epoch_loss = sum(values) / len(values)


def train_one(configuration: Configuration, settings: Settings, digits: Digits, progress: Progress) -> Result:
    """Train a new network with one optimizer, and judge it with the digits that were held out.

    Args:
        configuration: With what to build the optimizer.
        settings: What is the same for every optimizer.
        digits: What to learn.
        progress: Called after each step.

    Returns:
        The result.

    Raises:
        CommandError: If the optimizer refuses the configuration.
        TinymsOptimError: If there is no such optimizer, or its plugin is broken.
    """
    with execution_mode(settings.mode):
        mindspore.set_seed(settings.seed)
        batches = _batches(digits.train_images, digits.train_labels, settings.batch_size, shuffle=True)
        # In one thread, so that the moves are the same in every run.
        batches = batches.map(RandomShift(settings.seed), input_columns=["image"], num_parallel_workers=1)
        steps_per_epoch = batches.get_dataset_size()
        network = SmallLeNet()
        optimizer = _build(configuration, network, steps_per_epoch * settings.epochs)
        loss = nn.SoftmaxCrossEntropyWithLogits(sparse=True, reduction="mean")
        model = mindspore.Model(network, loss, optimizer, metrics={"accuracy"})
        recorder = _Recorder(progress)
        began = time.perf_counter()
        model.train(settings.epochs, batches, callbacks=[recorder], dataset_sink_mode=False)
        trained = time.perf_counter()
        # All at once: another shape, such as a smaller last batch, would compile another graph.
        held_out = _batches(digits.test_images, digits.test_labels, len(digits.test_labels), shuffle=False)
        accuracy = model.eval(held_out, dataset_sink_mode=False)["accuracy"]
        seconds = time.perf_counter() - began
        apart = not optimizer_info(configuration.optimizer).capabilities.consumes_network
        step_time = time_step(optimizer, settings.mode) if apart else None
    return Result(
        configuration=configuration,
        steps_per_epoch=steps_per_epoch,
        losses=tuple(recorder.losses),
        train_loss=float(np.mean(recorder.losses[-steps_per_epoch:])),
        accuracy=float(accuracy),
        steps_per_second=(len(recorder.losses) - 1) / (trained - recorder.first_step_end),
        step_time=step_time,
        seconds=seconds,
    )


def _build(configuration: Configuration, network: nn.Cell, steps: int) -> Any:
    rate: Any = configuration.learning_rate
    if configuration.schedule == COSINE:
        # At the rate of zero, timing leaves the weights as they were trained.
        rate = [*cosine_rates(configuration.learning_rate, steps), *[0.0] * TIMED_STEPS]
    try:
        return create_optimizer(
            configuration.optimizer,
            network,
            learning_rate=rate,
            weight_decay=configuration.weight_decay,
            around=configuration.around or None,
            **configuration.hyperparameters,
        )
    except (TypeError, ValueError) as error:
        raise CommandError(f"{configuration.optimizer!r} refuses {configuration.describe()}: {error}") from error


def _batches(images: Any, labels: Any, size: int, *, shuffle: bool) -> Any:
    whole = dataset.NumpySlicesDataset((images, labels), column_names=["image", "label"], shuffle=shuffle)
    return whole.batch(size, drop_remainder=True)

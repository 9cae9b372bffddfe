"""Training at several rates: how the loss falls with the best, and how much the rate matters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import mindspore
import numpy as np
from mindspore import Tensor, nn

from tinyms_core.cli.compare.runs import let_go
from tinyms_core.cli.compare.tasks import Part, batches
from tinyms_core.cli.gallery.rates import best
from tinyms_core.cli.gallery.text import ALPHABET, load_text, windows
from tinyms_core.cli.gallery.transformer import CharacterTransformer
from tinyms_core.cli.train.data import load
from tinyms_core.cli.train.network import SmallLeNet
from tinyms_core.optimizer.create import create_optimizer

_SEED: Final = 1
# Of the last steps, whose mean loss judges a rate.
_LAST: Final = 10
# Rates that train for longer where trials are short, since some fail only then.
_FINALISTS: Final = 3

DIGITS_BATCH: Final = 128
TEXT_BATCH: Final = 16
TEXT_LENGTH: Final = 32

Batches = Iterator[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Lesson:
    """Something to learn.

    Attributes:
        name: what the user calls it.
        network: builds the network anew.
        batches: begins with the batches anew.
        rates: that are tried.
        trial: steps of a trial.
        steps: steps of the training that is shown; the best rates train for as many where trials are shorter.
    """

    name: str
    network: Callable[[], nn.Cell]
    batches: Callable[[], Batches]
    rates: tuple[float, ...]
    trial: int
    steps: int

    @property
    def finalists(self) -> int:
        """How many rates train again, for longer."""
        return _FINALISTS if self.steps != self.trial else 0


@dataclass(frozen=True)
class Course:
    """What came of learning.

    Attributes:
        lesson: the lesson's name.
        trials: the mean loss over the last steps of a trial, for each rate; infinite where one was no number.
        learning_rate: the best rate.
        losses: with it, at each step.
    """

    lesson: str
    trials: Mapping[float, float]
    learning_rate: float
    losses: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict that ``json.dumps`` takes, with None for infinity."""
        trials = {f"{rate:g}": loss if np.isfinite(loss) else None for rate, loss in self.trials.items()}
        return {**asdict(self), "trials": trials}


def digits_lesson(rates: tuple[float, ...], trial: int = 60, steps: int = 60) -> Lesson:
    """Handwritten digits and the network of ``tinyms-optim train``."""
    digits = load()
    part = Part(digits.train_images, digits.train_labels)
    return Lesson("digits", SmallLeNet, lambda: batches(part, DIGITS_BATCH, _SEED), rates, trial, steps)


def text_lesson(rates: tuple[float, ...], trial: int = 25, steps: int = 150) -> Lesson:
    """Characters of a text that comes with Python, and a small transformer."""
    text = load_text()

    def network() -> nn.Cell:
        return CharacterTransformer(len(ALPHABET), TEXT_LENGTH)

    return Lesson("text", network, lambda: windows(text, TEXT_LENGTH, TEXT_BATCH, _SEED), rates, trial, steps)


def train(lesson: Lesson, optimizer: str, rate: float, arguments: Mapping[str, Any], steps: int) -> tuple[float, ...]:
    """Train a new network with a fixed rate, and return the loss at each step, up to one that is no number."""
    mindspore.set_seed(_SEED)
    network = lesson.network()
    built = create_optimizer(optimizer, network, learning_rate=rate, **arguments)
    loss = nn.CrossEntropyLoss()
    step = nn.TrainOneStepCell(nn.WithLossCell(network, loss), built)
    step.set_train(True)
    losses: list[float] = []
    for _, batch in zip(range(steps), lesson.batches(), strict=False):
        losses.append(float(step(*batch).asnumpy()))
        if not np.isfinite(losses[-1]):
            break
    let_go(built)
    return tuple(losses)


def learn(lesson: Lesson, optimizer: str, arguments: Mapping[str, Any], advance: Callable[[], None]) -> Course:
    """Try every rate, and show the best.

    Args:
        lesson: What to learn.
        optimizer: The optimizer's name.
        arguments: With what it is built besides.
        advance: Called after each training, of which there are `trainings`.
    """

    def trained(rate: float, steps: int) -> tuple[float, ...]:
        losses = train(lesson, optimizer, rate, arguments, steps)
        advance()
        return losses

    courses = {rate: trained(rate, lesson.trial) for rate in lesson.rates}
    trials = {rate: reached(losses) for rate, losses in courses.items()}
    if lesson.finalists:
        ranked = sorted(lesson.rates, key=lambda rate: trials[rate])
        courses = {rate: trained(rate, lesson.steps) for rate in ranked[: lesson.finalists]}
    chosen = best(list(courses), lambda rate: reached(courses[rate]))
    return Course(lesson.name, trials, chosen, courses[chosen])


def trainings(lesson: Lesson) -> int:
    """How many trainings there are in a lesson."""
    return len(lesson.rates) + min(lesson.finalists, len(lesson.rates))


def reached(losses: tuple[float, ...]) -> float:
    """The mean of the last losses; infinite where one was no number."""
    return float(np.mean(losses[-_LAST:])) if np.isfinite(losses[-1]) else float("inf")

"""What optimizers are compared on: data in three parts, a network, and an accuracy to reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from mindspore import Tensor, nn

from tinyms_core.cli.train.data import RandomShift, load
from tinyms_core.cli.train.network import DeepTanh, SmallLeNet

# Of the training images, for choosing hyperparameters; the split is the same for every seed.
_VALIDATION: Final = 0.2
_SPLIT_SEED: Final = 0


@dataclass(frozen=True)
class Part:
    """Images, of shape (count, 1, 8, 8), and their labels."""

    images: Any
    labels: Any


@dataclass(frozen=True)
class Data:
    """What to learn from, what hyperparameters are chosen on, and what is reported on."""

    train: Part
    validation: Part
    test: Part


@dataclass(frozen=True)
class Task:
    """One thing to learn.

    Attributes:
        name: what the user calls it.
        summary: what it is, in a line.
        network: builds the network anew.
        target: the accuracy to reach.
        limit: after how many steps a run is given up.
        interval: steps from one look at the accuracy to the next.
        batch_size: images in a step.
    """

    name: str
    summary: str
    network: Callable[[], nn.Cell]
    target: float
    limit: int
    interval: int = 2
    batch_size: int = 128

    def to_dict(self) -> dict[str, Any]:
        """The fields but the network, as a dict that ``json.dumps`` takes."""
        return {key: value for key, value in vars(self).items() if key != "network"}


TASKS: Final[Mapping[str, Task]] = MappingProxyType(
    {
        task.name: task
        for task in (
            Task("digits", "handwritten digits, the convolutional network of train", SmallLeNet, 0.95, 120),
            Task("deep-digits", "handwritten digits, six narrow layers of tanh", DeepTanh, 0.93, 500, interval=5),
        )
    }
)


def load_data() -> Data:
    """The digits of ``tinyms-optim train``; what it holds out is the test part, a fifth of the rest validates."""
    from sklearn.model_selection import train_test_split

    digits = load()
    images, validation_images, labels, validation_labels = train_test_split(
        digits.train_images,
        digits.train_labels,
        test_size=_VALIDATION,
        stratify=digits.train_labels,
        random_state=_SPLIT_SEED,
    )
    return Data(
        Part(images, labels),
        Part(validation_images, validation_labels),
        Part(digits.test_images, digits.test_labels),
    )


def batches(part: Part, size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Whole batches without end, in a new order each epoch, every image moved by up to a pixel.

    Args:
        part: The images.
        size: Images in a batch.
        seed: Of order and moves.

    Yields:
        Images and labels.
    """
    generator = np.random.default_rng(seed)
    shift = RandomShift(seed)
    while True:
        order = generator.permutation(len(part.images))
        for first in range(0, len(order) - size + 1, size):
            chosen = order[first : first + size]
            yield Tensor(shift(part.images[chosen])), Tensor(part.labels[chosen])

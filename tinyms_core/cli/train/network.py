"""The networks that are trained, on images of 8x8."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from mindspore import nn


class SmallLeNet(nn.Cell):  # type: ignore[misc]
    """Two convolutions, each with normalization, and two dense layers.

    Args:
        classes: How many classes there are.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            nn.Conv2d(1, 8, 3, pad_mode="same"),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2, 2),
            nn.Conv2d(8, 16, 3, pad_mode="same"),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dense(256, 64),
            nn.ReLU(),
            nn.Dense(64, classes),
        )

    def construct(self, images: Any) -> Any:
        """Return the scores of images."""
        return self.layers(images)


class DeepTanh(nn.Cell):  # type: ignore[misc]
    """Six narrow layers of tanh, which carry little gradient back to the first.

    Args:
        classes: How many classes there are.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        widths = [64, 48, 48, 48, 48, 48, 48]
        hidden = [nn.Dense(before, after, activation="tanh") for before, after in pairwise(widths)]
        self.layers = nn.SequentialCell(nn.Flatten(), *hidden, nn.Dense(widths[-1], classes))

    def construct(self, images: Any) -> Any:
        """Return the scores of images."""
        return self.layers(images)

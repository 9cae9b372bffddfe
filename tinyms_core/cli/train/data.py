"""The handwritten digits that scikit-learn's package carries, split for training and for judging."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

# Of the grey levels, 0 to 16, in the package's images.
_DEEPEST: Final = 16.0
_PAPER: Final = -1.0
HELD_OUT: Final = 0.2
# The split is the same for every seed, so that runs differ in weights and order alone.
_SPLIT_SEED: Final = 0


@dataclass(frozen=True)
class Digits:
    """Images of shape (count, 1, 8, 8) with values from -1 to 1, and their labels.

    Attributes:
        train_images, train_labels: what to learn from.
        test_images, test_labels: what was held out, with the same share of each digit.
    """

    train_images: npt.NDArray[np.float32]
    train_labels: npt.NDArray[np.int32]
    test_images: npt.NDArray[np.float32]
    test_labels: npt.NDArray[np.int32]


def load() -> Digits:
    """Load the 1,797 digits and hold a fifth of them out.

    Returns:
        The digits; nothing is downloaded.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch: Any = load_digits()
    images = (bunch.images / (_DEEPEST / 2) - 1).astype(np.float32)[:, np.newaxis]
    labels = bunch.target.astype(np.int32)
    split = train_test_split(images, labels, test_size=HELD_OUT, stratify=labels, random_state=_SPLIT_SEED)
    train_images, test_images, train_labels, test_labels = split
    return Digits(train_images, train_labels, test_images, test_labels)


class RandomShift:
    """Moves each image by at most one pixel in each direction, so that the network learns shapes, not places.

    Args:
        seed: Of the moves.
    """

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def __call__(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return moved images.

        Args:
            images: A batch, of shape (count, 1, height, width).

        Returns:
            A batch of the same shape; paper comes in from the edges.
        """
        count, _, height, width = images.shape
        padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=_PAPER)
        down, right = self._generator.integers(0, 3, (2, count, 1, 1))
        rows = down + np.arange(height)[:, np.newaxis]
        columns = right + np.arange(width)
        moved: npt.NDArray[np.float32] = padded[np.arange(count)[:, np.newaxis, np.newaxis], 0, rows, columns]
        return moved[:, np.newaxis]

"""A text that comes with Python, as characters to learn from: the help on the language that ``pydoc`` shows."""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from mindspore import Tensor

ALPHABET: Final = string.ascii_letters + string.digits + string.punctuation + " \n"
"""The characters; others are left out."""


def load_text() -> Any:
    """The text, as places in the alphabet."""
    from pydoc_data.topics import topics

    places = {character: place for place, character in enumerate(ALPHABET)}
    whole = "\n".join(topics[name] for name in sorted(topics))
    return np.array([places[character] for character in whole if character in places], np.int32)


def windows(text: Any, length: int, size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches without end: pieces of the text from anywhere, and each character's successor.

    Args:
        text: Places in the alphabet.
        length: Characters in a piece.
        size: Pieces in a batch.
        seed: Of where the pieces are.

    Yields:
        Pieces, of shape (size, length), and the successors, of shape (size * length,).
    """
    generator = np.random.default_rng(seed)
    offsets = np.arange(length)
    while True:
        first = generator.integers(0, len(text) - length, (size, 1))
        yield Tensor(text[first + offsets]), Tensor(text[first + offsets + 1].ravel())

"""A small transformer that reads characters."""

from __future__ import annotations

from typing import Any

import mindspore
import numpy as np
from mindspore import Tensor, nn, ops


class Attention(nn.Cell):  # type: ignore[misc]
    """Each place looks at those before it and at itself.

    Args:
        width: Numbers at a place.
        heads: How many ways of looking there are.
        length: Places.
    """

    def __init__(self, width: int, heads: int, length: int) -> None:
        super().__init__()
        self.heads = heads
        self.width = width
        self.length = length
        self.query = nn.Dense(width, width)
        self.key = nn.Dense(width, width)
        self.value = nn.Dense(width, width)
        self.merge = nn.Dense(width, width)
        self.hidden = Tensor(np.triu(np.full((length, length), -1e9, np.float32), 1))
        self.scale = (width // heads) ** -0.5

    def construct(self, places: Any) -> Any:
        """Return what each place has seen."""
        seen = ops.matmul(self._split(self.query(places)), self._split(self.key(places)).swapaxes(2, 3))
        weights = ops.softmax(seen * self.scale + self.hidden, -1)
        mixed = ops.matmul(weights, self._split(self.value(places))).swapaxes(1, 2)
        return self.merge(mixed.reshape((-1, self.length, self.width)))

    def _split(self, places: Any) -> Any:
        parts = places.reshape((-1, self.length, self.heads, self.width // self.heads))
        return parts.swapaxes(1, 2)


class Block(nn.Cell):  # type: ignore[misc]
    """Attention and two dense layers, each beside a way past it.

    Args:
        width, heads, length: As for `Attention`.
    """

    def __init__(self, width: int, heads: int, length: int) -> None:
        super().__init__()
        self.first_norm = nn.LayerNorm((width,))
        self.attention = Attention(width, heads, length)
        self.second_norm = nn.LayerNorm((width,))
        self.widen = nn.Dense(width, 4 * width)
        self.narrow = nn.Dense(4 * width, width)

    def construct(self, places: Any) -> Any:
        """Return the places after the block."""
        places = places + self.attention(self.first_norm(places))
        return places + self.narrow(ops.relu(self.widen(self.second_norm(places))))


class CharacterTransformer(nn.Cell):  # type: ignore[misc]
    """Scores of the next character at each place.

    Args:
        characters: How many there are.
        length: Places.
        width: Numbers at a place.
        heads: Of attention.
        blocks: How many.
    """

    def __init__(self, characters: int, length: int, width: int = 48, heads: int = 4, blocks: int = 2) -> None:
        super().__init__()
        self.characters = characters
        self.embedding = nn.Embedding(characters, width, embedding_table="normal")
        self.position = nn.Embedding(length, width, embedding_table="normal")
        self.blocks = nn.SequentialCell(*(Block(width, heads, length) for _ in range(blocks)))
        self.norm = nn.LayerNorm((width,))
        self.head = nn.Dense(width, characters)
        self.places = Tensor(np.arange(length), mindspore.int32)

    def construct(self, characters: Any) -> Any:
        """Return scores, of shape (pieces * length, characters)."""
        places = self.embedding(characters) + self.position(self.places)
        return self.head(self.norm(self.blocks(places))).reshape((-1, self.characters))

"""Random numbers for parameters and gradients, made again each time they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, Final

import numpy as np

from tinyms_core.cli.bench.shapes import ShapeSet

# Of the random values, which are repeated: making as many as the largest set has would take longer than its steps.
_PERIOD: Final = 2**20


class Numbers:
    """An array for each shape of a set, the same ones whenever it is gone through.

    Args:
        shapes: The set.
        seed: Of the random numbers.
    """

    def __init__(self, shapes: ShapeSet, seed: int) -> None:
        self._shapes = shapes.shapes
        self._numbers = np.random.default_rng(seed).standard_normal(_PERIOD).astype(np.float32)

    def __iter__(self) -> Iterator[np.ndarray[Any, np.dtype[np.float32]]]:
        for shape in self._shapes:
            # np.resize would keep a whole period alive behind each small array.
            array = np.empty(prod(shape), np.float32)
            for first in range(0, array.size, _PERIOD):
                part = array[first : first + _PERIOD]
                part[:] = self._numbers[: part.size]
            yield array.reshape(shape)

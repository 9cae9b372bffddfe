"""How many bytes a step has to move, and how fast the memory moves bytes at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from tinyms_core.kernels.batch import CHUNK, PARALLEL_ELEMENTS
from tinyms_core.kernels.threads import run_ranges, thread_count
from tinyms_core.registry.specs import OptimizerSpec

_BYTES: Final = 4
# Each of the two arrays that are copied; more would fill the memory and is no slower for each byte.
_LARGEST_ARRAY: Final = 256 * 2**20


def step_bytes(spec: OptimizerSpec, elements: int) -> int:
    """Return the bytes that a step over float32 parameters reads and writes at least.

    Args:
        spec: The optimizer.
        elements: Elements of all parameters together.

    Returns:
        The bytes: parameter, gradient and state are read, parameter and state are written. An optimizer that
        needs a number over a whole tensor walks the memory twice: the first pass reads all and writes the state,
        the second reads parameter and state and writes the parameter.
    """
    slots = sum(slot.shape == "like" and not slot.given for slot in spec.state)
    moves = 3 + 2 * slots
    if spec.capabilities.wraps_optimizer:
        # A pass before the other optimizer's step reads parameter and gradient.
        moves += 2
    elif spec.capabilities.layerwise:
        moves += 1 + slots
    return moves * elements * _BYTES


class Passes:
    """Plain passes over as many bytes as a step moves, with as many threads as a step of its size uses.

    Small steps stay in the processor's caches and so do their passes, hence arrays for each step's size.

    Args:
        traffic: Bytes that are read and written together.
        elements: Elements of the step, which decide about threads.
    """

    def __init__(self, traffic: int, elements: int) -> None:
        length = max(1, min(traffic // 2, _LARGEST_ARRAY) // _BYTES)
        self.bytes = 2 * length * _BYTES
        self.source = np.ones(length, np.float32)
        self.target = np.zeros(length, np.float32)
        self._chunks = -(-length // CHUNK)
        self._threads = thread_count() if elements >= PARALLEL_ELEMENTS else 1

    def copy(self) -> None:
        """Copy one array to the other: most processors also fetch what is overwritten, which is not counted."""
        self._run(lambda part: np.copyto(self.target[part], self.source[part]))

    def rewrite(self) -> None:
        """Change one array in place, as a step does: what is written was read before."""
        self._run(lambda part: np.negative(self.source[part], out=self.source[part]))

    def _run(self, work: Callable[[slice], object]) -> None:
        def run(first: int, last: int) -> None:
            work(slice(first * CHUNK, last * CHUNK))

        run_ranges(run, self._chunks, self._threads)

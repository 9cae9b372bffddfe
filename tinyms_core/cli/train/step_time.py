"""What an optimizer's own step takes, measured apart from the network's forward and backward pass."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import numpy as np
from mindspore import Tensor
from mindspore.graph.api import _pynative_executor

_WARM_UP: Final = 5
_STEPS: Final = 50
TIMED_STEPS: Final = _WARM_UP + _STEPS
_HOW: Final = {
    "pynative": "the call optimizer(gradients)",
    "graph": "the call optimizer(gradients), a graph of the optimizer alone, with the launch of the graph",
}


@dataclass(frozen=True)
class StepTime:
    """What a step takes.

    Attributes:
        milliseconds: median.
        how: what was measured.
    """

    milliseconds: float
    how: str


def time_step(optimizer: Any, mode: str) -> StepTime:
    """Time an optimizer's step, in the mode that is set; it changes the parameters.

    Args:
        optimizer: The optimizer, after training.
        mode: The mode, for the description.

    Returns:
        The median over steps with the same gradients, from the call to the end of all work that it queued;
        the first steps, which compile and warm up, do not count.
    """
    generator = np.random.default_rng(0)
    gradients = tuple(
        Tensor(generator.standard_normal(parameter.shape).astype(np.float32)) for parameter in optimizer.parameters
    )
    seconds = []
    for step in range(TIMED_STEPS):
        began = time.perf_counter()
        optimizer(gradients)
        wait(optimizer)
        if step >= _WARM_UP:
            seconds.append(time.perf_counter() - began)
    how = f"median of {_STEPS} steps after {_WARM_UP}: {_HOW[mode]}, from fixed gradients until the work is done"
    return StepTime(median(seconds) * 1e3, how)


def wait(optimizer: Any) -> None:
    """Wait for the work that an optimizer's step queued."""
    _pynative_executor.sync()
    # A graph's launch may return before it is done; the step number is what it writes last.
    optimizer.global_step.asnumpy()

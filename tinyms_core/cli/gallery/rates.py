"""The learning rates that are tried, and which of them is the best."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import numpy as np

from tinyms_core.cli.around import together
from tinyms_core.cli.train.configuration import configure
from tinyms_core.registry.api import optimizer_info

Tried = TypeVar("Tried")

FINE: Final = tuple(float(f"{10 ** (k / 4):.3g}") for k in range(-14, 5))
"""Quarters of decades, for runs that take no time."""
COARSE: Final = tuple(float(f"{10 ** (k / 2):.3g}") for k in range(-8, 2))
"""Halves of decades, for training."""


def arguments(name: str, around: str) -> dict[str, Any]:
    """With what an optimizer is built beside its rate: what it needs or was tuned to, and no weight decay.

    Args:
        name: The optimizer's name.
        around: The name of the other one, for an optimizer that is built around one.

    Raises:
        CommandError: If it needs a value that nobody gives.
    """
    chosen = configure(name, together(name, around), learning_rate=1.0, weight_decay=0.0).hyperparameters
    return {**chosen, **({"around": around} if optimizer_info(name).capabilities.wraps_optimizer else {})}


def best(tried: list[Tried], score: Callable[[Tried], float]) -> Tried:
    """The one with the least score that is a number; of several, the first; the first of all where there is none."""
    scores = [score(one) for one in tried]
    finite = [value if np.isfinite(value) else float("inf") for value in scores]
    return tried[int(np.argmin(finite))]

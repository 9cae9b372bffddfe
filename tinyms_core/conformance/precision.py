"""How far from the float64 oracle an optimizer is: the largest error that comparisons have seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyms_core.conformance.compare import magnitude


@dataclass
class Precision:
    """What comparisons with the oracle have seen.

    Attributes:
        largest: the largest error, relative to the larger of the element and its tensor's root mean square; None
            before the first comparison.
    """

    largest: float | None = None


_current: ContextVar[Precision | None] = ContextVar("tinyms_precision", default=None)


@contextmanager
def measured() -> Iterator[Precision]:
    """Collect what is noted inside the ``with`` block."""
    seen = Precision()
    token = _current.set(seen)
    try:
        yield seen
    finally:
        _current.reset(token)


def note(actual: Any, expected: Any) -> None:
    """Take down the error of a tensor; where either side is not finite there is none to speak of."""
    seen = _current.get()
    one, other = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    if seen is None or not one.size or one.shape != other.shape:
        return
    with np.errstate(all="ignore"):
        error = np.where(one == other, 0.0, np.abs(one - other) / magnitude(other))
    finite = error[np.isfinite(error)]
    if finite.size:
        seen.largest = max(seen.largest or 0.0, float(finite.max()))

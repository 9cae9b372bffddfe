"""How far from the float64 oracle an optimizer is: the largest error that comparisons have seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinyms_core.conformance.compare import magnitude


@dataclass
class Precision:
    """What comparisons with the oracle have seen.

    Attributes:
        largest: by the dtype of parameters, the largest error, relative to the larger of the element and its
            tensor's root mean square.
    """

    largest: dict[str, float] = field(default_factory=dict)


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


def note(actual: Any, expected: Any, dtype: str) -> None:
    """Take down the error of a parameter of a dtype, or of its state; where a side is not finite there is none."""
    seen = _current.get()
    one, other = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    if seen is None or not one.size or one.shape != other.shape:
        return
    with np.errstate(all="ignore"):
        error = np.where(one == other, 0.0, np.abs(one - other) / magnitude(other))
    finite = error[np.isfinite(error)]
    if finite.size:
        seen.largest[dtype] = max(seen.largest.get(dtype, 0.0), float(finite.max()))

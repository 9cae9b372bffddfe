"""Comparisons that say, where they fail, which element of which tensor is wrong and by how much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from tinyms_core.conformance.catalog import CheckFailure
from tinyms_core.conformance.rounding import NARROW, Array, unit

TOLERANCES: Final = {"float32": 2e-6, "float64": 1e-12}
"""Allowed error over 20 steps, relative to the larger of the element and its tensor's root mean square."""

LIMIT: Final = 50.0
"""How many times the tolerance may be allowed where rounding alone moves the numbers so far; beyond it, nothing is."""

# Of the elements of a 16-bit parameter, how many may be rounded the other way: those that lie, to within
# the error of float32, in the middle between two numbers. Rounding that is not to the nearest misses half.
_OTHER_WAY: Final = 0.05


def require(condition: object, message: str) -> None:
    """Fail the check unless a condition holds.

    Raises:
        CheckFailure: it does not hold.
    """
    if not condition:
        raise CheckFailure(message)


def require_close(
    actual: Any,
    expected: Any,
    dtype: str,
    what: str,
    tolerance: float | None = None,
    allowance: Callable[[], Array] | None = None,
) -> None:
    """Compare elementwise, with the tolerance of a dtype.

    Arguments:
        actual: what the optimizer has.
        expected: what is right.
        dtype: ``"float32"`` or ``"float64"``.
        what: the tensor and the step, for the message.
        tolerance: another tolerance than the dtype's.
        allowance: how far rounding can move each element; asked for where the tolerance is not kept.

    Raises:
        CheckFailure: an element differs by more, or is NaN in one alone.
    """
    actual, expected = _pair(actual, expected, what)
    if not actual.size:
        return
    allowed = (TOLERANCES[dtype] if tolerance is None else tolerance) * magnitude(expected)
    same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        error = np.where(same, 0.0, np.abs(actual - expected))
    bad = ~(error <= allowed)
    if bad.any() and allowance is not None:
        distance = allowance()
        bad &= ~((error <= distance) & (distance <= LIMIT * allowed))
    if bad.any():
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(np.isnan(error), np.inf, error / allowed)
        raise CheckFailure(_difference(actual, expected, bad, ratio, what))


def require_rounded(actual: Any, expected: Any, dtype: str, what: str) -> None:
    """Compare a 16-bit parameter with its value rounded to the nearest.

    Every element must be within one unit in the last place, and nearly all of them equal.

    Raises:
        CheckFailure: an element is further off, or too many are not rounded to the nearest.
    """
    actual, expected = _pair(actual, expected, what)
    with np.errstate(invalid="ignore"):
        error = np.where(actual == expected, 0.0, np.abs(actual - expected))
    units = error / np.maximum(unit(actual, dtype), unit(expected, dtype))
    bad = ~(units <= 1.0)
    if bad.any():
        raise CheckFailure(_difference(actual, expected, bad, units, what) + f"; more than one unit of {dtype}")
    count = int((error > 0).sum())
    if count > max(2, _OTHER_WAY * actual.size):
        raise CheckFailure(
            f"{what}: {count} of {actual.size} elements are not the {dtype} number nearest to the right value; "
            "a parameter must be rounded to the nearest, once, from arithmetic in float32"
        )


def require_parameter(
    actual: Any, expected: Any, dtype: str, what: str, allowance: Callable[[], Array] | None = None
) -> None:
    """Compare a parameter of any dtype with its value rounded to the dtype."""
    if dtype in NARROW:
        require_rounded(actual, expected, dtype, what)
    else:
        require_close(actual, expected, dtype, what, allowance=allowance)


def require_same(actual: Any, expected: Any, what: str) -> None:
    """Compare bit for bit.

    Raises:
        CheckFailure: an element differs.
    """
    actual, expected = _pair(actual, expected, what)
    bad = ~((actual == expected) | (np.isnan(actual) & np.isnan(expected)))
    if bad.any():
        with np.errstate(invalid="ignore"):
            error = np.abs(actual - expected)
        raise CheckFailure(_difference(actual, expected, bad, error, what) + "; they must be equal bit for bit")


def _pair(actual: Any, expected: Any, what: str) -> tuple[Array, Array]:
    one, other = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    if one.shape != other.shape:
        raise CheckFailure(f"{what}: shape {one.shape}, expected {other.shape}")
    return one, other


def magnitude(expected: Array) -> Array:
    """What errors are relative to: of each element, the larger of it and the tensor's root mean square."""
    finite = np.where(np.isfinite(expected), expected, 0.0)
    largest = float(np.max(np.abs(finite)))
    if largest == 0.0:
        return np.zeros_like(expected)
    # Scaled first, so that the squares of very large or small elements neither overflow nor vanish.
    root_mean_square = largest * float(np.sqrt(np.mean(np.square(finite / largest))))
    return np.asarray(np.maximum(np.abs(finite), root_mean_square), np.float64)


def _difference(actual: Array, expected: Array, bad: Any, error: Any, what: str) -> str:
    worst = np.unravel_index(int(np.argmax(np.where(bad, error, -1.0))), actual.shape)
    place = f"[{', '.join(str(int(i)) for i in worst)}]" if worst else ""
    return (
        f"{what}: {int(bad.sum())} of {actual.size} elements differ; the worst{place and ' is ' + place}: "
        f"{float(actual[worst])!r}, expected {float(expected[worst])!r}"
    )

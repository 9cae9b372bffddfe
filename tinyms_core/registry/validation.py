"""Checks of arguments, with errors that name the argument, the value and what would be right."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np


def is_number(value: object) -> bool:
    """Whether a value is an int or a float, of Python or numpy; a bool is not."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)


def is_default(value: object, default: object) -> bool:
    """Whether an argument has its default; a value that gives no plain answer to ``==``, as an array does, has not."""
    if isinstance(value, bool | int | float | str | np.generic):
        return bool(value == default)
    return value is default


def as_float(value: Any) -> float:
    """A number as a Python float; infinite where it is too large for one, as a long int may be."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def describe(value: object) -> str:
    """A value as an error shows it: its text, cut when long, and its type."""
    text = repr(value)
    if len(text) > 80:
        text = text[:77] + "..."
    return f"{text} of type {type(value).__name__}"


def number(owner: str, name: str, value: Any, interval: str) -> float:
    """Take an int or a float as a float inside an interval.

    Arguments:
        owner: the optimizer's name, for the error.
        name: the argument's name, for the error.
        value: what was given.
        interval: such as ``"[0, inf)"``.

    Returns:
        The value as a Python float.

    Raises:
        TypeError: not a number.
        ValueError: NaN, or outside the interval.
    """
    if not is_number(value):
        raise TypeError(f"{owner}: '{name}' must be a float or an int in {interval}, got {describe(value)}")
    return inside(owner, name, as_float(value), interval)


def strict_float(owner: str, name: str, value: Any, interval: str) -> float:
    """Take a float, of Python or numpy, inside an interval; an int is refused.

    Arguments, returns and raises are those of `number`.
    """
    if isinstance(value, float | np.floating):
        return inside(owner, name, float(value), interval)
    hint = f"; write {as_float(value)!r}" if is_number(value) else ""
    raise TypeError(f"{owner}: '{name}' must be a float in {interval}, got {describe(value)}{hint}")


def flag(owner: str, name: str, value: Any, interval: str = "") -> bool:
    """Take a bool and nothing else.

    Raises:
        TypeError: not a bool.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{owner}: '{name}' must be True or False, got {describe(value)}")
    return value


def integer(owner: str, name: str, value: Any, interval: str) -> int:
    """Take an int inside an interval.

    Raises:
        TypeError: not an int.
        ValueError: outside the interval.
    """
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise TypeError(f"{owner}: '{name}' must be an int in {interval}, got {describe(value)}")
    inside(owner, name, as_float(value), interval)
    return int(value)


def floats(owner: str, name: str, value: Any, interval: str, count: int) -> tuple[float, ...]:
    """Take a tuple or list of some floats, of Python or numpy, each inside an interval.

    Arguments and raises are those of `strict_float`, with ``count`` for how many there must be.
    """
    if not isinstance(value, tuple | list):
        raise TypeError(f"{owner}: '{name}' must be a tuple of {count} floats in {interval}, got {describe(value)}")
    if len(value) != count:
        raise ValueError(f"{owner}: '{name}' must hold {count} floats in {interval}, got {len(value)}: {value!r}")
    return tuple(strict_float(owner, f"{name}[{i}]", item, interval) for i, item in enumerate(value))


# How each kind of hyperparameter is taken.
KINDS: dict[str, Callable[[str, str, Any, str], Any]] = {
    "float": strict_float,
    "number": number,
    "flag": flag,
    "int": integer,
}


def inside(owner: str, name: str, value: float, interval: str) -> float:
    """Return the value if it lies in the interval.

    Raises:
        ValueError: NaN, or outside.
    """
    low, high = (float(part) for part in interval[1:-1].split(","))
    above = value > low if interval[0] == "(" else value >= low
    below = value < high if interval[-1] == ")" else value <= high
    if math.isnan(value) or not (above and below):
        raise ValueError(f"{owner}: '{name}' must be in {interval}, got {value!r}")
    return value

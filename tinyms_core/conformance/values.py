"""Values for hyperparameters, made from their declarations: good ones that differ from the default, and bad ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tinyms_core.registry.hyperparameters import Hyperparameter

BASE_KINDS = ("rate", "decay")
LOSS_SCALE = "loss_scale"


def of_optimizer(hyperparameters: tuple[Hyperparameter, ...]) -> tuple[Hyperparameter, ...]:
    """Those hyperparameters that are the optimizer's own: not the rate, the decay or the loss scale."""
    return tuple(h for h in hyperparameters if h.kind not in BASE_KINDS and h.name != LOSS_SCALE)


def default_value(declared: Hyperparameter) -> Any:
    """The default, or a good value where there is none."""
    return other_value(declared) if declared.required else declared.default


def other_value(declared: Hyperparameter) -> Any:
    """A value that is allowed and is not the default.

    Arguments:
        declared: a hyperparameter of kind float, number, int, flag, floats, or of kind any with a default.

    Returns:
        The value; the default itself where the declaration names no other.
    """
    if declared.kind == "flag":
        return False if declared.required else not declared.default
    if declared.kind == "floats":
        # A sum would hide a change of a tiny number, so each is moved as far as one of usual size would be.
        return tuple(next(v for v in (d + 0.05, d - 0.05, d) if inside(v, declared)) for d in declared.default)
    if declared.kind not in ("float", "number", "int"):
        return None if declared.required else declared.default
    for candidate in _candidates(declared):
        whole = declared.kind == "int"
        value: float | int = round(candidate) if whole else float(candidate)
        if inside(value, declared) and (declared.required or value != declared.default):
            return value
    return None if declared.required else declared.default


def _candidates(declared: Hyperparameter) -> list[float]:
    low, high, _, _ = declared.bounds
    found: list[float] = []
    default = declared.default
    if isinstance(default, int | float) and not isinstance(default, bool) and default != 0:
        small = abs(default) < 1e-3
        # A change of an already tiny number would not be seen in float32.
        found.append(math.copysign(math.sqrt(abs(default)), default) if small else 0.8 * default)
        found += [default + 1, default - 1]
    elif default == 0:
        found += [0.05, 1, -0.05, -1]
    if math.isfinite(low) and math.isfinite(high):
        found.append(low + 0.7 * (high - low))
    found += [0.6, low + 0.6, high - 0.6, 2, -2]
    return [value for value in found if math.isfinite(value)]


def inside(value: float, declared: Hyperparameter) -> bool:
    """Whether a number lies in the declared interval."""
    low, high, with_low, with_high = declared.bounds
    return (value > low or (with_low and value == low)) and (value < high or (with_high and value == high))


@dataclass(frozen=True)
class BadValue:
    """A value that a constructor has to refuse.

    Attributes:
        value: the value.
        error: the exception that says so.
        why: what is wrong with it, for the report.
        shown: text that the message must hold, beside the argument's name; empty where any will do.
    """

    value: Any
    error: type[Exception]
    why: str
    shown: str = ""


def bad_values(declared: Hyperparameter) -> list[BadValue]:
    """Values that a hyperparameter's declaration rules out.

    Arguments:
        declared: a hyperparameter of kind float, number, int, flag or floats.

    Returns:
        Values of wrong types, NaN, and values outside each end of the interval.
    """
    bad = [BadValue("0.5", TypeError, "a str", "0.5"), BadValue([0.5], TypeError, "a list", "0.5")]
    if declared.required or declared.default is not None:
        bad.append(BadValue(None, TypeError, "None", "None"))
    if declared.kind == "floats":
        return _bad_floats(declared)
    if declared.kind == "flag":
        bad += [BadValue(1, TypeError, "an int for a bool", "1"), BadValue(0.0, TypeError, "a float for a bool", "0.0")]
        return bad
    bad.append(BadValue(True, TypeError, "a bool", "True"))
    if declared.kind == "int":
        bad.append(BadValue(1.5, TypeError, "a float for an int", "1.5"))
    else:
        bad.append(BadValue(math.nan, ValueError, "NaN", "nan"))
    if declared.kind == "float":
        bad.append(BadValue(1, TypeError, "an int for a float", "1"))
    return bad + _outside(declared)


def _bad_floats(declared: Hyperparameter) -> list[BadValue]:
    """Values that are no tuple of as many floats, or hold one that is not allowed, in each place."""
    good = declared.default
    bad = [
        BadValue("0.5", TypeError, "a str", "0.5"), BadValue(None, TypeError, "None", "None"),
        BadValue(0.5, TypeError, "one float", "0.5"), BadValue(True, TypeError, "a bool", "True"),
        BadValue(good[:-1], ValueError, "one too few"), BadValue((*good, 0.5), ValueError, "one too many", "0.5"),
    ]  # fmt: skip
    wrong = [BadValue(1, TypeError, "an int", "1"), BadValue("0.5", TypeError, "a str", "0.5")]
    wrong += [BadValue(math.nan, ValueError, "NaN", "nan"), *_outside(declared)]
    for place in range(len(good)):
        for value in wrong:
            spoilt = (*good[:place], value.value, *good[place + 1 :])
            bad.append(BadValue(spoilt, value.error, f"{value.why} in place {place}", value.shown))
    return bad


def _outside(declared: Hyperparameter) -> list[BadValue]:
    low, high, with_low, with_high = declared.bounds
    bad: list[BadValue] = []
    for end, with_end, beyond, why in ((low, with_low, -1.0, "below"), (high, with_high, 1.0, "above")):
        outside = [end + beyond] if math.isfinite(end) else []
        if not with_end:
            outside.append(end)
        for number in outside:
            whole = declared.kind == "int"
            if whole and not math.isfinite(number):
                continue
            value: float | int = int(number) if whole else float(number)
            bad.append(BadValue(value, ValueError, f"{why} {declared.interval}", repr(value)))
    return bad

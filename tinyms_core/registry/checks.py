"""Checks of a specification's fields; each names the field, its value and what would be right."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection
from typing import Any

from tinyms_core.registry.errors import InvalidSpecError
from tinyms_core.registry.names import is_optimizer_name

_NUMBER = r"\s*-?(?:inf|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*"
_INTERVAL = re.compile(rf"[\[(]{_NUMBER},{_NUMBER}[\])]")
_CONTRACT = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)")


def refuse(field: str, value: object, right: str) -> InvalidSpecError:
    """Return the error for a field whose value is not right."""
    return InvalidSpecError(f"{field} must be {right}, got {type(value).__name__}: {value!r}")


def check_text(field: str, value: object) -> None:
    """Require a string, which may be empty."""
    if not isinstance(value, str):
        raise refuse(field, value, "a str")


def check_identifier(field: str, value: object) -> None:
    """Require a Python identifier."""
    if not isinstance(value, str) or not value.isidentifier():
        raise refuse(field, value, "a Python identifier")


def is_dotted(value: object) -> bool:
    """Say whether a value is one or more identifiers joined by dots."""
    return isinstance(value, str) and all(part.isidentifier() for part in value.split("."))


def check_dotted(field: str, value: object) -> None:
    """Require identifiers joined by dots, such as a module's name."""
    if not is_dotted(value):
        raise refuse(field, value, "identifiers joined by dots")


def check_choice(field: str, value: object, choices: Collection[str]) -> None:
    """Require one of some strings."""
    if not isinstance(value, str) or value not in choices:
        raise refuse(field, value, "one of " + ", ".join(repr(choice) for choice in choices))


def check_flag(field: str, value: object) -> None:
    """Require True or False."""
    if not isinstance(value, bool):
        raise refuse(field, value, "True or False")


def check_whole(field: str, value: object) -> None:
    """Require an int that is not a bool."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise refuse(field, value, "an int")


def check_finite(field: str, value: object) -> None:
    """Require a finite real number."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise refuse(field, value, "a finite number")


def check_name(field: str, value: object) -> None:
    """Require a name that an optimizer can have."""
    if not isinstance(value, str) or not is_optimizer_name(value):
        raise refuse(field, value, "a letter followed by letters, digits, '_' or '-', such as 'adam_weight_decay'")


def check_qualified_name(field: str, value: object) -> None:
    """Require an optimizer's name, or ``distribution:name``."""
    own_name = value.rpartition(":")[2] if isinstance(value, str) else ""
    if not is_optimizer_name(own_name) or str(value).startswith(":"):
        raise refuse(field, value, "an optimizer's name such as 'adam', or 'distribution:name'")


def check_contract(field: str, value: object) -> None:
    """Require a version of two numbers."""
    if not isinstance(value, str) or _CONTRACT.fullmatch(value) is None:
        raise refuse(field, value, "a version of two numbers, such as '1.0'")


def is_import_string(value: object) -> bool:
    """Say whether a value is ``module:qualified_name``."""
    if not isinstance(value, str):
        return False
    module, separator, qualified_name = value.partition(":")
    return bool(separator) and is_dotted(module) and is_dotted(qualified_name)


def check_tuple(
    field: str, value: object, check: Callable[[str, object], None], *, empty: bool = True
) -> tuple[Any, ...]:
    """Require a tuple or list of distinct values that each pass a check.

    Returns:
        The values as a tuple, so that the specification that holds them can be hashed.
    """
    # A bare string is an iterable of letters: the commonest slip, and a silent one.
    if not isinstance(value, (tuple, list)):
        raise refuse(field, value, "a tuple")
    if not value and not empty:
        raise refuse(field, value, "a tuple of at least one value")
    for position, item in enumerate(value):
        check(f"{field}[{position}]", item)
        if item in value[:position]:
            raise refuse(field, value, f"a tuple of distinct values, and {item!r} is there twice")
    return tuple(value)


def check_instance(kind: type) -> Callable[[str, object], None]:
    """Return a check that requires an instance of a class."""

    def check(field: str, value: object) -> None:
        if not isinstance(value, kind):
            raise refuse(field, value, f"an instance of {kind.__name__}")

    return check


def check_float(field: str, value: object) -> None:
    """Require a finite float that is not an int."""
    if not isinstance(value, float) or not math.isfinite(value):
        raise refuse(field, value, "a finite float")


def check_interval(field: str, value: object) -> None:
    """Require an interval such as ``[0, inf)``, with its lower end first."""
    if not isinstance(value, str) or _INTERVAL.fullmatch(value) is None or not operator.le(*interval_ends(value)):
        raise refuse(field, value, "an interval such as '[0, inf)' or '(0, 1)'")


def check_floats(field: str, value: object) -> None:
    """Require a tuple of at least one finite float."""
    if not isinstance(value, tuple) or not value:
        raise refuse(field, value, "a tuple of floats")
    for position, item in enumerate(value):
        check_float(f"{field}[{position}]", item)


def check_inside(field: str, value: float, interval: str) -> None:
    """Require a number inside an interval."""
    low, high = interval_ends(interval)
    above = operator.ge if interval.startswith("[") else operator.gt
    below = operator.le if interval.endswith("]") else operator.lt
    if not (above(value, low) and below(value, high)):
        raise refuse(field, value, f"in {interval}")


def interval_ends(interval: str) -> tuple[float, float]:
    """Return an interval's ends."""
    low, high = interval[1:-1].split(",")
    return float(low), float(high)

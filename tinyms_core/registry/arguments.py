"""An optimizer's hyperparameters as they are given, checked against their declarations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinyms_core.registry.hyperparameters import Hyperparameter
from tinyms_core.registry.validation import KINDS, describe, floats


def contradiction(owner: str, declared: Hyperparameter, value: Any, values: Mapping[str, Any]) -> ValueError:
    """The error for a value that another one rules out."""
    flag_name = declared.only_with_flag
    return ValueError(
        f"{owner}: '{declared.name}' must be {declared.default!r} with {flag_name}={values[flag_name]}, "
        f"got {describe(value)}; give it with {flag_name}={not values[flag_name]}"
    )


def checked_hyperparameters(
    owner: str, declared: tuple[Hyperparameter, ...], given: Mapping[str, Any]
) -> dict[str, Any]:
    """The hyperparameters, each checked against its declaration.

    Raises:
        TypeError: one is unknown, missing, or of a wrong type.
        ValueError: one is out of range, or does not go with another.
    """
    names = {h.name for h in declared}
    unknown = sorted(set(given) - names)
    if unknown:
        raise TypeError(f"{owner}: unknown hyperparameter(s) {unknown}; the spec declares {sorted(names)}")
    values: dict[str, Any] = {}
    for h in declared:
        if h.name not in given and h.required:
            raise TypeError(f"{owner}: the hyperparameter {h.name!r} is required")
        values[h.name] = taken_as(owner, h, h.name, given.get(h.name, h.default))
    require_together(owner, declared, values)
    return values


def require_together(owner: str, declared: tuple[Hyperparameter, ...], values: Mapping[str, Any]) -> None:
    """Refuse values that do not go with each other.

    Raises:
        ValueError: one is given that a flag rules out.
    """
    for h in declared:
        if not h.goes_with(values) and values[h.name] != h.default:
            raise contradiction(owner, h, values[h.name], values)


def taken_as(owner: str, declared: Hyperparameter, place: str, value: Any) -> Any:
    """A hyperparameter's value, checked; errors call it by the place where it was given."""
    if declared.free or (value is None and declared.default is None):
        return value
    if declared.kind == "floats":
        return floats(owner, place, value, declared.interval, len(declared.default))
    return KINDS[declared.kind](owner, place, value, declared.interval)

"""Specifications as plain data, for JSON."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any


class PlainFields:
    """Gives a dataclass ``to_dict``."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as values that ``json.dumps`` takes.

        Returns:
            A dictionary in the order of the fields: tuples as lists, ``REQUIRED`` as ``"REQUIRED"``, classes
            as ``"module:name"``, and anything else that JSON does not have as its ``repr``.
        """
        return {name: _plain(value) for name, value in vars(self).items()}


def _plain(value: object) -> Any:
    if isinstance(value, PlainFields):
        return value.to_dict()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return implementation_name(value)


def implementation_name(implementation: object) -> str:
    """Return an implementation as text, whether it was given as an import string or as the object."""
    if isinstance(implementation, str):
        return implementation
    qualified_name = getattr(implementation, "__qualname__", None)
    if qualified_name is None:
        return repr(implementation)
    return f"{getattr(implementation, '__module__', '')}:{qualified_name}"

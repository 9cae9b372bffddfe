"""Versions of what results depend on, without importing any of it."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Final

_DISTRIBUTIONS: Final = ("tinyms-core", "mindspore", "numpy", "numba")


def installed_version(distribution: str) -> str | None:
    """Return a distribution's version, or None where it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def versions(*more: str) -> dict[str, str | None]:
    """Return the versions of Python and of distributions, None for one that is not installed.

    Args:
        more: Distributions beside those that every command depends on.
    """
    found: dict[str, str | None] = {"python": platform.python_version()}
    found.update({name: installed_version(name) for name in (*_DISTRIBUTIONS, *more)})
    return found

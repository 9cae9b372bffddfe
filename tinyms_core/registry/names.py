"""How the names of optimizers and distributions are compared."""

from __future__ import annotations

import re
from typing import NamedTuple

_OPTIMIZER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_DISTRIBUTION_SEPARATORS = re.compile(r"[-_.]+")


class AskedName(NamedTuple):
    """A name as a user asked for it, taken apart.

    ``distribution`` is canonical, and empty where the user named none; ``folded`` is what is compared.
    """

    text: str
    distribution: str
    folded: str


def fold(name: str) -> str:
    """Return the form in which two spellings of one optimizer name are equal.

    Example:
        >>> fold("AdamWeightDecay") == fold("adam_weight_decay") == fold("adam-weight-decay")
        True
    """
    return name.casefold().replace("_", "").replace("-", "")


def canonical_distribution(name: str) -> str:
    """Return a distribution's name as package indexes compare it.

    Example:
        >>> canonical_distribution("TinyMS_Adam")
        'tinyms-adam'
    """
    return _DISTRIBUTION_SEPARATORS.sub("-", name.strip()).casefold()


def is_optimizer_name(name: str) -> bool:
    """Say whether a name can be an optimizer's: a letter, then letters, digits, ``_`` and ``-``."""
    return _OPTIMIZER_NAME.fullmatch(name) is not None


def parse_asked(name: object) -> AskedName:
    """Take apart ``"name"`` or ``"distribution:name"``.

    Arguments:
        name: What the user asked for.

    Returns:
        The parts, ready to be compared.

    Raises:
        TypeError: If ``name`` is not a string.

    Example:
        >>> parse_asked("TinyMS_Adam:Adam")
        AskedName(text='TinyMS_Adam:Adam', distribution='tinyms-adam', folded='adam')
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a str such as 'adam' or 'tinyms-adam:adam', got {type(name).__name__}: {name!r}")
    distribution, separator, own_name = name.partition(":")
    if not separator:
        return AskedName(name, "", fold(name.strip()))
    return AskedName(name, canonical_distribution(distribution), fold(own_name.strip()))

"""Optimizers that are deliberately wrong: what the conformance kit has to notice."""

from __future__ import annotations

from tests.conformance.defects import (
    construction,
    execution,
    groups,
    identity,
    learning,
    networks,
    numbers,
    sparse,
    state,
    wrapping,
)
from tests.conformance.defects.planting import PLANTED, Defect
from tests.conformance.defects.sound import TWINS as PLAIN_TWINS

__all__ = [
    "DEFECTS",
    "TWINS",
    "Defect",
    "construction",
    "execution",
    "groups",
    "identity",
    "learning",
    "networks",
    "numbers",
    "sparse",
    "state",
    "wrapping",
]

DEFECTS: tuple[Defect, ...] = tuple(PLANTED)

TWINS = (*PLAIN_TWINS, wrapping.SoundRelative, networks.SoundNetwork)

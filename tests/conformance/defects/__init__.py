"""Optimizers that are deliberately wrong: what the conformance kit has to notice."""

from __future__ import annotations

from tests.conformance.defects import construction, execution, groups, identity, numbers, sparse, state
from tests.conformance.defects.planting import PLANTED, Defect
from tests.conformance.defects.sound import TWINS

__all__ = [
    "DEFECTS",
    "TWINS",
    "Defect",
    "construction",
    "execution",
    "groups",
    "identity",
    "numbers",
    "sparse",
    "state",
]

DEFECTS: tuple[Defect, ...] = tuple(PLANTED)

"""Optimizers that centralize gradients, in commands with ``--centralize``."""

from __future__ import annotations

from collections.abc import Iterable

from tinyms_core.cli.errors import CommandError
from tinyms_core.registry.api import optimizer_info


def centralizes(name: str) -> bool:
    """Whether an optimizer centralizes gradients of convolutions."""
    return optimizer_info(name).capabilities.centralization


def require_centralization(names: Iterable[str]) -> None:
    """Refuse optimizers that do not centralize.

    Raises:
        CommandError: If one does not.
        TinymsOptimError: If there is no such optimizer, or its plugin is broken.
    """
    for name in names:
        if not centralizes(name):
            raise CommandError(f"--centralize: {name!r} does not centralize gradients; leave it out")

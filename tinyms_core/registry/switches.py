"""The environment variables that keep plugins from being imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from tinyms_core.registry.known import FIRST_PARTY
from tinyms_core.registry.names import canonical_distribution, fold

DISABLE_THIRD_PARTY: Final = "TINYMS_OPTIM_DISABLE_THIRD_PARTY"
ALLOW: Final = "TINYMS_OPTIM_ALLOW"
BLOCK: Final = "TINYMS_OPTIM_BLOCK"

_OFF: Final = frozenset({"", "0", "false", "no", "off"})


@dataclass(frozen=True)
class Switches:
    """The off switches as they were when plugins were looked for.

    Arguments:
        disable_third_party: Whether only this project's distributions are loaded.
        allow: Entry points or distributions, folded; where there are any, nothing else is loaded.
        block: Entry points or distributions, folded, that are not loaded; stronger than ``allow``.
        active: Each variable that is in force, with its text.
    """

    disable_third_party: bool
    allow: frozenset[str]
    block: frozenset[str]
    active: Mapping[str, str]

    def reason_against(self, distribution: str, entry_point: str) -> str:
        """Return why a plugin is not to be loaded, naming the switch, or the empty string.

        Arguments:
            distribution: The distribution's canonical name.
            entry_point: The entry point's name.
        """
        names = {_comparable(distribution), _comparable(entry_point)}
        if self.block & names:
            return f"{BLOCK}={self.active[BLOCK]} blocks it"
        if self.allow and not self.allow & names:
            return f"{ALLOW}={self.active[ALLOW]} does not name it"
        if self.disable_third_party and distribution not in FIRST_PARTY:
            return (
                f"{DISABLE_THIRD_PARTY}={self.active[DISABLE_THIRD_PARTY]} disables it, since the "
                f"distribution {distribution} is not one of this project's"
            )
        return ""


def read_switches(environment: Mapping[str, str]) -> Switches:
    """Read the off switches.

    Arguments:
        environment: The environment variables.

    Returns:
        The switches. ``TINYMS_OPTIM_DISABLE_THIRD_PARTY`` is off when unset, empty, ``0``, ``false``, ``no``
        or ``off``, and on with any other text; the lists are separated by commas, and an empty list is no
        switch.
    """
    disable = environment.get(DISABLE_THIRD_PARTY, "").strip().casefold() not in _OFF
    lists = {variable: _names(environment.get(variable, "")) for variable in (ALLOW, BLOCK)}
    in_force = [variable for variable in (ALLOW, BLOCK) if lists[variable]]
    if disable:
        in_force.insert(0, DISABLE_THIRD_PARTY)
    return Switches(
        disable_third_party=disable,
        allow=lists[ALLOW],
        block=lists[BLOCK],
        active=MappingProxyType({variable: environment[variable] for variable in in_force}),
    )


def _names(text: str) -> frozenset[str]:
    return frozenset(_comparable(part) for part in text.split(",") if part.strip())


def _comparable(name: str) -> str:
    return fold(canonical_distribution(name))

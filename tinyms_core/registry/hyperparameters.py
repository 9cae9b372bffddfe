"""Hyperparameters as data: name, default, kind and range, from which arguments are checked and tests are made."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from tinyms_core.registry import checks
from tinyms_core.registry.plain import PlainFields

# float: a float, not an int. number: a float or an int. floats: as many floats as the default has. rate and
# decay: what the base takes as a learning rate and as a weight decay. listed: a Tensor of one value, or of one for
# each step. any: neither. The last two are checked by the optimizer itself.
KINDS: Final = ("float", "number", "int", "flag", "floats", "rate", "decay", "listed", "any")

# Kinds that the base leaves to the optimizer itself.
_FREE: Final = ("listed", "any")

# Kinds that may have a value for each step, which a Tensor holds.
_BY_STEP: Final = ("rate", "listed")

# What a default must be, for the kinds that can be judged without the optimizer.
_DEFAULT_CHECKS: Final = MappingProxyType(
    {
        "float": checks.check_float,
        "number": checks.check_finite,
        "int": checks.check_whole,
        "flag": checks.check_flag,
        "floats": checks.check_floats,
    }
)


class Required(enum.Enum):
    """The class of ``REQUIRED``."""

    REQUIRED = "REQUIRED"

    def __repr__(self) -> str:
        return self.value


REQUIRED: Final = Required.REQUIRED
"""Stands for the default value of a hyperparameter that has none."""


# The values of a kind, where a declaration does not say; the base takes no other rates and decays.
_INTERVALS: Final = MappingProxyType({"rate": "[0, inf)", "decay": "[0, inf)", "listed": "[0, inf)"})


@dataclass(frozen=True)
class Hyperparameter(PlainFields):
    """One argument of an optimizer's constructor.

    Arguments:
        name: the argument's name, which is also the rule's name for it.
        default: its default value, ``REQUIRED`` when there is none, None for one that may be left out.
        interval: the values it may have, such as ``"(0, 1)"`` or ``"[0, inf)"``; left out, every finite value, or
            for a rate, a decay and a listed value every one >= 0.
        kind: ``"float"``, ``"number"`` (a float or an int), ``"int"``, ``"flag"``, ``"floats"`` (a tuple or list
            of as many floats as the default has, each in the interval), ``"rate"`` (a learning rate), ``"decay"``
            (a weight decay), ``"listed"`` (a Tensor of one value, or of one for each step), or ``"any"``: checked by
            the optimizer itself.
        saved_as: name of the Parameter that holds it, for one that a checkpoint brings along.
        inert: why the argument changes nothing, for one that is accepted for compatibility only.
        only_with: the flag that must be True for the argument to be given, or ``"not "`` and the flag that must be
            False; otherwise it has to stay at its default. Empty where it goes with everything.

    Raises:
        InvalidSpecError: a field cannot be; the message names it.

    Example:
        >>> from tinyms_core import Hyperparameter
        >>> Hyperparameter("beta1", 0.9, "(0, 1)").required
        False
    """

    name: str
    # Left out of the hash alone: a default may be a list, and equal declarations still have equal hashes.
    default: Any = field(default=REQUIRED, hash=False)
    interval: str = ""
    kind: str = "float"
    saved_as: str = ""
    inert: str = ""
    only_with: str = ""

    def __post_init__(self) -> None:
        checks.check_identifier("Hyperparameter.name", self.name)
        checks.check_choice("Hyperparameter.kind", self.kind, KINDS)
        if self.interval == "":
            object.__setattr__(self, "interval", _INTERVALS.get(self.kind, "(-inf, inf)"))
        checks.check_interval("Hyperparameter.interval", self.interval)
        if self.saved_as != "":
            checks.check_dotted("Hyperparameter.saved_as", self.saved_as)
        checks.check_text("Hyperparameter.inert", self.inert)
        if self.only_with != "":
            checks.check_identifier("Hyperparameter.only_with", self.only_with_flag)
        if self.default is not None and self.kind in _DEFAULT_CHECKS and not self.required:
            subject = f"Hyperparameter.default of {self.name!r}"
            _DEFAULT_CHECKS[self.kind](subject, self.default)
            if self.kind == "floats":
                for number in self.default:
                    checks.check_inside(subject, number, self.interval)
            elif self.kind != "flag":
                checks.check_inside(subject, self.default, self.interval)

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is REQUIRED

    @property
    def free(self) -> bool:
        """Whether the optimizer checks its values itself."""
        return self.kind in _FREE

    @property
    def by_step(self) -> bool:
        """Whether a Tensor with a value for each step may be given."""
        return self.kind in _BY_STEP

    @property
    def bounds(self) -> tuple[float, float, bool, bool]:
        """Lower and upper bound, and whether each is itself allowed."""
        low, high = checks.interval_ends(self.interval)
        return low, high, self.interval[0] == "[", self.interval[-1] == "]"

    @property
    def only_with_flag(self) -> str:
        """The flag that ``only_with`` names; empty where it names none."""
        return self.only_with.removeprefix("not ")

    def goes_with(self, values: Mapping[str, Any]) -> bool:
        """Whether the argument may be given beside values of the flags."""
        return not self.only_with or bool(values[self.only_with_flag]) != self.only_with.startswith("not ")

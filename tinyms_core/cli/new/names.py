"""The names of a new distribution, all made from the optimizer's."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from tinyms_core.cli.errors import CommandError
from tinyms_core.registry.api import list_optimizers, optimizer_info
from tinyms_core.registry.errors import PluginError, UnknownOptimizerError
from tinyms_core.registry.known import find_known
from tinyms_core.registry.names import fold

_LONGEST: Final = 32
_RIGHT: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_WANTED: Final = "lower-case letters, digits and '_' between them, and begins with a letter, such as 'lion_demo'"

# What the written modules import or define under these names.
_USED: Final = frozenset(
    {
        "Any",
        "Optimizer",
        "OptimizerConformance",
        "Update",
        "in_graphs",
        "math",
        "np",
        "on_host",
        "ops",
        "reference",
        "rule",
    }
)


@dataclass(frozen=True)
class Names:
    """The names of a new distribution.

    Attributes:
        name: the optimizer's, which is the rule's too.
    """

    name: str

    @property
    def title(self) -> str:
        """The class."""
        return "".join(part.capitalize() for part in self.name.split("_"))

    @property
    def package(self) -> str:
        """The package that is imported."""
        return f"{self.name}_optimizer"

    @property
    def distribution(self) -> str:
        """The distribution that is installed."""
        return self.package.replace("_", "-")


def new_names(text: str) -> Names:
    """The names of a new optimizer's distribution.

    Args:
        text: The optimizer's name; ``-`` counts as ``_``.

    Returns:
        The names.

    Raises:
        CommandError: If it cannot be such a name, or is somebody's already; the message says what would be right.
    """
    name = text.replace("-", "_")
    if not _RIGHT.fullmatch(name) or len(name) > _LONGEST:
        close = _close(text)
        raise CommandError(
            f"NAME: {text!r} cannot be an optimizer's name; it has at most {_LONGEST} {_WANTED}"
            + (f"; {close!r} would do" if close else "")
        )
    names = Names(name)
    for used in (name, names.title):
        if keyword.iskeyword(used) or used in _USED:
            raise CommandError(
                f"NAME: {text!r} would make {used!r} a name in Python, which has a meaning there already"
            )
    _require_free(names)
    return names


def _close(text: str) -> str:
    """A right name that is like a wrong one; empty where there is none."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text).lower()
    close = re.sub(r"_+", "_", re.sub(r"[^a-z0-9]+", "_", spaced)).strip("_")[:_LONGEST].strip("_")
    return close if _RIGHT.fullmatch(close) else ""


def _require_free(names: Names) -> None:
    # Listed first, so that a broken plugin is warned of where it is not the one that has the name.
    list_optimizers()
    try:
        owner = f"{optimizer_info(names.name).distribution!r} has installed"
    except UnknownOptimizerError:
        known = find_known(fold(names.name))
        owner = f"{known.distribution!r} has" if known is not None else ""
    except PluginError as error:
        raise CommandError(f"NAME: {names.name!r} is taken: {error}") from error
    if owner:
        raise CommandError(f"NAME: {names.name!r} is the name of an optimizer that {owner}; choose another")
    if find_spec(names.package) is not None:
        raise CommandError(
            f"NAME: for {names.name!r} the package would be {names.package!r}, which is installed already"
        )

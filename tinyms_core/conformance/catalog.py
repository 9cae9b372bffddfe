"""The catalog of checks: what a check is, how one is declared, and how it says what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from tinyms_core.conformance.results import ANY
from tinyms_core.registry.specs import CONTRACT_VERSION, DTYPES, MODES, Capabilities

if TYPE_CHECKING:
    from tinyms_core.conformance.subject import Subject

SUBJECTS: Final = (
    "Identity", "Construction", "Groups and rates", "Numbers", "Sparse", "Execution", "State", "Learning",
)  # fmt: skip

_MODULES: Final = (
    "identity",
    "documentation",
    "construction",
    "arguments",
    "declared",
    "refusals",
    "groups",
    "rates",
    "numbers",
    "peers",
    "preprocessing",
    "edges",
    "options",
    "sparse",
    "execution",
    "training",
    "memory",
    "devices",
    "state",
    "checkpoints",
    "learning",
    "wrapping",
    "network_construction",
    "network_training",
)
_PREFIX: Final = "check_"

CheckFunction = Callable[["Subject"], None]

ONCE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({ANY: (ANY,)})
"""Runs of a check for which neither mode nor dtype makes a difference."""

PYNATIVE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({"pynative": ("float32",)})
"""Runs of a check about numbers that PyNative and float32 decide."""

EVERY_MODE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(dict.fromkeys(MODES, ("float32",)))
"""Runs of a check that each mode decides for itself."""


class CheckFailure(AssertionError):  # noqa: N818 - the word of the field, and not an error of the kit
    """The optimizer does not keep the point that a check is about; the message says how."""


class CheckSkipped(Exception):  # noqa: N818
    """A check cannot say anything here; the message says why."""


@dataclass(frozen=True)
class Check:
    """One point of the contract.

    Attributes:
        name: its name, that of its function without ``check_``.
        subject: what it is about, one of eight.
        summary: what it requires, in a line.
        runs: for each mode that it runs in, the dtypes; ``"any"`` where it makes no difference.
        requirement: which declared capabilities it is for; None for every optimizer.
        needs: the same in words, for the reason of a skip.
        since: the contract version that brought it.
        function: called with the `Subject`; raises where the point is not kept.
        networks: whether it is also for an optimizer that is built from a network.
    """

    name: str
    subject: str
    summary: str
    runs: Mapping[str, tuple[str, ...]]
    requirement: Callable[[Capabilities], bool] | None
    needs: str
    since: str
    function: CheckFunction
    networks: bool = False

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes that it runs in."""
        return tuple(self.runs)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The dtypes that it runs with, in any of its modes."""
        return tuple(dict.fromkeys(dtype for dtypes in self.runs.values() for dtype in dtypes))

    def applies(self, capabilities: Capabilities) -> bool:
        """Whether it is for an optimizer of these capabilities."""
        return self.requirement is None or self.requirement(capabilities)

    def to_dict(self) -> dict[str, Any]:
        """What it is, as a dict that ``json.dumps`` takes."""
        return {
            "name": self.name,
            "subject": self.subject,
            "summary": self.summary,
            "modes": list(self.modes),
            "dtypes": list(self.dtypes),
            "needs": self.needs,
            "since": self.since,
        }


_checks: dict[str, Check] = {}


def check(
    subject: str,
    runs: Mapping[str, tuple[str, ...]] = PYNATIVE,
    *,
    requirement: Callable[[Capabilities], bool] | None = None,
    needs: str = "",
    since: str = CONTRACT_VERSION,
    networks: bool = False,
) -> Callable[[CheckFunction], CheckFunction]:
    """Declare a function to be a check.

    Arguments:
        subject: what it is about, one of eight.
        runs: for each mode that it runs in, the dtypes.
        requirement: which declared capabilities it is for; None for every optimizer.
        needs: the same in words, such as ``"a declared loss_scale"``.
        since: the contract version that brings it.
        networks: whether it is also for an optimizer that is built from a network: it builds none from parameters.

    Returns:
        A decorator that enters the function in the catalog and gives it back.

    Raises:
        ValueError: the function cannot be a check; the message says why.
    """
    for mode, dtypes in runs.items():
        if mode not in (ANY, *MODES) or not set(dtypes) <= {ANY, *DTYPES}:
            raise ValueError(f"check: 'runs' has the unknown mode or dtype {mode!r}: {dtypes}")
    if subject not in SUBJECTS:
        raise ValueError(f"check: 'subject' must be one of {SUBJECTS}, got {subject!r}")
    if (requirement is None) != (needs == ""):
        raise ValueError("check: 'requirement' and 'needs' go together: the function, and what it says in words")

    def declare(function: CheckFunction) -> CheckFunction:
        name = function.__name__.removeprefix(_PREFIX)
        if name == function.__name__ or not function.__doc__:
            raise ValueError(f"check: {function.__name__!r} must be named {_PREFIX}… and have a docstring")
        known = _checks.get(name)
        if known is not None and known.function.__module__ != function.__module__:
            places = f"{known.function.__module__} and {function.__module__}"
            raise ValueError(f"check: {name!r} is there twice, in {places}")
        summary = function.__doc__.strip().partition("\n")[0].rstrip(".")
        held = MappingProxyType(dict(runs))
        _checks[name] = Check(name, subject, summary, held, requirement, needs, since, function, networks)
        return function

    return declare


def list_checks(patterns: Sequence[str] | None = None) -> tuple[Check, ...]:
    """All checks, by subject.

    Arguments:
        patterns: names, with wildcards as in a shell; a check must match one. None for all.

    Returns:
        The checks, in the order of the subjects, then of their declaration.

    Raises:
        ValueError: a pattern matches no check.

    Example:
        >>> [check.name for check in list_checks(["golden_*"])]
        ['golden_trajectory', 'golden_state']
    """
    for module in _MODULES:
        import_module(f"tinyms_core.conformance.{module}")
    ordered = sorted(_checks.values(), key=_place)
    if patterns is None:
        return tuple(ordered)
    if isinstance(patterns, str):
        raise TypeError(f"checks: a sequence of names is wanted, such as [{patterns!r}], got a str")
    for pattern in patterns:
        if not any(fnmatchcase(entry.name, pattern) for entry in ordered):
            raise ValueError(f"checks: no check is named {pattern!r}; there are {', '.join(e.name for e in ordered)}")
    return tuple(entry for entry in ordered if any(fnmatchcase(entry.name, pattern) for pattern in patterns))


def _place(entry: Check) -> tuple[int, int, int]:
    """By subject, module and line, so that the order does not depend on what was imported first."""
    module = entry.function.__module__.rpartition(".")[2]
    known = _MODULES.index(module) if module in _MODULES else len(_MODULES)
    return SUBJECTS.index(entry.subject), known, entry.function.__code__.co_firstlineno


@dataclass(frozen=True)
class Case:
    """A check in one mode with one dtype.

    Attributes:
        check: the check.
        mode: the mode, or ``"any"``.
        dtype: the dtype, or ``"any"``.
        skip: why it is not run; empty where it is.
    """

    check: Check
    mode: str
    dtype: str
    skip: str = ""

    @property
    def identifier(self) -> str:
        """A readable name, such as ``numbers-golden_state-graph-float32``."""
        return "-".join((self.check.subject.lower().replace(" ", "_"), self.check.name, self.mode, self.dtype))


_OF_PARAMETERS: Final = (
    "it builds optimizers from parameters, and gives them gradients of its own; this one is built from a network"
)


def cases_for(
    capabilities: Capabilities,
    checks: Sequence[str] | None = None,
    modes: Sequence[str] | None = None,
    dtypes: Sequence[str] | None = None,
) -> list[Case]:
    """The cases of an optimizer.

    Arguments:
        capabilities: what the optimizer declares.
        checks: names of checks, with wildcards; None for all.
        modes: modes to run in; None for all.
        dtypes: dtypes to run with; None for all. Checks that depend on neither are always there.

    Returns:
        The cases. A check that the optimizer's declaration rules out is there once, with the reason.

    Raises:
        ValueError: a pattern that matches nothing, or an unknown mode or dtype.
    """
    for what, chosen, known in (("modes", modes, MODES), ("dtypes", dtypes, DTYPES)):
        unknown = sorted(set(chosen or ()) - set(known))
        if unknown or isinstance(chosen, str):
            raise ValueError(f"{what}: a sequence of some of {known} is wanted, got {chosen!r}")
    cases: list[Case] = []
    for entry in list_checks(checks):
        if capabilities.consumes_network and not entry.networks:
            cases.append(Case(entry, ANY, ANY, _OF_PARAMETERS))
            continue
        if not entry.applies(capabilities):
            cases.append(Case(entry, ANY, ANY, f"it is for optimizers with {entry.needs}"))
            continue
        declared = list(_runs(entry, capabilities.modes, capabilities.dtypes))
        if not declared:
            wanted = ", ".join(f"{mode}/{dtype}" for mode, dtype in all_runs(entry))
            cases.append(Case(entry, ANY, ANY, f"the optimizer declares none of the modes and dtypes {wanted}"))
        cases += [
            Case(entry, mode, dtype)
            for mode, dtype in declared
            if (modes is None or mode in (ANY, *modes)) and (dtypes is None or dtype in (ANY, *dtypes))
        ]
    return cases


def all_runs(entry: Check) -> list[tuple[str, str]]:
    """Every mode and dtype that a check runs in, for whoever declares them all."""
    return list(_runs(entry, MODES, DTYPES))


def _runs(entry: Check, modes: Sequence[str], dtypes: Sequence[str]) -> Iterator[tuple[str, str]]:
    for mode, own in entry.runs.items():
        for dtype in own:
            if mode in (ANY, *modes) and dtype in (ANY, *dtypes):
                yield mode, dtype

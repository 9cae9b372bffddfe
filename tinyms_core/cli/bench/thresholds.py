"""Goals of ``tinyms-optim bench --thresholds``: what measured values must not exceed or fall below."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from tinyms_core.cli.errors import CommandError
from tinyms_core.cli.output import plain_table

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it.

Row = Mapping[str, Any]


def _ratio_to(kind: str) -> Callable[[Row], float | None]:
    def ratio(row: Row) -> float | None:
        found = (row["peers"].get(kind) or {}).get("ratio_to_ours")
        return found["median"] if found else None

    return ratio


METRICS: Final[Mapping[str, Callable[[Row], float | None]]] = MappingProxyType(
    {
        "of_possible": lambda row: row["roofline"]["of_possible"]["median"] if row["roofline"] else None,
        "torch/tinyms": _ratio_to("torch"),
        "mindspore/tinyms": _ratio_to("mindspore"),
        "milliseconds": lambda row: row["median_ms"],
        "microseconds_per_tensor": lambda row: row["microseconds_per_tensor"],
        "temporaries": lambda row: row["memory"]["fraction"] if row.get("memory") else None,
    }
)
"""What may be asked for, of a row of the results as JSON has it; None where it was not measured."""

_PLACES: Final = ("optimizer", "shapes", "mode", "dtype")
_KEYS: Final = (*_PLACES, "centralize", "metric", "minimum", "maximum")


@dataclass(frozen=True)
class Goal:
    """One goal.

    Attributes:
        metric: of `METRICS`.
        minimum, maximum: bounds; None where there is none.
        places: for optimizer, shapes, mode and dtype the wildcards of which one must match.
        centralize: whether it is about steps with centralized gradients; None where about all.
    """

    metric: str
    minimum: float | None = None
    maximum: float | None = None
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    centralize: bool | None = None

    def concerns(self, row: Row) -> bool:
        """Whether it is about a row of the results."""
        if self.centralize not in (None, row["centralize"]):
            return False
        return all(any(fnmatchcase(row[place], p) for p in patterns) for place, patterns in self.places.items())

    def holds(self, value: float) -> bool:
        """Whether a value is within the bounds."""
        return (self.minimum is None or value >= self.minimum) and (self.maximum is None or value <= self.maximum)

    @property
    def wanted(self) -> str:
        """The bounds in words."""
        bounds = (("at least", self.minimum), ("at most", self.maximum))
        return " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)


@dataclass(frozen=True)
class Verdict:
    """A goal, held against one row.

    Attributes:
        goal: the goal.
        row: the row.
        value: what was measured; None where nothing was.
    """

    goal: Goal
    row: Row
    value: float | None

    @property
    def violated(self) -> bool:
        """Whether something was measured, and it is out of bounds."""
        return self.value is not None and not self.goal.holds(self.value)

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict that ``json.dumps`` takes."""
        return {
            **{place: self.row[place] for place in (*_PLACES, "centralize")},
            "metric": self.goal.metric,
            "minimum": self.goal.minimum,
            "maximum": self.goal.maximum,
            "value": self.value,
            "violated": self.violated,
        }


def read_goals(file: Path) -> tuple[Goal, ...]:
    """Read a file of goals: ``[[goal]]`` tables with a metric, a minimum or maximum, wildcards, and ``centralize``.

    Args:
        file: A TOML file.

    Returns:
        The goals, in order.

    Raises:
        CommandError: If the file cannot be read, or a goal is none; the message names it and what would be right.
    """
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CommandError(f"--thresholds: {str(file)!r} cannot be read: {error}") from error
    goals = data.get("goal")
    if set(data) != {"goal"} or not isinstance(goals, list) or not goals:
        raise CommandError(f"--thresholds: {str(file)!r} must hold [[goal]] tables and nothing else")
    return tuple(_goal(f"--thresholds: goal {number} of {str(file)!r}", goal) for number, goal in enumerate(goals, 1))


def _goal(where: str, given: Any) -> Goal:
    if not isinstance(given, dict):
        raise CommandError(f"{where} is no table")
    for key in given:
        if key not in _KEYS:
            raise CommandError(f"{where} has the unknown key {key!r}; there are {', '.join(_KEYS)}")
    metric = given.get("metric")
    if not isinstance(metric, str) or metric not in METRICS:
        raise CommandError(f"{where}: 'metric' must be one of {', '.join(METRICS)}, got {metric!r}")
    bounds = {key: given[key] for key in ("minimum", "maximum") if key in given}
    for key, value in bounds.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CommandError(f"{where}: {key!r} must be a number, got {value!r}")
    if not bounds:
        raise CommandError(f"{where} needs a 'minimum' or a 'maximum'")
    centralize = given.get("centralize")
    if not isinstance(centralize, bool | None):
        raise CommandError(f"{where}: 'centralize' must be true or false, got {centralize!r}")
    places = {key: _patterns(where, key, given[key]) for key in _PLACES if key in given}
    return Goal(metric, places=places, centralize=centralize, **{key: float(bound) for key, bound in bounds.items()})


def _patterns(where: str, key: str, value: Any) -> tuple[str, ...]:
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not found or not all(isinstance(item, str) for item in found):
        raise CommandError(f"{where}: {key!r} must be a wildcard or a list of them, got {value!r}")
    return tuple(found)


def judge(goals: Sequence[Goal], rows: Sequence[Row]) -> list[Verdict]:
    """Hold every goal against every row that it concerns."""
    return [Verdict(goal, row, METRICS[goal.metric](row)) for goal in goals for row in rows if goal.concerns(row)]


def goals_report(goals: Sequence[Goal], verdicts: Sequence[Verdict]) -> list[Table | Text]:
    """Return the table of goals that were missed, and how many there were of each kind.

    Args:
        goals: All of them.
        verdicts: What came of holding them against rows.
    """
    measured = [verdict for verdict in verdicts if verdict.value is not None]
    missed = [verdict for verdict in measured if verdict.violated]
    reached = {id(verdict.goal) for verdict in measured}
    idle = sum(id(goal) not in reached for goal in goals)
    summary = f"{len(measured) - len(missed)} of {len(measured)} measured values meet their goals"
    if idle:
        summary += f"; of {idle} goal(s) nothing was measured"
    if not missed:
        return [Text(summary)]
    table = plain_table("Goals that were missed")
    for heading in (*_PLACES, "metric"):
        table.add_column(heading, no_wrap=True)
    table.add_column("found", justify="right")
    table.add_column("goal", justify="right")
    for verdict in missed:
        places = [Text(str(verdict.row[place])) for place in _PLACES]
        table.add_row(*places, verdict.goal.metric, f"{verdict.value:.4g}", verdict.goal.wanted)
    return [table, Text(summary)]

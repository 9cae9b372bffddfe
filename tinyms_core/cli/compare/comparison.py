"""A comparison: which optimizers with which values, tuned alike, and then trained in turns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from tinyms_core.cli.compare.runs import Run, train_until
from tinyms_core.cli.compare.spaces import Space, space_of
from tinyms_core.cli.compare.tasks import Data, Task, load_data
from tinyms_core.cli.compare.tuning import Trial, tune
from tinyms_core.cli.compare.tuning import trainings as tuning_trainings
from tinyms_core.cli.train.configuration import configure, of_kind
from tinyms_core.cli.training_options import require_hyperparameters
from tinyms_core.registry.api import optimizer_info

# Called after each training with what was trained.
Advance = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """What is the same for all optimizers of a comparison.

    Attributes:
        mode: ``"graph"`` or ``"pynative"``.
        trials: how many are tried of each optimizer; 1 where nothing is chosen.
        seeds: how many reported trainings each does.
    """

    mode: str
    trials: int
    seeds: int


@dataclass(frozen=True)
class Entry:
    """One row of a comparison.

    Attributes:
        label: what it is called.
        optimizer: the optimizer's name.
        space: where to look for values; empty where nothing is chosen.
        given: values that are not looked for.
    """

    label: str
    optimizer: str
    space: Space
    given: Mapping[str, Any]


@dataclass(frozen=True)
class Contestant:
    """What came of one row.

    Attributes:
        optimizer: what the row is called.
        trials: the hyperparameters that were tried, the chosen ones first.
        runs: the reported trainings, one for each seed.
    """

    optimizer: str
    trials: tuple[Trial, ...]
    runs: tuple[Run, ...]

    @property
    def hyperparameters(self) -> Mapping[str, Any]:
        """The chosen values."""
        return self.trials[0].hyperparameters

    @property
    def steps(self) -> float:
        """Median of the steps to the target; infinite where most runs did not reach it."""
        return median(run.steps_taken for run in self.runs)

    @property
    def seconds(self) -> float:
        """Median of the seconds to the target."""
        return median(run.seconds_taken for run in self.runs)

    @property
    def milliseconds(self) -> float:
        """Median over the runs of the mean step."""
        return median(run.seconds[-1] / run.steps[-1] for run in self.runs) * 1e3

    def to_dict(self) -> dict[str, Any]:
        """The fields and the medians as a dict that ``json.dumps`` takes, with None for infinity."""
        return {
            "optimizer": self.optimizer,
            "hyperparameters": dict(self.hyperparameters),
            "median_steps": _finite(self.steps),
            "median_seconds": _finite(self.seconds),
            "step_milliseconds": self.milliseconds,
            "runs": [run.to_dict() for run in self.runs],
            "trials": [trial.to_dict() for trial in self.trials],
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def against_best_other(contestants: Sequence[Contestant], which: Contestant, measure: str) -> float | None:
    """An optimizer's median over the best median among the others.

    Args:
        contestants: All of them.
        which: The optimizer.
        measure: ``"steps"`` or ``"seconds"``.

    Returns:
        The ratio; None where one of both is infinite, or there are no others.
    """
    others = [getattr(other, measure) for other in contestants if other is not which]
    best = min(others, default=math.inf)
    own = getattr(which, measure)
    return own / best if math.isfinite(own) and math.isfinite(best) and best > 0 else None


def plan(names: Sequence[str], rates: Sequence[float], given: Mapping[str, Any]) -> list[Entry]:
    """Choose the rows of a comparison.

    Args:
        names: The optimizers.
        rates: Learning rates, for a row of each; empty to look for good values.
        given: Values that are not looked for; each goes to the optimizers that have it.

    Returns:
        The rows.

    Raises:
        CommandError: If no optimizer has one of the given values, or one has nowhere to look.
    """
    specs = {name: optimizer_info(name) for name in names}
    require_hyperparameters(given, specs)
    entries = []
    for name, spec in specs.items():
        own = of_kind(spec, {key: value for key, value in given.items() if key in spec.defaults})
        for rate in dict.fromkeys(rates):
            values = configure(name, spec, learning_rate=rate, weight_decay=0.0, hyperparameters=own).hyperparameters
            entries.append(Entry(f"{name} {rate:.12g}", name, {}, {"learning_rate": rate, **values}))
        if not rates:
            entries.append(Entry(name, name, space_of(spec, own), own))
    return entries


def trainings(entries: Sequence[Entry], settings: Settings) -> int:
    """How many trainings a comparison on one task is, at most."""
    return sum(settings.seeds + (tuning_trainings(settings.trials) if entry.space else 0) for entry in entries)


def compare_on(task: Task, entries: Sequence[Entry], settings: Settings, advance: Advance) -> list[Contestant]:
    """Tune where there is something to choose, then train all in turns, a seed after the other.

    Args:
        task: What to learn.
        entries: The rows.
        settings: What is the same for all.
        advance: Called after each training.

    Returns:
        What came of each row.
    """
    data = load_data()
    trials = {entry.label: _chosen(task, data, entry, settings, advance) for entry in entries}
    runs: dict[str, list[Run]] = {entry.label: [] for entry in entries}
    for seed in range(1, settings.seeds + 1):
        for entry in entries:
            values = trials[entry.label][0].hyperparameters
            run = train_until(task, data.train, data.test, entry.optimizer, values, seed, settings.mode)
            runs[entry.label].append(run)
            advance(f"{task.name}: {entry.label}, seed {seed}")
    return [Contestant(entry.label, tuple(trials[entry.label]), tuple(runs[entry.label])) for entry in entries]


def _chosen(task: Task, data: Data, entry: Entry, settings: Settings, advance: Advance) -> list[Trial]:
    if not entry.space:
        return [Trial(entry.given, (), ())]
    note = f"{task.name}: looking for values of {entry.label}"
    return tune(
        task, data, entry.optimizer, entry.space, entry.given, settings.trials, settings.mode, lambda: advance(note)
    )

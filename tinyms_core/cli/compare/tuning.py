"""Choosing hyperparameters: as many trials for each optimizer, judged on the validation part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

from tinyms_core.cli.compare.runs import Run, train_until
from tinyms_core.cli.compare.spaces import Space, spread
from tinyms_core.cli.compare.tasks import Data, Task

# Seeds that no reported run has.
_SEEDS: Final = (1001, 1002, 1003)
_FINALISTS: Final = 3
_SPREAD_SEED: Final = 0

Advance = Callable[[], None]


@dataclass(frozen=True)
class Trial:
    """Hyperparameters, and how training with them went on the validation part.

    Attributes:
        hyperparameters: the values.
        steps: to the target, for each seed; infinite where it was not reached.
        best: the best accuracy, for each seed.
    """

    hyperparameters: Mapping[str, Any]
    steps: tuple[float, ...]
    best: tuple[float, ...]

    @property
    def score(self) -> tuple[float, float]:
        """Less is better: the median of steps, then of what lacks from full accuracy."""
        return median(self.steps), 1.0 - median(self.best)

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict that ``json.dumps`` takes, with None for infinity."""
        return {**asdict(self), "steps": [None if step == float("inf") else int(step) for step in self.steps]}


def trainings(trials: int) -> int:
    """How many trainings the tuning of one optimizer is."""
    again = (len(_SEEDS) - 1) * min(_FINALISTS, trials) if trials > 1 else 0
    return trials + again


def tune(
    task: Task,
    data: Data,
    optimizer: str,
    space: Space,
    given: Mapping[str, Any],
    trials: int,
    mode: str,
    advance: Advance,
) -> list[Trial]:
    """Try hyperparameters.

    All trials train with one seed; the best three train with two more. A trial is given up as soon as it needs more
    steps than the third-best so far, which it cannot change any more.

    Args:
        task: What to learn.
        data: What from.
        optimizer: The optimizer's name.
        space: Where to look.
        given: Values that are not looked for.
        trials: How many to try.
        mode: ``"graph"`` or ``"pynative"``.
        advance: Called after each training.

    Returns:
        The trials, the chosen one first.
    """
    found: list[Trial] = []
    for chosen in spread(space, trials, _SPREAD_SEED):
        values = {**chosen, **given}
        limit = _limit(task, found)
        found.append(_tried(values, [_run(task, data, optimizer, values, _SEEDS[0], mode, limit)]))
        advance()
    found.sort(key=lambda trial: trial.score)
    finalists, rest = found[:_FINALISTS], found[_FINALISTS:]
    if len(found) > 1:
        finalists = [_again(task, data, optimizer, trial, mode, advance) for trial in finalists]
    return sorted(finalists, key=lambda trial: trial.score) + rest


def _limit(task: Task, found: list[Trial]) -> int:
    steps = sorted(trial.steps[0] for trial in found)
    third = steps[_FINALISTS - 1] if len(steps) >= _FINALISTS else float("inf")
    return int(min(third, task.limit))


def _run(
    task: Task, data: Data, optimizer: str, values: Mapping[str, Any], seed: int, mode: str, limit: int | None = None
) -> Run:
    return train_until(task, data.train, data.validation, optimizer, values, seed, mode, limit)


def _again(task: Task, data: Data, optimizer: str, trial: Trial, mode: str, advance: Advance) -> Trial:
    runs = []
    for seed in _SEEDS[1:]:
        runs.append(_run(task, data, optimizer, trial.hyperparameters, seed, mode))
        advance()
    more = _tried(trial.hyperparameters, runs)
    return Trial(trial.hyperparameters, trial.steps + more.steps, trial.best + more.best)


def _tried(values: Mapping[str, Any], runs: list[Run]) -> Trial:
    return Trial(values, tuple(run.steps_taken for run in runs), tuple(run.best for run in runs))

"""What the optimizers took, side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from tinyms_core.cli.compare.comparison import Contestant, Settings, against_best_other
from tinyms_core.cli.compare.tasks import Task
from tinyms_core.cli.output import plain_table

_NOT_REACHED: Final = "not reached"


def rows(contestants: Sequence[Contestant]) -> list[tuple[str, ...]]:
    """The table's cells, below `HEADINGS`."""
    return [
        (
            contestant.optimizer,
            _steps(contestant.steps),
            " ".join(_steps(run.steps_taken) for run in contestant.runs),
            _ratio(against_best_other(contestants, contestant, "steps")),
            _seconds(contestant.seconds),
            _ratio(against_best_other(contestants, contestant, "seconds")),
            f"{contestant.milliseconds:.1f}",
            ", ".join(f"{name}={_shown(value)}" for name, value in contestant.hyperparameters.items()),
        )
        for contestant in contestants
    ]


HEADINGS: Final = (
    "optimizer",
    "steps,\nmedian",
    "steps,\neach seed",
    "to best\nother",
    "seconds,\nmedian",
    "to best\nother",
    "ms a\nstep",
    "hyperparameters",
)


def comparison_table(contestants: Sequence[Contestant], task: Task, settings: Settings) -> Table:
    """Return a table with a row for each optimizer.

    Args:
        contestants: The optimizers.
        task: What was learned.
        settings: What was the same for all of them.
    """
    table = plain_table(title(task, settings), caption=caption(task, settings))
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in ("optimizer", "hyperparameters") else "right")
    for row in rows(contestants):
        table.add_row(*map(Text, row))
    return table


def title(task: Task, settings: Settings) -> str:
    """What the table is about, in a line."""
    return f"To {task.target:.0%} of the test part: {task.summary}, batches of {task.batch_size}, {settings.mode}"


def caption(task: Task, settings: Settings) -> str:
    """How the figures came about."""
    chosen = f"{settings.trials} trials each, judged on a validation part; " if settings.trials > 1 else ""
    return (
        f"{chosen}seeds: {settings.seeds}; given up after {task.limit} steps, looked at every {task.interval}; "
        "seconds are of training, without compilation and looks"
    )


def _steps(value: float) -> str:
    return f"{value:.0f}" if math.isfinite(value) else _NOT_REACHED


def _seconds(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else _NOT_REACHED


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

"""The picture of a comparison: accuracy over steps and over seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinyms_core.cli.compare.comparison import Contestant
from tinyms_core.cli.compare.runs import Run
from tinyms_core.cli.compare.tasks import Task


def draw_comparison(contestants: Sequence[Contestant], task: Task, file: Any) -> None:
    """Draw the accuracy on the test part, a line for each seed.

    Args:
        contestants: The optimizers.
        task: What was learned.
        file: A path or an open file for the PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    for index, contestant in enumerate(contestants):
        for run in contestant.runs:
            label = contestant.optimizer if run is contestant.runs[0] else None
            _draw(left, run, run.steps, f"C{index}", label)
            _draw(right, run, run.seconds, f"C{index}", label)
    for axes, heading in ((left, "step"), (right, "seconds of training")):
        axes.axhline(task.target, color="black", linewidth=0.8, linestyle=":")
        axes.set_xlabel(heading, fontsize=12)
        axes.tick_params(labelsize=11)
        axes.grid(alpha=0.3)
    left.set_ylabel("accuracy on the test part", fontsize=12)
    left.set_ylim(0, 1.02)
    left.legend(fontsize=11, loc="lower right")
    figure.suptitle(f"{task.summary}: {len(contestants[0].runs)} seeds; a dot where {task.target:.0%} was reached")
    figure.savefig(file, dpi=120, format="png")


def _draw(axes: Any, run: Run, over: Sequence[float], colour: str, label: str | None) -> None:
    axes.plot(over, run.accuracies, color=colour, alpha=0.6, linewidth=1.2, label=label)
    if run.reached is not None:
        axes.plot(over[run.reached], run.accuracies[run.reached], "o", color=colour, markersize=6)

"""The tables that ``tinyms-optim train`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from tinyms_core.cli.output import plain_table

if TYPE_CHECKING:
    from tinyms_core.cli.train.training import Result, Settings


def results_table(results: Sequence[Result], settings: Settings) -> Table:
    """Return a table with a row for each optimizer.

    Args:
        results: What came of training.
        settings: What was the same for all of them.
    """
    table = plain_table(
        f"Handwritten digits, {settings.mode} mode, seed {settings.seed}, {settings.epochs} epochs, "
        f"batches of {settings.batch_size}",
        caption=_caption(results),
    )
    table.add_column("optimizer", no_wrap=True)
    for heading in ("train loss", "held-out\naccuracy", "steps/s", "optimizer\nstep, ms", "seconds"):
        table.add_column(heading, justify="right")
    table.add_column("configuration")
    for result in results:
        table.add_row(
            Text(result.configuration.optimizer),
            f"{result.train_loss:.4f}",
            f"{result.accuracy:.2%}",
            f"{result.steps_per_second:.0f}",
            f"{result.step_time.milliseconds:.3f}" if result.step_time else "-",
            f"{result.seconds:.1f}",
            Text(result.configuration.describe()),
        )
    return table


def _caption(results: Sequence[Result]) -> str:
    timed = [result.step_time for result in results if result.step_time]
    parts = [f"optimizer step: {timed[0].how}"] if timed else []
    if len(timed) < len(results):
        parts.append("-: it takes part in the network's passes, and has no step apart from them")
    return "; ".join(parts)

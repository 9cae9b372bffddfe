"""The picture that ``tinyms-optim train`` draws."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tinyms_core.cli.train.training import Result, Settings


def draw_losses(results: Sequence[Result], settings: Settings, path: Path) -> None:
    """Draw the loss of every optimizer over the epochs.

    Args:
        results: What came of training.
        settings: What was the same for all optimizers.
        path: The PNG file; it is replaced.

    Raises:
        OSError: If the file cannot be written.
    """
    # The Agg canvas needs no display, and a Figure of one's own touches no state of pyplot.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    lowest = min([_draw(axes, result, f"C{index}") for index, result in enumerate(results)])
    axes.set_yscale("log")
    # Single steps reach far below; the range is that of the means, and a diverged run has none.
    if lowest > 0:
        axes.set_ylim(bottom=lowest / 5)
    axes.set_xlabel("epoch", fontsize=12)
    axes.set_ylabel("training loss: each step, and mean over an epoch", fontsize=12)
    axes.set_title(f"Handwritten digits, {settings.mode} mode, seed {settings.seed}, batches of {settings.batch_size}")
    axes.set_xlim(0, settings.epochs)
    axes.tick_params(labelsize=11)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=11)
    figure.savefig(path, dpi=120)


def _draw(axes: Any, result: Result, colour: str) -> float:
    """Draw one optimizer's losses, and return the lowest mean."""
    losses = np.array(result.losses)
    steps = result.steps_per_epoch
    epochs = np.arange(1, len(losses) + 1) / steps
    axes.plot(epochs, losses, color=colour, alpha=0.2, linewidth=0.8)
    # The mean over the epoch that ends at a step; before the first epoch's end, over what there is.
    sums = np.concatenate(([0.0], np.cumsum(losses)))
    last = np.arange(1, len(losses) + 1)
    first = np.maximum(last - steps, 0)
    means = (sums[last] - sums[first]) / (last - first)
    label = f"{result.configuration.optimizer}: {result.accuracy:.1%} held-out accuracy"
    axes.plot(epochs, means, color=colour, linewidth=2, label=label)
    return float(means.min())

"""The pictures: small, on white, so that they can be read on a dark page as well."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np

from tinyms_core.cli.gallery.functions import FUNCTIONS
from tinyms_core.cli.gallery.learning import Course
from tinyms_core.cli.gallery.paths import Path as Way

_SIZE: Final = (4.2, 3.6)
_DPI: Final = 100
# Colours in a file: enough for lines with soft edges.
_COLOURS: Final = 64
_OWN: Final = "#c2410c"
_OTHERS: Final = "#c8ccd0"
_LEVELS: Final = 14
_GRID: Final = 240


def draw_path(way: Way, title: str, file: Path) -> None:
    """Draw a way on the contours of its function.

    Args:
        way: The way.
        title: Whose it is.
        file: The PNG.
    """
    function = next(function for function in FUNCTIONS if function.name == way.function)
    figure, axes = _figure()
    left, right, bottom, top = function.window
    x, y = np.meshgrid(np.linspace(left, right, _GRID), np.linspace(bottom, top, _GRID))
    # Contours of the logarithm show a floor beside walls.
    axes.contour(x, y, np.log1p(function.value(x, y)), levels=_LEVELS, cmap="viridis", linewidths=0.7, alpha=0.7)
    points = np.array(way.points)
    axes.plot(points[:, 0], points[:, 1], color=_OWN, linewidth=1.4, marker=".", markersize=3)
    axes.plot(*function.start, "o", color="black", markersize=6)
    axes.plot(*function.minimum, "*", color="black", markersize=12)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.set_title(f"{title}, {function.title}: rate {way.learning_rate:g}", fontsize=11)
    _save(figure, file)


def draw_losses(course: Course, others: Sequence[Course], title: str, heading: str, file: Path) -> None:
    """Draw the loss over the steps, with those of other optimizers in the background.

    Args:
        course: What came of learning.
        others: Of the same lesson, with other optimizers.
        title: Whose it is.
        heading: What was learned.
        file: The PNG.
    """
    figure, axes = _figure()
    for other in others:
        axes.plot(*_smooth(other.losses), color=_OTHERS, linewidth=0.8)
    axes.plot(*_smooth(course.losses), color=_OWN, linewidth=1.8)
    axes.set_ylim(0, 1.15 * course.losses[0])
    axes.set_xlabel("step")
    axes.set_ylabel("training loss")
    axes.set_title(f"{title}, {heading}: rate {course.learning_rate:g}", fontsize=11)
    _save(figure, file)


def draw_sensitivity(course: Course, others: Sequence[Course], title: str, heading: str, file: Path) -> None:
    """Draw the loss that each rate led to, with those of other optimizers in the background.

    Args:
        course, others, title, heading, file: As for `draw_losses`.
    """
    figure, axes = _figure()
    limit = 1.15 * course.losses[0]
    for other in others:
        axes.plot(list(other.trials), _below(list(other.trials.values()), limit), color=_OTHERS, linewidth=0.8)
    losses = _below(list(course.trials.values()), limit)
    axes.plot(list(course.trials), losses, color=_OWN, linewidth=1.8, marker="o", markersize=4)
    axes.set_xscale("log")
    axes.set_ylim(0, limit)
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss after a trial")
    axes.set_title(f"{title}, {heading}: by rate", fontsize=11)
    _save(figure, file)


def _below(losses: Sequence[float], limit: float) -> Any:
    """Losses, those beyond the picture at its edge."""
    return np.minimum(np.nan_to_num(losses, nan=limit, posinf=limit), limit)


def _smooth(losses: Sequence[float]) -> tuple[Any, Any]:
    """Steps and the mean loss of each and the four before it."""
    sums = np.concatenate(([0.0], np.cumsum(losses)))
    last = np.arange(1, len(losses) + 1)
    first = np.maximum(last - 5, 0)
    return last, (sums[last] - sums[first]) / (last - first)


def _figure() -> tuple[Any, Any]:
    # The Agg canvas needs no display, and a Figure of one's own touches no state of pyplot.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _save(figure: Any, file: Path) -> None:
    """Write a PNG of few colours, and of no date or version, so that the same run gives the same file."""
    from PIL import Image

    drawn = BytesIO()
    figure.savefig(drawn, dpi=_DPI, format="png")
    with Image.open(drawn) as image:
        few = image.convert("RGB").quantize(_COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        few.save(file, format="PNG", optimize=True)

"""The pictures of ``tinyms-optim bench --plots``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tinyms_core.cli.errors import CommandError

if TYPE_CHECKING:
    from tinyms_core.cli.bench.run import Outcome
    from tinyms_core.cli.bench.scaling import Point
    from tinyms_core.cli.bench.timing import Ratio

_LIBRARIES: Final = {"mindspore": "mindspore.nn", "torch": "torch"}
_BAR: Final = 0.8


def require_matplotlib() -> None:
    """Refuse to begin without the library that draws.

    Raises:
        CommandError: If it is missing; the message says how to install it.
    """
    if find_spec("matplotlib") is None:
        raise CommandError('--plots needs matplotlib: pip install "tinyms-core[train]"')


def draw_steps(outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
    """Draw how much longer peers take, and how much of what the memory allows is reached.

    Args:
        outcomes: What was timed.
        folder: Where the PNG files go; those of the same names are replaced.

    Returns:
        The files. There is none for a peer of which nothing was timed.
    """
    drawn = []
    for kind, library in _LIBRARIES.items():

        def ratio(outcome: Outcome, kind: str = kind) -> Ratio | None:
            peer = outcome.peers.get(kind)
            return peer.ratio if peer else None

        label = f"time of {library}'s step / time of ours (above 1: ours is faster)"
        drawn += _draw_bars(outcomes, ratio, folder / f"{kind}.png", label, logarithmic=True)
    label = "speed of a step / speed of the same reads and writes without arithmetic"
    return drawn + _draw_bars(outcomes, lambda outcome: outcome.fraction, folder / "of-possible.png", label)


def _draw_bars(
    outcomes: Sequence[Outcome],
    value: Callable[[Outcome], Ratio | None],
    path: Path,
    label: str,
    *,
    logarithmic: bool = False,
) -> list[Path]:
    """Draw a group of bars for each optimizer, a colour for each set, mode and dtype."""
    found: dict[tuple[str, str], Ratio] = {}
    for outcome in outcomes:
        ratio = value(outcome)
        if ratio is not None:
            found[outcome.optimizer, _series(outcome)] = ratio
    if not found:
        return []
    optimizers = list(dict.fromkeys(optimizer for optimizer, _ in found))
    series = list(dict.fromkeys(name for _, name in found))
    figure, axes = _figure(height=max(4.0, 1.6 + 0.22 * len(optimizers) * (len(series) + 1)))
    thickness = _BAR / len(series)
    for number, name in enumerate(series):
        named = [(place, (optimizer, name)) for place, optimizer in enumerate(optimizers)]
        shown = [(place, found[key]) for place, key in named if key in found]
        middles = [place - _BAR / 2 + thickness * (number + 0.5) for place, _ in shown]
        medians = [ratio.median for _, ratio in shown]
        bounds = [
            [ratio.median - ratio.low if ratio.low is not None else 0.0 for _, ratio in shown],
            [ratio.high - ratio.median if ratio.high is not None else 0.0 for _, ratio in shown],
        ]
        axes.barh(middles, medians, thickness, xerr=bounds, label=name, color=f"C{number}", error_kw={"linewidth": 0.8})
    axes.axvline(1.0, color="black", linewidth=0.9, linestyle=":")
    if logarithmic:
        axes.set_xscale("log")
    axes.set_yticks(range(len(optimizers)), optimizers)
    axes.invert_yaxis()
    axes.set_xlabel(label, fontsize=12)
    # Beside the bars, which may fill the whole width.
    axes.legend(fontsize=11, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)
    return [_save(figure, axes, path)]


def _series(outcome: Outcome) -> str:
    return f"{outcome.shapes.name}, {outcome.setting.mode}, {outcome.setting.dtype}"


def draw_scaling(points: Sequence[Point], folder: Path) -> Path:
    """Draw the time of an element over the number of elements, a line for each optimizer, threads and tensors.

    Args:
        points: What was timed.
        folder: Where the PNG file goes; one of the same name is replaced.

    Returns:
        The file.
    """
    figure, axes = _figure(height=6.0)
    lines: dict[tuple[str, int, int], list[Point]] = {}
    for point in points:
        lines.setdefault((point.optimizer, point.threads, point.tensors), []).append(point)
    tensors = list(dict.fromkeys(key[2] for key in lines))
    colours = list(dict.fromkeys((key[0], key[2]) for key in lines))
    for (optimizer, threads, count), own in lines.items():
        axes.plot(
            [point.elements for point in own],
            [point.nanoseconds_per_element for point in own],
            marker="os^Dvx"[tensors.index(count) % 6],
            linestyle="--" if threads == 1 else "-",
            color=f"C{colours.index((optimizer, count)) % 10}",
            label=f"{optimizer}, {count:,} tensor(s), {threads} thread(s)",
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("elements of all parameters", fontsize=12)
    axes.set_ylabel("nanoseconds for an element in a step", fontsize=12)
    axes.legend(fontsize=9)
    return _save(figure, axes, folder / "scaling.png")


def _figure(height: float) -> tuple[Any, Any]:
    # The Agg canvas needs no display, and a Figure of one's own touches no state of pyplot.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _save(figure: Any, axes: Any, path: Path) -> Path:
    axes.tick_params(labelsize=11)
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    try:
        figure.savefig(path, dpi=120, format="png")
    except OSError as error:
        raise CommandError(f"--plots: {str(path)!r} cannot be written: {error.strerror}") from error
    return path

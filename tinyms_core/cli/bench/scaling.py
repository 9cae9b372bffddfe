"""How a step's time grows with the number of elements, of tensors and of threads."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from tinyms_core.cli.around import together
from tinyms_core.cli.bench.arguments import bench_arguments
from tinyms_core.cli.bench.numbers import Numbers
from tinyms_core.cli.bench.room import available_bytes, contestant_bytes, fits
from tinyms_core.cli.bench.setting import Setting
from tinyms_core.cli.bench.shapes import ShapeSet
from tinyms_core.cli.bench.steps import CellStep
from tinyms_core.cli.bench.timing import Step, Times, race, steps_of_a_turn
from tinyms_core.cli.output import plain_table
from tinyms_core.kernels.threads import thread_limit
from tinyms_core.optimizer.modes import execution_mode
from tinyms_core.registry.probe import resolve

if TYPE_CHECKING:
    from tinyms_core.registry.specs import OptimizerSpec


@dataclass(frozen=True)
class Point:
    """What a step of one size took.

    Attributes:
        optimizer: its name.
        elements: of all parameters.
        tensors: among which they are divided.
        threads: how many threads there were for it.
        times: its times.
    """

    optimizer: str
    elements: int
    tensors: int
    threads: int
    times: Times

    @property
    def nanoseconds_per_element(self) -> float:
        """The step's time over the elements."""
        return self.times.milliseconds * 1e6 / self.elements

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict that ``json.dumps`` takes."""
        return {
            "optimizer": self.optimizer,
            "elements": self.elements,
            "tensors": self.tensors,
            "threads": self.threads,
            "nanoseconds_per_element": self.nanoseconds_per_element,
            **self.times.to_dict(),
        }


@dataclass(frozen=True)
class Scaling:
    """All points, and where they end.

    Attributes:
        points: in the order of measurement.
        stops: for an optimizer that ended early, why.
    """

    points: tuple[Point, ...] = ()
    stops: tuple[str, ...] = ()

    def __add__(self, other: Scaling) -> Scaling:
        return Scaling(self.points + other.points, self.stops + other.stops)

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict that ``json.dumps`` takes."""
        return {"points": [point.to_dict() for point in self.points], "stops": list(self.stops)}


def measure_scaling(
    name: str,
    around: str,
    setting: Setting,
    threads: Sequence[int],
    sets: Sequence[ShapeSet],
    rounds: int,
    limit: float,
    began: Callable[[str], None] = lambda note: None,
) -> Scaling:
    """Time steps of growing size.

    Args:
        name: The optimizer's name.
        around: What it is built around, where it is built so.
        setting: Mode, dtype and preprocessing.
        threads: How many threads, in turns.
        sets: Parameters' shapes, smallest first.
        rounds: How many rounds count.
        limit: Seconds for a size, after which no further round begins.
        began: Called before each size with what it is.

    Returns:
        The points, which end before the first size that does not fit into memory.
    """
    spec = together(name, around)
    points: list[Point] = []
    for shapes in sets:
        began(f"{name}, {shapes.name}")
        missing = _missing_room(spec, shapes, setting)
        if missing:
            return Scaling(tuple(points), (f"{name}: stopped before {missing}",))
        points += _points(name, spec, shapes, setting, threads, rounds, limit)
    return Scaling(tuple(points), ())


def _missing_room(spec: OptimizerSpec, shapes: ShapeSet, setting: Setting) -> str:
    """What does not fit; empty where all does."""
    # Random numbers for one tensor are made in float32 beside the tensors.
    needed = contestant_bytes(spec, bench_arguments(spec), shapes, setting) + 4 * shapes.shapes[0][0]
    if fits(needed):
        return ""
    available = available_bytes() or 0
    return (
        f"{shapes.elements:,} elements in {len(shapes.shapes):,} tensor(s), which need {needed / 2**30:.1f} GiB; "
        f"{available / 2**30:.1f} GiB are available"
    )


def _points(
    name: str,
    spec: OptimizerSpec,
    shapes: ShapeSet,
    setting: Setting,
    threads: Sequence[int],
    rounds: int,
    limit: float,
) -> Iterator[Point]:
    with execution_mode(setting.mode):
        make = resolve(spec.implementation)
        step = CellStep(make, bench_arguments(spec), Numbers(shapes, 0), Numbers(shapes, 1), setting)
        contestants = {str(count): _with_threads(step, count) for count in threads}
        times = race(contestants, rounds, steps=steps_of_a_turn(shapes.elements), limit=limit)
        step.release()
    del step, contestants
    gc.collect()
    for count in threads:
        yield Point(name, shapes.elements, len(shapes.shapes), count, times[str(count)])


def _with_threads(step: Step, count: int) -> Step:
    def limited() -> None:
        with thread_limit(count):
            step()

    return limited


def scaling_report(scaling: Scaling, threads: Sequence[int], setting: Setting) -> Group:
    """Return the table, and why it ends early where it does.

    Args:
        scaling: What was timed.
        threads: How many threads there were, in turns.
        setting: Mode and dtype.
    """
    table = plain_table(
        f"Nanoseconds for an element in a step, {setting.mode}, {setting.dtype}",
        caption="A large step shares its work among threads; a small one is over before a second thread is awake.",
    )
    table.add_column("optimizer", no_wrap=True)
    for heading in ("elements", "tensors", *(f"{count} thread(s)" for count in threads)):
        table.add_column(heading, justify="right")
    rows: dict[tuple[str, int, int], list[Point]] = {}
    for point in scaling.points:
        rows.setdefault((point.optimizer, point.elements, point.tensors), []).append(point)
    for (optimizer, elements, tensors), own in rows.items():
        cells = [f"{point.nanoseconds_per_element:.3g}" for point in own]
        table.add_row(Text(optimizer), f"{elements:,}", f"{tensors:,}", *cells)
    return Group(table, *(Text(stop) for stop in scaling.stops))

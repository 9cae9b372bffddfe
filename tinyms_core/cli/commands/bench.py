"""``tinyms-optim bench``: what a step costs, beside its peers and what the memory allows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console, Group
from rich.text import Text

from tinyms_core.cli.around import around_option, refuse_around, together
from tinyms_core.cli.bench.order import Order, Row
from tinyms_core.cli.bench.plots import require_matplotlib
from tinyms_core.cli.bench.setting import DTYPES, MODES, Setting
from tinyms_core.cli.bench.shapes import SHAPE_SETS, ShapeSet
from tinyms_core.cli.bench.sizes import LARGEST, SMALLEST, sizes, thread_counts
from tinyms_core.cli.bench.thresholds import Goal, goals_report, judge, read_goals
from tinyms_core.cli.centralization import centralizes, require_centralization
from tinyms_core.cli.choices import choices, completions
from tinyms_core.cli.errors import Command, CommandError, ExitStatus
from tinyms_core.cli.names import OPTIMIZER, distinct
from tinyms_core.cli.number import Number
from tinyms_core.cli.output import json_file_option, progress_bar, tables_console, write_json
from tinyms_core.cli.training_options import make_folder
from tinyms_core.cli.versions import versions
from tinyms_core.cli.without_effect import refuse
from tinyms_core.registry.api import list_optimizers, optimizer_info
from tinyms_core.registry.specs import OptimizerSpec

if TYPE_CHECKING:
    from tinyms_core.cli.bench.memory import Memory
    from tinyms_core.cli.bench.run import Outcome

_ALL: Final = "all"
_NONE: Final = "none"
_PEERS: Final = ("mindspore", "torch")
_DEFAULT_SHAPES: Final = ("large", "small")
# Options that the other tables have no use for.
_OF_STEPS: Final = ("set_names", "against", "centralize", "with_memory")
_NOT_OF_STARTS: Final = (*_OF_STEPS, "steps", "limit", "threads", "plots")
# Tensors of a graph beyond which compiling it for every optimizer would take hours.
MOST_TRACED: Final = 1000


@click.command(cls=Command, short_help="Time a step, beside other libraries and the memory.")
@click.argument("names", metavar="[NAME]...", nargs=-1, type=OPTIMIZER)
@click.option("--all", "every", is_flag=True, help="Every optimizer that is built from parameters, as without a NAME.")
@click.option(
    "--shapes",
    "set_names",
    metavar="SET",
    callback=choices(tuple(SHAPE_SETS), every=_ALL),
    shell_complete=completions(tuple(SHAPE_SETS), _ALL),
    multiple=True,
    default=_DEFAULT_SHAPES,
    show_default=True,
    help="Sets of parameters, or all; may be repeated, or be a list with commas.",
)
@click.option(
    "--against",
    metavar="PEERS",
    callback=choices(_PEERS, nothing=_NONE),
    shell_complete=completions(_PEERS, _NONE),
    multiple=True,
    default=_PEERS,
    show_default=True,
    help="Who is timed in turns with ours: mindspore, torch, both with a comma between them, or none.",
)
@click.option(
    "--mode",
    "modes",
    metavar="MODE",
    callback=choices(MODES),
    shell_complete=completions(MODES),
    multiple=True,
    default=MODES[:1],
    show_default=True,
    help="pynative, graph, jit: how a step is called; a list with commas for several.",
)
@click.option(
    "--dtype",
    "dtypes",
    metavar="DTYPE",
    callback=choices(DTYPES),
    shell_complete=completions(DTYPES),
    multiple=True,
    default=DTYPES[:1],
    show_default=True,
    help="float32, float16, bfloat16, float64: of parameters and gradients; a list with commas for several.",
)
@click.option("--steps", type=click.IntRange(min=1), default=20, show_default=True, help="Rounds that count.")
@click.option(
    "--limit",
    type=Number(min=0, min_open=True),
    default=20.0,
    show_default=True,
    help="Seconds for one row of the table: then no further round begins, but three count in any case.",
)
@click.option("--centralize", is_flag=True, help="Centralize gradients of convolutions, as conv and resnet50 have.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of large steps.  [default: as in training]")
@around_option
@click.option("--memory", "with_memory", is_flag=True, help="A column: what a step needs for a while, in percent.")
@click.option("--cold-start", is_flag=True, help="Time new processes up to their first step, in place of steps.")
@click.option("--scaling", is_flag=True, help="Time steps of growing size with 1 and more threads, in place of sets.")
@click.option(
    "--largest",
    type=click.IntRange(min=SMALLEST),
    default=LARGEST,
    show_default=True,
    help="Elements that --scaling goes up to, as far as the memory suffices.",
)
@click.option(
    "--thresholds",
    "goals_file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Goals in TOML; the exit status is 1 where one is missed.",
)
@click.option(
    "--plots",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Draw ratios, fractions of what is possible, and scaling as PNG files there.",
)
@json_file_option
@click.pass_context
def bench(
    ctx: click.Context,
    names: tuple[str, ...],
    every: bool,
    set_names: tuple[str, ...],
    against: tuple[str, ...],
    modes: tuple[str, ...],
    dtypes: tuple[str, ...],
    steps: int,
    limit: float,
    centralize: bool,
    threads: int | None,
    around: str,
    with_memory: bool,
    cold_start: bool,
    scaling: bool,
    largest: int,
    goals_file: Path | None,
    plots: Path | None,
    json_file: str | None,
) -> None:
    """Time one step of each optimizer NAME, of all that are installed without one.

    A step is the call optimizer(gradients), until the work that it queued is done. It is timed in turns with
    mindspore.nn's optimizer of the same class in the same mode, with torch's where torch is installed (always
    eager), and with the same reads and writes of tensors without arithmetic: what the memory allows.

    \b
    Sets of parameters:
      large       16 matrices of 1 Mi elements
      small       500 vectors of 100 elements
      tiny        2,000 vectors of 64 elements
      conv        16 kernels of shape (256, 256, 4, 4)
      resnet50    161 tensors, 25.6 million elements
      bert-base   199 tensors, 109.5 million elements: up to 8 GB
      bert-large  391 tensors, 335.1 million elements: up to 24 GB

    \b
    Examples:
      tinyms-optim bench adam
      tinyms-optim bench adam lamb --shapes resnet50,bert-base --json steps.json
      tinyms-optim bench adam --mode pynative,graph,jit --dtype bfloat16
      tinyms-optim bench --shapes all --against none --threads 1
      tinyms-optim bench lars --around adam
      tinyms-optim bench --all --memory --thresholds tests/benchmarks/thresholds.toml --plots pictures
      tinyms-optim bench adam --scaling --plots pictures
      tinyms-optim bench adam --cold-start --mode pynative,graph
    """
    if every and names:
        raise click.UsageError(f"--all is for every optimizer; leave out {', '.join(names)}, or --all")
    if cold_start and scaling:
        raise click.UsageError("--cold-start and --scaling are tables of their own; ask for one at a time")
    if goals_file is not None and (cold_start or scaling):
        raise click.UsageError("--thresholds are goals of the table of steps, without --cold-start and --scaling")
    _refuse_without_effect(ctx, cold_start, scaling, modes, dtypes)
    sets = [SHAPE_SETS[name]() for name in set_names]
    asked = distinct(names) or _all_plain()
    refuse_around(ctx, asked)
    for name in asked:
        _require_plain(name, together(name, around))
    if centralize:
        _require_convolutions(sets)
        if names:
            require_centralization(asked)
    goals = read_goals(goals_file) if goals_file is not None else ()
    if plots is not None:
        require_matplotlib()
        make_folder(plots, "--plots")
    settings = [Setting(mode, dtype, centralize) for mode in modes for dtype in dtypes]
    order = Order(tuple(asked), tuple(sets), tuple(settings), against, around, steps, limit)
    screen = tables_console(json_file)

    from tinyms_core.kernels.threads import thread_count, thread_limit

    with thread_limit(threads) if threads else nullcontext():
        if threads:
            from tinyms_core.cli.bench.run import limit_peers

            limit_peers(threads)
        report = _new_report({**order.to_dict(), "threads": thread_count(), "centralize": centralize})
        if cold_start:
            results, missed = _time_starts(order, screen), False
        elif scaling:
            results, missed = _time_sizes(order, threads, largest, plots, screen), False
        else:
            results, missed = _time_steps(order, threads, report["settings"], goals, plots, with_memory, screen)
    if json_file is not None:
        write_json({**report, **results}, json_file)
    if missed:
        raise click.exceptions.Exit(ExitStatus.FAILED)


def _refuse_without_effect(
    ctx: click.Context, cold_start: bool, scaling: bool, modes: Sequence[str], dtypes: Sequence[str]
) -> None:
    if cold_start:
        refuse(ctx, "with --cold-start", *_NOT_OF_STARTS)
    if scaling:
        refuse(ctx, "with --scaling", *_OF_STEPS)
        for option, values in (("--mode", modes), ("--dtype", dtypes)):
            if len(values) > 1:
                raise click.UsageError(f"--scaling is for one {option}, got {', '.join(values)}", ctx)
    else:
        refuse(ctx, "without --scaling", "largest")


def _require_convolutions(sets: Sequence[ShapeSet]) -> None:
    for shapes in sets:
        if not any(len(shape) > 2 for shape in shapes.shapes):
            raise CommandError(
                f"--centralize: the set {shapes.name!r} has no convolutions, whose gradients alone can be centralized; "
                "name --shapes conv or resnet50"
            )


def _require_plain(name: str, spec: OptimizerSpec) -> None:
    if spec.capabilities.consumes_network:
        raise CommandError(
            f"{name!r} is built from a network, and a step without a pass through it says nothing; train and compare "
            "show what it takes"
        )


def _all_plain() -> list[str]:
    found = []
    for name in list_optimizers():
        if not optimizer_info(name).capabilities.consumes_network:
            found.append(name)
    if not found:
        raise CommandError("no optimizers are installed; install one, such as: pip install tinyms-adam")
    return found


def _new_report(options: dict[str, Any]) -> dict[str, Any]:
    """What is known before anything is timed: machine, versions, date and options."""
    from datetime import datetime, timezone

    from tinyms_core.cli.bench.machine import describe_machine

    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "versions": versions("torch"),
        "settings": options,
    }


def _time_steps(
    order: Order,
    threads: int | None,
    settings: dict[str, Any],
    goals: Sequence[Goal],
    plots: Path | None,
    with_memory: bool,
    screen: Console,
) -> tuple[dict[str, Any], bool]:
    """Time steps of sets of parameters; returns what goes into the JSON, and whether a goal was missed."""
    from tinyms_core.cli.bench.plots import draw_steps
    from tinyms_core.cli.bench.tables import bench_report

    outcomes, left_out = _measure_all(order, threads)
    memory = _measure_memory(order, outcomes) if with_memory else []
    screen.print(bench_report(outcomes, settings, memory))
    for text in left_out:
        screen.print(Text(text))
    rows = [outcome.to_dict() for outcome in outcomes]
    for row, needed in zip(rows, memory, strict=False):
        row["memory"] = needed.to_dict() if needed is not None else None
    results: dict[str, Any] = {"results": rows, "left_out": left_out}
    missed = False
    if goals:
        verdicts = judge(goals, rows)
        screen.print(Group(*goals_report(goals, verdicts)))
        results["goals"] = [verdict.to_dict() for verdict in verdicts]
        missed = any(verdict.violated for verdict in verdicts)
    if plots is not None:
        _name_pictures(draw_steps(outcomes, plots), screen)
    return results, missed


def _measure_all(order: Order, threads: int | None) -> tuple[list[Outcome], list[str]]:
    """Time all steps, of several optimizers each in its own process; returns also what was left out, and why."""
    from tinyms_core.cli.bench.apart import measure_apart
    from tinyms_core.cli.bench.run import measure_rows
    from tinyms_core.cli.bench.timing import WARM_UP

    rows, left_out = _rows_of(order)
    rounds = WARM_UP + order.steps
    outcomes: list[Outcome] = []
    with progress_bar() as bar:
        task = bar.add_task("timing", total=len(rows) * rounds, note="")
        begun = 0

        def began(row: Row) -> None:
            nonlocal begun
            # Some rounds are left out where a step takes long.
            bar.update(task, note=str(row), completed=begun * rounds)
            begun += 1

        def finished() -> None:
            bar.advance(task)

        if len(order.names) == 1:
            outcomes = measure_rows(order, rows, began, finished)
        else:
            for name in order.names:
                own = [row for row in rows if row.name == name]
                if own:
                    outcomes += measure_apart(order, own, threads, began, finished)
        bar.update(task, completed=len(rows) * rounds)
    return outcomes, left_out


def _rows_of(order: Order) -> tuple[list[Row], list[str]]:
    """What is timed, and why something is left out."""
    rows, left_out = [], []
    for name in order.names:
        for setting in order.settings:
            for shapes in order.sets:
                reason = _no_centralization(name, setting) or _too_long(order, setting, shapes)
                if not reason:
                    rows.append(Row(name, setting, shapes))
                elif reason not in left_out:
                    left_out.append(reason)
    return rows, left_out


def _no_centralization(name: str, setting: Setting) -> str:
    """Why an optimizer is not timed with a setting; empty where it is."""
    return f"{name} is left out: it does not centralize" if setting.centralize and not centralizes(name) else ""


def _too_long(order: Order, setting: Setting, shapes: ShapeSet) -> str:
    """Why a set is not timed in a mode; empty where it is."""
    if setting.mode == "pynative" or len(shapes.shapes) <= MOST_TRACED or len(order.names) == 1:
        return ""
    return (
        f"{shapes.name} is left out in mode {setting.mode}: MindSpore takes minutes to compile a graph of more than "
        f"{MOST_TRACED:,} tensors; ask for one optimizer alone"
    )


def _measure_memory(order: Order, outcomes: Sequence[Outcome]) -> list[Memory | None]:
    from tinyms_core.cli.bench.memory import measure_memory

    found = []
    with progress_bar() as bar:
        task = bar.add_task("memory", total=len(outcomes), note="")
        for outcome in outcomes:
            bar.update(task, note=f"{outcome.optimizer}, {outcome.shapes.name}")
            found.append(measure_memory(outcome.name, outcome.shapes, order.around, outcome.setting))
            bar.advance(task)
    return found


def _time_starts(order: Order, screen: Console) -> dict[str, Any]:
    from tinyms_core.cli.bench.cold_start import WARM_STARTS, cold_start_table, measure_cold_start

    starts = []
    with progress_bar() as bar:
        task = bar.add_task("starting", total=len(order.names) * len(order.settings) * (1 + WARM_STARTS), note="")
        for name in order.names:
            for setting in order.settings:
                bar.update(task, note=f"{name}, {setting.mode}")
                starts.append(measure_cold_start(name, order.around, setting, lambda: bar.advance(task)))
    screen.print(cold_start_table(starts))
    return {"cold_starts": [start.to_dict() for start in starts]}


def _time_sizes(order: Order, threads: int | None, largest: int, plots: Path | None, screen: Console) -> dict[str, Any]:
    """Time steps of growing size, of several optimizers each in its own process; returns what goes into the JSON."""
    from tinyms_core.cli.bench.apart import run_apart
    from tinyms_core.cli.bench.plots import draw_scaling
    from tinyms_core.cli.bench.scaling import Scaling, measure_scaling, scaling_report
    from tinyms_core.kernels.threads import thread_count

    counts, sets, setting = thread_counts(thread_count()), sizes(largest), order.settings[0]
    found = Scaling()
    with progress_bar() as bar:
        task = bar.add_task("scaling", total=len(order.names) * len(sets), note="")

        def began(note: str) -> None:
            bar.update(task, advance=1, note=note)

        for done, name in enumerate(order.names, start=1):
            work = partial(measure_scaling, name, order.around, setting, counts, sets, order.steps, order.limit)
            found += work(began) if len(order.names) == 1 else run_apart(work, name, threads, began)
            # Sizes that the memory has no room for were not begun.
            bar.update(task, completed=done * len(sets))
    screen.print(scaling_report(found, counts, setting))
    if plots is not None:
        _name_pictures([draw_scaling(found.points, plots)], screen)
    return {"scaling": found.to_dict()}


def _name_pictures(files: Sequence[Path], screen: Console) -> None:
    for file in files:
        screen.print(Text(f"picture: {file}"))

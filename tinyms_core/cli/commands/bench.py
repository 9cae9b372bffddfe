"""``tinyms-optim bench``: what a step costs, beside its peers and the memory's speed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

import click

from tinyms_core.cli.around import around_option, together
from tinyms_core.cli.bench.shapes import SHAPE_SETS, ShapeSet
from tinyms_core.cli.errors import Command, CommandError
from tinyms_core.cli.output import json_file_option, progress_bar, tables_console, write_json
from tinyms_core.cli.versions import versions
from tinyms_core.registry.api import list_optimizers, optimizer_info
from tinyms_core.registry.specs import OptimizerSpec

if TYPE_CHECKING:
    from tinyms_core.cli.bench.run import Outcome

_ALL: Final = "all"
_DEFAULT_SHAPES: Final = ("large", "small")


@click.command(cls=Command)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every optimizer that is built from parameters, as without a NAME.")
@click.option(
    "--shapes",
    "set_names",
    type=click.Choice([*SHAPE_SETS, _ALL]),
    multiple=True,
    default=_DEFAULT_SHAPES,
    show_default=True,
    help="Sets of parameters; may be repeated.",
)
@click.option("--steps", type=click.IntRange(min=1), default=20, show_default=True, help="Rounds that count.")
@click.option("--peers/--no-peers", default=True, show_default=True, help="Whether to time mindspore.nn and torch.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of large steps.  [default: as in training]")
@around_option
@json_file_option
def bench(
    names: tuple[str, ...],
    every: bool,
    set_names: tuple[str, ...],
    steps: int,
    peers: bool,
    threads: int | None,
    around: str,
    json_file: str | None,
) -> None:
    """Time one step of each optimizer NAME, of all that are installed without one.

    A step is the call optimizer(gradients) in PyNative mode, until the work that it queued is done. It is timed
    in turns with mindspore.nn's optimizer of the same class, with torch's where torch is installed, and with a
    copy and a change in place of as many bytes as the step has to read and write, by as many threads.

    \b
    Sets of parameters:
      large      16 tensors of 1 Mi elements
      small      500 tensors of 100 elements
      resnet50   161 tensors, 25.6 million elements
      bert-base  199 tensors, 109.5 million elements: up to 8 GB

    \b
    Examples:
      tinyms-optim bench adam
      tinyms-optim bench adam lamb --shapes resnet50 --shapes bert-base --json steps.json
      tinyms-optim bench --shapes all --no-peers --threads 1
      tinyms-optim bench lars --around adam
    """
    if every and names:
        raise click.UsageError(f"--all is for every optimizer; leave out {', '.join(names)}, or --all")
    chosen = [SHAPE_SETS[name]() for name in (SHAPE_SETS if _ALL in set_names else dict.fromkeys(set_names))]
    asked = list(dict.fromkeys(names)) or _all_plain()
    for name in asked:
        _require_plain(name, together(name, around))

    from tinyms_core.kernels.threads import thread_count, thread_limit

    with thread_limit(threads) if threads else nullcontext():
        if threads:
            _limit_peers(threads)
        settings = {"steps": steps, "threads": thread_count(), "dtype": "float32", "mode": "pynative"}
        outcomes = _measure_all(asked, chosen, steps, peers, around)
    _report(outcomes, settings, json_file)


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


def _limit_peers(threads: int) -> None:
    from importlib.util import find_spec

    import mindspore

    mindspore.set_context(runtime_num_threads=threads)
    if find_spec("torch") is not None:
        import torch

        torch.set_num_threads(threads)


def _measure_all(names: Sequence[str], sets: Sequence[ShapeSet], steps: int, peers: bool, around: str) -> list[Outcome]:
    from tinyms_core.cli.bench.run import find_peers, measure
    from tinyms_core.cli.bench.timing import WARM_UP

    outcomes = []
    with progress_bar() as bar:
        task = bar.add_task("timing", total=len(names) * len(sets) * (WARM_UP + steps), note="")
        for name in names:
            known = find_peers(name, around) if peers else {}
            for shapes in sets:
                bar.update(task, note=f"{name}, {shapes.name}")
                outcomes.append(measure(name, shapes, steps, known, lambda: bar.advance(task), around))
    return outcomes


def _report(outcomes: Sequence[Outcome], settings: dict[str, Any], json_file: str | None) -> None:
    from tinyms_core.cli.bench.tables import bench_report

    tables_console(json_file).print(bench_report(outcomes, settings))
    if json_file is not None:
        data = {
            "versions": versions("torch"),
            "settings": settings,
            "results": [outcome.to_dict() for outcome in outcomes],
        }
        write_json(data, json_file)

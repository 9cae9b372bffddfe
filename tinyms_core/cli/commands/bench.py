"""``tinyms-optim bench``: what a step costs, beside its peers and what the memory allows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

import click

from tinyms_core.cli.around import around_option, together
from tinyms_core.cli.bench.setting import DTYPES, MODES, Setting
from tinyms_core.cli.bench.shapes import SHAPE_SETS, ShapeSet
from tinyms_core.cli.choices import choices
from tinyms_core.cli.errors import Command, CommandError
from tinyms_core.cli.output import json_file_option, progress_bar, tables_console, write_json
from tinyms_core.cli.versions import versions
from tinyms_core.registry.api import list_optimizers, optimizer_info
from tinyms_core.registry.specs import OptimizerSpec

if TYPE_CHECKING:
    from tinyms_core.cli.bench.run import Outcome

_ALL: Final = "all"
_NONE: Final = "none"
_PEERS: Final = ("mindspore", "torch")
_DEFAULT_SHAPES: Final = ("large", "small")


@click.command(cls=Command)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every optimizer that is built from parameters, as without a NAME.")
@click.option(
    "--shapes",
    "set_names",
    metavar="SET",
    callback=choices(tuple(SHAPE_SETS), every=_ALL),
    multiple=True,
    default=_DEFAULT_SHAPES,
    show_default=True,
    help="Sets of parameters, or all; may be repeated, or be a list with commas.",
)
@click.option(
    "--against",
    metavar="PEERS",
    callback=choices(_PEERS, nothing=_NONE),
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
    multiple=True,
    default=DTYPES[:1],
    show_default=True,
    help="float32, float16, bfloat16, float64: of parameters and gradients; a list with commas for several.",
)
@click.option("--steps", type=click.IntRange(min=1), default=20, show_default=True, help="Rounds that count.")
@click.option(
    "--limit",
    type=click.FloatRange(min=0, min_open=True),
    default=20.0,
    show_default=True,
    help="Seconds for one row of the table: then no further round begins, but three count in any case.",
)
@click.option("--centralize", is_flag=True, help="Centralize gradients of convolutions, as conv and resnet50 have.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of large steps.  [default: as in training]")
@around_option
@json_file_option
def bench(
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
    """
    if every and names:
        raise click.UsageError(f"--all is for every optimizer; leave out {', '.join(names)}, or --all")
    chosen = [SHAPE_SETS[name]() for name in set_names]
    asked = list(dict.fromkeys(names)) or _all_plain()
    for name in asked:
        _require_plain(name, together(name, around))
    if centralize:
        _require_convolutions(chosen)
    settings = [Setting(mode, dtype, centralize) for mode in modes for dtype in dtypes]

    from tinyms_core.kernels.threads import thread_count, thread_limit

    with thread_limit(threads) if threads else nullcontext():
        if threads:
            _limit_peers(threads)
        options = {
            "steps": steps,
            "limit": limit,
            "threads": thread_count(),
            "modes": list(modes),
            "dtypes": list(dtypes),
            "centralize": centralize,
            "against": list(against),
            "around": around,
        }
        report = _new_report(options)
        outcomes = _measure_all(asked, chosen, steps, against, around, settings, limit)
    _show(outcomes, report, json_file)


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


def _limit_peers(threads: int) -> None:
    from importlib.util import find_spec

    import mindspore

    mindspore.set_context(runtime_num_threads=threads)
    if find_spec("torch") is not None:
        import torch

        torch.set_num_threads(threads)


def _measure_all(
    names: Sequence[str],
    sets: Sequence[ShapeSet],
    steps: int,
    against: tuple[str, ...],
    around: str,
    settings: Sequence[Setting],
    limit: float,
) -> list[Outcome]:
    from tinyms_core.cli.bench.run import measure, peers_of
    from tinyms_core.cli.bench.timing import WARM_UP

    outcomes = []
    rounds = WARM_UP + steps
    with progress_bar() as bar:
        task = bar.add_task("timing", total=len(names) * len(sets) * len(settings) * rounds, note="")
        for name in names:
            for setting in settings:
                known = peers_of(name, against, setting, around)
                for shapes in sets:
                    bar.update(task, note=f"{name}, {shapes.name}, {setting.mode}, {setting.dtype}")
                    outcomes.append(
                        measure(name, shapes, steps, known, lambda: bar.advance(task), around, setting, limit)
                    )
                    # Some rounds were left out where a step takes long.
                    bar.update(task, completed=len(outcomes) * rounds)
    return outcomes


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


def _show(outcomes: Sequence[Outcome], report: dict[str, Any], json_file: str | None) -> None:
    from tinyms_core.cli.bench.tables import bench_report

    tables_console(json_file).print(bench_report(outcomes, report["settings"]))
    if json_file is not None:
        write_json({**report, "results": [outcome.to_dict() for outcome in outcomes]}, json_file)

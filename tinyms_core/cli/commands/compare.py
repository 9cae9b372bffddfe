"""``tinyms-optim compare``: how many steps and seconds each optimizer takes to the same accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.text import Text

from tinyms_core.cli.errors import Command, CommandError
from tinyms_core.cli.names import OPTIMIZER, distinct
from tinyms_core.cli.number import Number
from tinyms_core.cli.output import json_file_option, progress_bar, tables_console, write_json
from tinyms_core.cli.training_options import launch_in_turn, make_folder, numbers, require_extras
from tinyms_core.cli.versions import versions
from tinyms_core.cli.without_effect import refuse
from tinyms_core.registry.api import optimizer_info

if TYPE_CHECKING:
    from tinyms_core.cli.compare.comparison import Contestant, Settings
    from tinyms_core.cli.compare.tasks import Task

_DEFAULT: Final = ("momentum", "adam", "lamb", "thor")
_TASKS: Final = ("digits", "deep-digits")


@click.command(cls=Command, short_help="Compare steps and seconds to the same accuracy, tuned alike.")
@click.argument("names", metavar="[NAME]...", nargs=-1, type=OPTIMIZER)
@click.option("--task", "tasks", type=click.Choice(_TASKS), multiple=True, help="May be repeated.  [default: all]")
@click.option("--trials", type=click.IntRange(1), default=24, show_default=True, help="Tried of each optimizer.")
@click.option("--seeds", type=click.IntRange(1, 1000), default=5, show_default=True, help="Reported trainings.")
@click.option("--mode", type=click.Choice(["graph", "pynative"]), default="pynative", show_default=True)
@click.option("--target", type=Number(0, 1), help="Accuracy to reach.  [default: the task's]")
@click.option("--limit", type=click.IntRange(1), help="Steps until it is given up.  [default: the task's]")
@click.option(
    "--learning-rate",
    "rates",
    type=Number(min=0),
    multiple=True,
    help="Compare rates, each a row of its own, instead of looking for the best; may be repeated.",
)
@click.option(
    "--set", "given", metavar="NAME=VALUE", multiple=True, callback=numbers, help="A value that is not looked for."
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("tinyms-compare"),
    show_default=True,
    help="Folder of the pictures and the page.",
)
@json_file_option
@click.pass_context
def compare(
    ctx: click.Context,
    names: tuple[str, ...],
    tasks: tuple[str, ...],
    trials: int,
    seeds: int,
    mode: str,
    target: float | None,
    limit: int | None,
    rates: tuple[float, ...],
    given: Mapping[str, Any],
    output: Path,
    json_file: str | None,
) -> None:
    """Compare optimizers NAME by the steps and seconds that they take to the same accuracy.

    Each optimizer gets as many trials, spread over its hyperparameters and judged on a validation part of the data;
    the best three of them train with two more seeds. With the chosen values it trains once for each reported seed,
    in turns with the others, and the accuracy is that of a test part which no choice has seen. A table, a
    picture for each task, and a page (compare.html) with both. Without a NAME: momentum, adam, lamb and thor.

    \b
    Examples:
      tinyms-optim compare
      tinyms-optim compare adam thor --task digits --trials 12 --seeds 3
      tinyms-optim compare adam lion --task digits --learning-rate 0.001 --learning-rate 0.01
    """
    if rates:
        refuse(ctx, "with --learning-rate, where nothing is looked for", "trials")
    require_extras("compare")
    asked = distinct(names or _DEFAULT)
    for name in asked:
        if optimizer_info(name).capabilities.wraps_optimizer:
            raise CommandError(f"{name!r} is built around another optimizer, which compare does not do; train does")
    make_folder(output)

    from tinyms_core.cli.compare.comparison import Settings, compare_on, plan, trainings

    settings = Settings(mode, 1 if rates else trials, seeds)
    entries = plan(asked, rates, given)
    chosen = [_task(name, target, limit) for name in (tasks or _TASKS)]
    launch_in_turn(mode)
    with progress_bar() as bar:
        shown = bar.add_task("training", total=len(chosen) * trainings(entries, settings), note="")

        def advance(note: str) -> None:
            bar.update(shown, advance=1, note=note)

        compared = [(task, compare_on(task, entries, settings, advance)) for task in chosen]
    _report(compared, settings, output, json_file)


def _task(name: str, target: float | None, limit: int | None) -> Task:
    from tinyms_core.cli.compare.tasks import TASKS

    task = TASKS[name]
    return replace(task, target=task.target if target is None else target, limit=limit or task.limit)


def _report(
    compared: Sequence[tuple[Task, Sequence[Contestant]]], settings: Settings, output: Path, json_file: str | None
) -> None:
    from tinyms_core.cli.compare.page import comparison_page
    from tinyms_core.cli.compare.plots import draw_comparison
    from tinyms_core.cli.compare.tables import comparison_table

    screen = tables_console(json_file)
    found = versions("scikit-learn")
    for task, contestants in compared:
        screen.print(comparison_table(contestants, task, settings))
        picture = output / f"{task.name}.png"
        draw_comparison(contestants, task, picture)
        screen.print(Text(f"picture: {picture}"))
    page = output / "compare.html"
    page.write_text(comparison_page(compared, settings, found), encoding="utf-8")
    screen.print(Text(f"page: {page}"))
    if json_file is not None:
        report = {
            "versions": found,
            "settings": asdict(settings),
            "tasks": [
                {**task.to_dict(), "optimizers": [contestant.to_dict() for contestant in contestants]}
                for task, contestants in compared
            ],
        }
        write_json(report, json_file)

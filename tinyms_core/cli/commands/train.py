"""``tinyms-optim train``: real training of a small network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.text import Text

from tinyms_core.cli.around import around_option, refuse_around, together
from tinyms_core.cli.errors import Command, ExitStatus
from tinyms_core.cli.names import OPTIMIZER, distinct
from tinyms_core.cli.number import Number
from tinyms_core.cli.output import json_file_option, progress_bar, tables_console, write_json
from tinyms_core.cli.train.configuration import Configuration, configure
from tinyms_core.cli.training_options import launch_in_turn, make_folder, numbers, require_extras
from tinyms_core.cli.versions import versions
from tinyms_core.registry.api import optimizer_info

if TYPE_CHECKING:
    from tinyms_core.cli.train.training import Result, Settings

_DEFAULT_OPTIMIZER: Final = "adam"


@click.command(cls=Command, short_help="Train a small network on real handwritten digits.")
@click.argument("names", metavar="[NAME]...", nargs=-1, type=OPTIMIZER)
@click.option(
    "--optimizer", "more", metavar="NAME", type=OPTIMIZER, multiple=True, help="One more optimizer; may be repeated."
)
@click.option("--mode", type=click.Choice(["graph", "pynative"]), default="pynative", show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of weights, order and moves.")
@click.option("--epochs", type=click.IntRange(min=1), default=12, show_default=True)
@click.option("--learning-rate", type=Number(min=0), help="At the first step.  [default: as shown]")
@click.option("--weight-decay", type=Number(min=0), help="Of weights, not of biases.  [default: as shown]")
@click.option("--set", "hyperparameters", metavar="NAME=VALUE", multiple=True, callback=numbers, help="Another value.")
@click.option("--batch-size", type=click.IntRange(1, 1000), default=32, show_default=True)
@around_option
@click.option("--goal", type=Number(0, 1), help="Exit status 1 where held-out accuracy is less.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("tinyms-train"),
    show_default=True,
    help="Folder of the picture.",
)
@json_file_option
@click.pass_context
def train(
    ctx: click.Context,
    names: tuple[str, ...],
    more: tuple[str, ...],
    mode: str,
    seed: int,
    epochs: int,
    learning_rate: float | None,
    weight_decay: float | None,
    hyperparameters: Mapping[str, Any],
    batch_size: int,
    around: str,
    goal: float | None,
    output: Path,
    json_file: str | None,
) -> None:
    """Train a small convolutional network on real handwritten digits with each optimizer NAME.

    1,797 digits come with scikit-learn. A fifth of them is held out; the others are moved by up to a pixel, anew in
    each epoch. The table shows the configuration that was used, the loss curves are drawn to loss-curves.png.
    Without a NAME it is adam.

    \b
    Examples:
      tinyms-optim train adam
      tinyms-optim train momentum adam lamb --mode graph --goal 0.97
      tinyms-optim train momentum --learning-rate 0.1 --set use_nesterov=true
      tinyms-optim train lars --around momentum
    """
    require_extras("train")
    asked = distinct((*names, *more) or (_DEFAULT_OPTIMIZER,))
    refuse_around(ctx, asked)
    configurations = [
        configure(
            name,
            together(name, around),
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            hyperparameters=hyperparameters,
            around=around if optimizer_info(name).capabilities.wraps_optimizer else "",
        )
        for name in asked
    ]
    picture = make_folder(output) / "loss-curves.png"

    from tinyms_core.cli.train.training import Settings

    settings = Settings(mode, seed, epochs, batch_size)
    launch_in_turn(mode)
    results = _train_all(configurations, settings)
    _report(results, settings, picture, json_file)
    failures = _failures(results, goal)
    for failure in failures:
        click.echo(failure, err=True)
    ctx.exit(ExitStatus.FAILED if failures else ExitStatus.FINE)


def _train_all(configurations: Sequence[Configuration], settings: Settings) -> list[Result]:
    from tinyms_core.cli.train.data import load
    from tinyms_core.cli.train.training import train_one

    digits = load()
    results = []
    with progress_bar() as bar:
        for configuration in configurations:
            steps = len(digits.train_labels) // settings.batch_size * settings.epochs
            task = bar.add_task(configuration.optimizer, total=steps, note="")

            def advance(epoch: int, loss: float | None, task: Any = task) -> None:
                shown = "" if loss is None else f", loss {loss:.4f}"
                bar.update(task, advance=1, note=f"epoch {epoch} of {settings.epochs}{shown}")

            results.append(train_one(configuration, settings, digits, advance))
    return results


def _report(results: Sequence[Result], settings: Settings, picture: Path, json_file: str | None) -> None:
    from dataclasses import asdict

    from tinyms_core.cli.train.plots import draw_losses
    from tinyms_core.cli.train.tables import results_table

    draw_losses(results, settings, picture)
    screen = tables_console(json_file)
    screen.print(results_table(results, settings))
    screen.print(Text(f"loss curves: {picture}"))
    if json_file is not None:
        report = {
            "versions": versions("scikit-learn"),
            "settings": asdict(settings),
            "loss_curves": str(picture),
            "results": [result.to_dict() for result in results],
        }
        write_json(report, json_file)


def _failures(results: Sequence[Result], goal: float | None) -> list[str]:
    failures = []
    for result in results:
        name = result.configuration.optimizer
        if not math.isfinite(result.train_loss):
            failures.append(f"failed: {name!r} diverged: its training loss is {result.train_loss}")
        elif goal is not None and result.accuracy < goal:
            failures.append(
                f"failed: {name!r} has a held-out accuracy of {result.accuracy:.2%}, the goal is {goal:.2%}"
            )
    return failures

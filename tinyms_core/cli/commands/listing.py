"""``tinyms-optim list``: which optimizers can be used, and which of them can do what is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from tinyms_core.cli.choices import completions
from tinyms_core.cli.errors import Command
from tinyms_core.cli.filters import FLAGS, KINDS, Filters, kind
from tinyms_core.cli.names import OPTIMIZER
from tinyms_core.cli.number import Number
from tinyms_core.cli.output import STANDARD_OUTPUT, console, json_file_option, plain_table, write_json
from tinyms_core.registry.api import list_optimizers, optimizer_info
from tinyms_core.registry.specs import DEVICES, DTYPES, MODES, OptimizerSpec

_HEADINGS: Final = {"state_bytes_per_element": "state\nbytes/element"}
# What is shown, from wide to narrow: the first that leaves room for the summaries is taken.
_COLUMNS: Final = (
    ("name", "kind", "summary", "distribution", "state_bytes_per_element", "sparse", "devices"),
    ("name", "kind", "summary", "state_bytes_per_element", "sparse", "devices"),
    ("name", "summary", "state_bytes_per_element", "sparse"),
    ("name", "summary"),
)
# Characters in which a summary is still pleasant to read.
_SUMMARY: Final = 32


def _one_of(option: str, known: Sequence[str], text: str) -> Any:
    return click.option(option, f"{option.strip('-')}s", type=click.Choice(known), multiple=True, help=text)


def _flags(option: str, text: str) -> Any:
    return click.option(
        option,
        metavar="CAPABILITY",
        type=click.Choice(FLAGS),
        multiple=True,
        shell_complete=completions(FLAGS),
        help=text,
    )


@click.command("list", cls=Command, short_help="List the optimizers that are installed.")
@click.argument("pattern", required=False, type=OPTIMIZER)
@click.option("--exclude", metavar="PATTERN", multiple=True, help="Leave out what matches; may be repeated.")
@_one_of("--kind", KINDS, "How its step is computed; may be repeated, for any of them.")
@_one_of("--sparse", ("exact", "lazy", "none"), "How it applies sparse gradients; may be repeated.")
@_one_of("--device", DEVICES, "With a kernel for it, here or elsewhere; each that is named.")
@_one_of("--dtype", DTYPES, "Takes parameters of this dtype; each that is named.")
@_one_of("--mode", MODES, "Runs in this mode; each that is named.")
@click.option(
    "--weight-decay",
    "decays",
    type=click.Choice(["gradient", "update", "none"]),
    multiple=True,
    help="Where decay enters; update is decoupled; may be repeated.",
)
@_flags("--with", "Has this capability; each that is named. info NAME shows all of them.")
@_flags("--without", "Has it not; none of those that are named.")
@click.option("--max-state", metavar="BYTES", type=Number(min=0), help="State for an element of float32.")
@json_file_option
def list_command(pattern: str | None, exclude: tuple[str, ...], json_file: str | None, **asked: Any) -> None:
    """List the optimizers that are installed, and that are all that is asked for.

    PATTERN is a wildcard as in a shell; quote it.

    \b
    Kinds:
      elementwise  each element by itself, such as adam
      layerwise    with numbers over whole tensors, such as lamb
      wrapper      around another optimizer, such as lars
      network      built from a network, such as thor

    \b
    Examples:
      tinyms-optim list
      tinyms-optim list "adam*" --exclude "*offload"
      tinyms-optim list --sparse exact --weight-decay update --max-state 8
      tinyms-optim list --device GPU --without loss_scale
      tinyms-optim list --json
    """
    filters = Filters(
        kinds=asked["kinds"],
        sparse=asked["sparses"],
        devices=asked["devices"],
        dtypes=asked["dtypes"],
        modes=asked["modes"],
        decays=asked["decays"],
        able=asked["with"],
        unable=asked["without"],
        most_state=asked["max_state"],
    )
    specs = [(name, optimizer_info(name)) for name in list_optimizers(pattern, exclude)]
    rows = [_row(name, spec) for name, spec in specs if filters.accept(spec)]
    if json_file is not None:
        write_json(rows, json_file)
    if json_file == STANDARD_OUTPUT:
        return
    if not rows:
        click.echo(_nothing(pattern, exclude, filtered=bool(specs)), err=True)
        return
    screen = console()
    screen.print(_fitting(rows, screen))


def _nothing(pattern: str | None, exclude: Sequence[str], *, filtered: bool) -> str:
    """Why a listing is empty, and what to do."""
    wanted = f" that match {pattern!r}" if pattern else ""
    wanted += f" without {', '.join(map(repr, exclude))}" if exclude else ""
    if filtered:
        return f"No optimizers{wanted} are all that is asked for; without options the list has all that are installed."
    if list_optimizers():
        return f"No optimizers{wanted}; without these patterns the list has all that are installed."
    return f"No optimizers{wanted}. Install one, such as: pip install tinyms-adam"


def _row(name: str, spec: OptimizerSpec) -> dict[str, Any]:
    return {
        "name": name,
        "aliases": list(spec.aliases),
        "summary": spec.summary,
        "distribution": spec.distribution,
        "kind": kind(spec.capabilities),
        "state_bytes_per_element": spec.state_bytes_per_element(),
        "sparse": spec.capabilities.sparse,
        "devices": sorted({status.spec.device for status in spec.kernels if status.available}),
        "kernels_for": sorted({status.spec.device for status in spec.kernels}),
    }


def _fitting(rows: Sequence[dict[str, Any]], screen: Console) -> Table:
    """The widest of the tables in which there is room for the summaries; the narrowest where there is none."""
    for columns in _COLUMNS:
        table = _table(rows, columns)
        others = _table(rows, [name for name in columns if name != "summary"])
        room = screen.width - Measurement.get(screen, screen.options.update(width=10_000), others).minimum
        if room >= _SUMMARY:
            break
    return table


def _table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> Table:
    left_out = [name.replace("_", " ") for name in _COLUMNS[0] if name not in columns]
    table = plain_table(caption=f"no room for: {', '.join(left_out)}; --json has all" if left_out else "")
    for name in columns:
        table.add_column(
            _HEADINGS.get(name, name),
            justify="right" if name in _HEADINGS else "left",
            no_wrap=name in ("name", "kind"),
        )
    for row in rows:
        table.add_row(*(Text(_cell(row, name)) for name in columns))
    return table


def _cell(row: dict[str, Any], name: str) -> str:
    value = row[name]
    if name == "devices":
        return ", ".join(device if device in value else f"({device})" for device in row["kernels_for"])
    return f"{value:g}" if isinstance(value, float) else str(value)

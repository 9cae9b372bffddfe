"""``tinyms-optim list``: which optimizers can be used."""

from __future__ import annotations

from typing import Any

import click
from rich.text import Text

from tinyms_core.cli.errors import Command
from tinyms_core.cli.output import console, json_flag_option, plain_table, print_json
from tinyms_core.registry.api import list_optimizers, optimizer_info


@click.command("list", cls=Command)
@click.argument("pattern", required=False)
@click.option("--exclude", metavar="PATTERN", multiple=True, help="Leave out what matches; may be repeated.")
@json_flag_option
def list_command(pattern: str | None, exclude: tuple[str, ...], as_json: bool) -> None:
    """List the optimizers that are installed.

    PATTERN is a wildcard as in a shell; quote it.

    \b
    Examples:
      tinyms-optim list
      tinyms-optim list "adam*" --exclude "*offload"
      tinyms-optim list --json
    """
    rows = [_row(name) for name in list_optimizers(pattern, exclude)]
    if as_json:
        print_json(rows)
        return
    if not rows:
        wanted = f" that match {pattern!r}" if pattern else ""
        click.echo(f"No optimizers{wanted}. Install one, such as: pip install tinyms-adam", err=True)
        return
    table = plain_table()
    table.add_column("name", no_wrap=True)
    for heading in ("aliases", "summary", "distribution"):
        table.add_column(heading)
    table.add_column("state\nbytes/element", justify="right")
    for heading in ("sparse", "devices"):
        table.add_column(heading)
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row.values()))
    console().print(table)


def _row(name: str) -> dict[str, Any]:
    spec = optimizer_info(name)
    return {
        "name": name,
        "aliases": list(spec.aliases),
        "summary": spec.summary,
        "distribution": spec.distribution,
        "state_bytes_per_element": spec.state_bytes_per_element(),
        "sparse": spec.capabilities.sparse,
        "devices": sorted({status.spec.device for status in spec.kernels if status.available}),
    }


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)

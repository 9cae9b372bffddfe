"""Where output goes: tables and data to standard output, progress to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tinyms_core.cli.errors import CommandError

# Of output that no terminal limits: wide enough that no table is folded.
_UNLIMITED_WIDTH: Final = 200
STANDARD_OUTPUT: Final = "-"


def console(*, error: bool = False) -> Console:
    """Return a console on standard output, or on standard error.

    Args:
        error: Whether it is standard error's.

    Returns:
        The console; as wide as the terminal, or as ``COLUMNS`` says, or wide where there is neither.
    """
    file = sys.stderr if error else sys.stdout
    width = None if file.isatty() or "COLUMNS" in os.environ else _UNLIMITED_WIDTH
    return Console(file=file, width=width, highlight=False)


def tables_console(json_file: str | None) -> Console:
    """Return the console for tables: standard error's where standard output is taken by JSON."""
    return console(error=json_file == STANDARD_OUTPUT)


def progress_bar() -> Progress:
    """Return a progress bar on standard error that leaves nothing behind; silent without a terminal."""
    screen = console(error=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    )


def plain_table(title: str = "", *, caption: str = "") -> Table:
    """Return an empty table in the style of all commands."""
    return Table(title=title or None, caption=caption or None, title_justify="left", caption_justify="left")


def _check_json_file(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    # Found out before minutes of work, not after.
    if value and value != STANDARD_OUTPUT:
        folder = Path(value).absolute().parent
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise click.BadParameter(f"{str(folder)!r} is not a folder that can be written to", param=parameter)
    return value


json_file_option = click.option(
    "--json",
    "json_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, writable=True, allow_dash=True),
    callback=_check_json_file,
    help="Write the results as JSON; - for standard output.",
)

json_flag_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def print_json(data: Any) -> None:
    """Print data as JSON on standard output."""
    click.echo(json.dumps(data, indent=2))


def write_json(data: Mapping[str, Any], json_file: str) -> None:
    """Write results as JSON.

    Args:
        data: The results.
        json_file: Where to; ``-`` for standard output.

    Raises:
        CommandError: If the file cannot be written.
    """
    if json_file == STANDARD_OUTPUT:
        print_json(data)
        return
    try:
        Path(json_file).write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"--json: {json_file!r} cannot be written: {error.strerror}") from error

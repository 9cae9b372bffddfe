"""Where output goes: tables and data to standard output, progress to standard error."""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tinyms_core.cli.errors import CommandError
from tinyms_core.cli.narrow import NarrowTable

# Of output that no terminal limits: wide enough that no table is folded.
_UNLIMITED_WIDTH: Final = 200
# Of a terminal that does not say how wide it is.
_USUAL_WIDTH: Final = 80
STANDARD_OUTPUT: Final = "-"


def console(*, error: bool = False) -> Console:
    """Return a console on standard output, or on standard error.

    Args:
        error: Whether it is standard error's.

    Returns:
        The console; as wide as the terminal, or as ``COLUMNS`` says, or wide where there is neither.
    """
    file = sys.stderr if error else sys.stdout
    asked = os.environ.get("COLUMNS", "")
    # A terminal that does not know its width says 0.
    if asked.isdigit() and int(asked) > 0:
        width = int(asked)
    else:
        width = _width_of(file) if file.isatty() else _UNLIMITED_WIDTH
    return Console(file=file, width=width, highlight=False)


def _width_of(file: TextIO) -> int:
    try:
        return os.get_terminal_size(file.fileno()).columns or _USUAL_WIDTH
    except OSError:
        return _USUAL_WIDTH


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
    return NarrowTable(title=title or None, caption=caption or None, title_justify="left", caption_justify="left")


def can_write(folder: Path) -> bool:
    """Whether a file can be made in a folder; one is made, and is gone afterwards.

    Permissions alone do not say it: of a medium that is full, or for a user who may do everything.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _check_json_file(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is None or value == STANDARD_OUTPUT:
        return value
    path = Path(value)
    # Without a FILE the option takes the next word for one, as in `info --json adam`.
    if path.suffix != ".json" and path.name == value:
        raise click.BadParameter(
            f"{value!r} does not end in .json; put --json last, write --json=-, or name a file such as results.json",
            param=parameter,
        )
    # Found out before minutes of work, not after.
    if not can_write(path.absolute().parent):
        raise click.BadParameter(f"{str(path.absolute().parent)!r} is not a folder that can be written to")
    return value


json_file_option = click.option(
    "--json",
    "json_file",
    metavar="[FILE]",
    is_flag=False,
    flag_value=STANDARD_OUTPUT,
    type=click.Path(dir_okay=False, writable=True, allow_dash=True),
    callback=_check_json_file,
    help="Write the results as JSON to FILE.json; to standard output without one, or with -.",
)


def print_json(data: Any) -> None:
    """Print data as JSON on standard output."""
    click.echo(_text(data))


def write_json(data: Any, json_file: str) -> None:
    """Write results as JSON; infinities and NaN, which JSON has no words for, as null.

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
        Path(json_file).write_text(_text(data) + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"--json: {json_file!r} cannot be written: {error.strerror}") from error


def _text(data: Any) -> str:
    return json.dumps(_finite(data), indent=2, allow_nan=False)


def _finite(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data

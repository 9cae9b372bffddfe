"""``tinyms-optim new``: a distribution with an optimizer in it that works as it is written."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import click

from tinyms_core import __version__
from tinyms_core.cli.errors import Command, CommandError
from tinyms_core.cli.new.folder import write_folder
from tinyms_core.cli.new.names import Names, new_names
from tinyms_core.cli.new.templates import KINDS, rendered
from tinyms_core.cli.output import STANDARD_OUTPUT, json_file_option, write_json


@click.command(cls=Command, short_help="Write a distribution with an optimizer: a place to begin.")
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(list(KINDS)),
    default="elementwise",
    show_default=True,
    help="What the optimizer is to begin with.",
)
@click.option(
    "--output",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Folder to make NAME's folder in.  [default: the current one]",
)
@click.option("--author", metavar="TEXT", help="Who holds the copyright.  [default: The NAME developers]")
@json_file_option
def new(name: str, kind: str, output: Path, author: str | None, json_file: str | None) -> None:
    """Write a distribution for an optimizer NAME, which installs and keeps the contract as it is.

    It has a rule or an update, a class, a float64 reference, tables of what arguments may be, tests, a licence, and
    a workflow that runs them. Change the rule into yours.

    \b
    Kinds:
      elementwise  a rule on one element, such as Adam's; sparse gradients come with it
      layerwise    a rule with norms of whole tensors, such as Lamb's
      custom       an update of whole tensors, written out, such as AdaFactor's;
                   it begins in numpy, with a declared need of memory while it steps

    \b
    Examples:
      tinyms-optim new lion_demo
      tinyms-optim new my_lamb --kind layerwise --output ~/work --author "Jane Doe"
    """
    names = new_names(name)
    author = f"The {names.name} developers" if author is None else author.strip()
    if not author or not author.isprintable():
        raise CommandError(f"--author must be a line of text, got {author!r}")
    contents = rendered(kind, _values(names, kind, author))
    folder = output / names.name
    write_folder(folder, contents)
    module = "update" if kind == "custom" else "rule"
    following = [
        f"cd {folder}",
        'python3 -m pip install -e ".[dev]"',
        f"tinyms-optim check {names.name}",
        "python3 -m pytest -k update",
        f"tinyms-optim bench {names.name}",
    ]
    if json_file is not None:
        report = {"name": names.name, "kind": kind, "folder": str(folder), "files": [str(path) for path in contents]}
        write_json({**report, "next": following}, json_file)
    if json_file == STANDARD_OUTPUT:
        return
    click.echo(
        f"Wrote {len(contents)} files to {folder}. The {module} is in src/{names.package}/optimizer.py;\n"
        "reference.py and contract.py beside it say what is right.\n"
        "\n"
        "Next:\n" + "\n".join(f"  {command}" for command in following)
    )


def _values(names: Names, kind: str, author: str) -> dict[str, str]:
    major, minor = (int(part) for part in __version__.split(".")[:2])
    return {
        "name": names.name,
        "title": names.title,
        "package": names.package,
        "distribution": names.distribution,
        "summary": KINDS[kind],
        "author": author,
        # A basic string of TOML is one of JSON.
        "author_toml": json.dumps(author, ensure_ascii=False)[1:-1],
        "year": str(datetime.date.today().year),
        "core_from": f"{major}.{minor}",
        "core_below": f"{major}.{minor + 1}",
    }

"""``tinyms-optim gallery``: pictures of what optimizers do, and a page that shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click
from rich.text import Text

from tinyms_core.cli.around import around_option, refuse_around
from tinyms_core.cli.choices import choices
from tinyms_core.cli.errors import Command, CommandError
from tinyms_core.cli.names import OPTIMIZER, distinct
from tinyms_core.cli.output import json_file_option, progress_bar, tables_console, write_json
from tinyms_core.cli.training_options import launch_in_turn, make_folder, require_extras
from tinyms_core.cli.versions import versions
from tinyms_core.registry.api import list_optimizers

_PARTS: Final = ("paths", "digits", "text")


@click.command(cls=Command, short_help="Draw what optimizers do: pictures, and a page that shows them.")
@click.argument("names", type=OPTIMIZER, metavar="[NAME]...", nargs=-1)
@click.option(
    "--part",
    "parts",
    multiple=True,
    default=("all",),
    callback=choices(_PARTS, every="all"),
    help=f"What is shown: {', '.join(_PARTS)} or all; may be repeated.  [default: all]",
)
@around_option
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("tinyms-gallery"),
    show_default=True,
    help="Folder of the pictures and the page.",
)
@json_file_option
@click.pass_context
def gallery(
    ctx: click.Context,
    names: tuple[str, ...],
    parts: tuple[str, ...],
    around: str,
    output: Path,
    json_file: str | None,
) -> None:
    """Draw what optimizers NAME do: PNGs, and a page (index.md) with all of them. Without a NAME: every one.

    Paths on the functions of Rosenbrock, Beale and Rastrigin; the loss while handwritten digits are learned, and
    while a small transformer learns characters; and what comes of other learning rates. Each is shown with the best
    of a few fixed rates. One optimizer takes a minute or two.

    \b
    Examples:
      tinyms-optim gallery
      tinyms-optim gallery my_optimizer adam --part paths
    """
    require_extras("gallery")
    asked = distinct(names or list_optimizers())
    if not asked:
        raise CommandError("no optimizers are installed; install one, such as: pip install tinyms-adam")
    refuse_around(ctx, asked)
    make_folder(output)

    from tinyms_core.cli.gallery.exhibition import draw, exhibit, pieces
    from tinyms_core.cli.gallery.page import gallery_page

    launch_in_turn("pynative")
    exhibits = []
    with progress_bar() as bar:
        shown = bar.add_task("drawing", total=len(asked) * pieces(parts), note="")
        for name in asked:
            exhibits.append(exhibit(name, around, parts, lambda name=name: bar.update(shown, advance=1, note=name)))  # type: ignore[misc]
    files = draw(exhibits, output)
    page = output / "index.md"
    page.write_text(gallery_page(exhibits, parts), encoding="utf-8")
    screen = tables_console(json_file)
    screen.print(Text(f"pictures: {len(files)} in {output}"))
    screen.print(Text(f"page: {page}"))
    if json_file is not None:
        write_json({"versions": versions("matplotlib"), "optimizers": [one.to_dict() for one in exhibits]}, json_file)

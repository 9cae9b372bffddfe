"""The report of a comparison as one HTML file that needs no other."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from io import BytesIO
from string import Template
from typing import Any

from tinyms_core.cli.compare.comparison import Contestant, Settings
from tinyms_core.cli.compare.plots import draw_comparison
from tinyms_core.cli.compare.tables import HEADINGS, caption, rows, title
from tinyms_core.cli.compare.tasks import Task


def comparison_page(
    compared: Sequence[tuple[Task, Sequence[Contestant]]], settings: Settings, versions: Mapping[str, Any]
) -> str:
    """Return the page.

    Args:
        compared: For each task the optimizers.
        settings: What was the same for all of them.
        versions: Of what took part.
    """
    template = Template(files("tinyms_core.cli.compare").joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        sections="\n".join(_section(task, contestants, settings) for task, contestants in compared),
        versions=escape(", ".join(f"{name} {version}" for name, version in versions.items())),
    )


def _section(task: Task, contestants: Sequence[Contestant], settings: Settings) -> str:
    picture = BytesIO()
    draw_comparison(contestants, task, picture)
    encoded = base64.b64encode(picture.getvalue()).decode("ascii")
    head = "".join(f"<th>{escape(heading)}</th>" for heading in HEADINGS)
    body = "\n".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows(contestants))
    return (
        f"<section>\n<h2>{escape(title(task, settings))}</h2>\n"
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>\n'
        f"<p>{escape(caption(task, settings))}.</p>\n"
        f'<img alt="{escape(task.summary)}: accuracy over steps and over seconds" '
        f'src="data:image/png;base64,{encoded}">\n</section>'
    )

"""The page that lists the planted defects; ``python -m tests.conformance.defects.page`` writes it anew."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.conformance.defects import DEFECTS, Defect
from tinyms_core.conformance import list_checks

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "planted-defects.md"

# The modules of defects, in the order of the kit's subjects.
_SUBJECTS = (
    "identity", "construction", "groups", "numbers", "sparse", "execution", "state", "learning", "wrapping", "networks",
)  # fmt: skip

_HEADER = """\
# Planted defects

A check that never fails proves nothing. For each check of the conformance kit there is at least one optimizer
that is deliberately wrong in one thing, and a test that fails when the check does not notice. This page is
generated from them; they are in `tests/conformance/defects/`.

## By subject
"""


def defects_page(defects: Iterable[Defect] = DEFECTS) -> str:
    """The page: each defect with the checks that catch it, then each check with its defects.

    Arguments:
        defects: the defects to list.

    Returns:
        The text of the page, in Markdown.
    """
    entries = list(defects)
    parts = [_HEADER]
    for module in _SUBJECTS:
        parts += [f"### {module.capitalize()}", "", "| defect | what is wrong | caught by |", "|---|---|---|"]
        for defect in entries:
            if _module(defect) == module:
                caught = ", ".join(f"`{name}`" for name in defect.caught_by)
                parts.append(f"| `{defect.name}` | {_cell(defect.summary)} | {caught} |")
        parts.append("")
    parts += ["## By check", "", "| check | defects that it catches |", "|---|---|"]
    for check in list_checks():
        names = ", ".join(f"`{defect.name}`" for defect in entries if check.name in defect.caught_by)
        parts.append(f"| `{check.name}` | {names} |")
    return "\n".join(parts) + "\n"


def _module(defect: Defect) -> str:
    return defect.module.rpartition(".")[2]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(defects_page(), encoding="utf-8")

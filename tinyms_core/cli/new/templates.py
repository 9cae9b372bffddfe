"""The files of a new distribution, made from the templates beside this module.

A template is what will be written, with ``$name`` and the like in it (`string.Template`; ``$$`` is a dollar). Of its
path, ``__package__`` becomes the package's name, a leading ``dot_`` a dot, and the ending ``.template`` goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from string import Template
from typing import Final

KINDS: Final[Mapping[str, str]] = {
    "elementwise": "Steps along the average of the gradients.",
    "layerwise": "Steps along the average of the gradients, each as long as its parameter, times the rate.",
    "custom": "Divides each row of the gradient by the mean size that the row has had so far.",
}
"""What the written optimizer does, for each kind."""

_TEMPLATES: Final = Path(__file__).parent / "templates"
_COMMON: Final = "common"
_ENDING: Final = ".template"
_PACKAGE: Final = "__package__"
_DOT: Final = "dot_"


def rendered(kind: str, values: Mapping[str, str]) -> dict[PurePosixPath, str]:
    """Render the files of a distribution.

    Args:
        kind: Which one, of `KINDS`.
        values: What stands for each name in the templates; ``package`` among them.

    Returns:
        The text of each file, by its path in the distribution's folder.

    Raises:
        KeyError: If a template has a name that ``values`` lacks.
    """
    return {
        _target(path, values["package"]): Template((folder / path).read_text(encoding="utf-8")).substitute(values)
        for folder in (_TEMPLATES / _COMMON, _TEMPLATES / kind)
        for path in _below(folder)
    }


def _below(folder: Path) -> list[PurePosixPath]:
    return sorted(PurePosixPath(path.relative_to(folder)) for path in folder.rglob(f"*{_ENDING}"))


def _target(path: PurePosixPath, package: str) -> PurePosixPath:
    parts = [package if part == _PACKAGE else part for part in path.parts]
    parts = [f".{part.removeprefix(_DOT)}" if part.startswith(_DOT) else part for part in parts]
    return PurePosixPath(*parts[:-1], parts[-1].removesuffix(_ENDING))

"""What is shown of each optimizer, and the files that show it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tinyms_core.cli.gallery import plots
from tinyms_core.cli.gallery.functions import FUNCTIONS
from tinyms_core.cli.gallery.learning import Course, Lesson, digits_lesson, learn, text_lesson, trainings
from tinyms_core.cli.gallery.paths import Path as Way
from tinyms_core.cli.gallery.paths import best_path
from tinyms_core.cli.gallery.rates import COARSE, arguments
from tinyms_core.registry.api import optimizer_info

PATHS: Final = "paths"
LESSONS: Final = {"digits": digits_lesson, "text": text_lesson}
PARTS: Final = (PATHS, *LESSONS)
# What the pictures of lessons say.
_HEADINGS: Final = {"digits": "digits", "text": "characters"}


@dataclass(frozen=True)
class Exhibit:
    """One optimizer in the gallery.

    Attributes:
        name: its name.
        title: its name in words.
        given: with what it was built beside the rate, in words; empty for its defaults.
        needs_network: whether it is built from a network, and so has no ways on functions.
        paths: its ways on the functions.
        courses: what came of its learning.
    """

    name: str
    title: str
    given: str
    needs_network: bool
    paths: tuple[Way, ...]
    courses: tuple[Course, ...]

    @property
    def pictures(self) -> tuple[str, ...]:
        """The names of its pictures."""
        learned = [f"{course.lesson}{kind}" for course in self.courses for kind in ("", "-by-rate")]
        return (*(path.function for path in self.paths), *learned)

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict that ``json.dumps`` takes."""
        return {
            "name": self.name,
            "title": self.title,
            "needs_network": self.needs_network,
            "given": self.given,
            "paths": [path.to_dict() for path in self.paths],
            "courses": [course.to_dict() for course in self.courses],
        }


def exhibit(name: str, around: str, parts: Sequence[str], advance: Callable[[], None]) -> Exhibit:
    """Let an optimizer do what is to be shown.

    Args:
        name: The optimizer's name.
        around: The name of the other one, for an optimizer that is built around one.
        parts: Of `PARTS`.
        advance: Called after each piece of work, of which there are `pieces`.
    """
    spec = optimizer_info(name)
    given = arguments(name, around)
    ways = []
    if PATHS in parts and not spec.capabilities.consumes_network:
        for function in FUNCTIONS:
            ways.append(best_path(function, name, given))
            advance()
    courses = [learn(lesson, name, given, advance) for lesson in lessons(parts)]
    words = ", ".join(f"{key} {value}" for key, value in given.items())
    title = spec.implementation_name.rpartition(":")[2]
    needs_network = spec.capabilities.consumes_network
    return Exhibit(spec.name, title, words, needs_network, tuple(ways), tuple(courses))


def lessons(parts: Sequence[str]) -> list[Lesson]:
    """The lessons among the parts."""
    return [LESSONS[part](COARSE) for part in parts if part in LESSONS]


def pieces(parts: Sequence[str]) -> int:
    """The pieces of work for an optimizer."""
    return len(FUNCTIONS) * (PATHS in parts) + sum(map(trainings, lessons(parts)))


def draw(exhibits: Sequence[Exhibit], folder: Path) -> list[Path]:
    """Draw all pictures into a folder.

    Args:
        exhibits: The optimizers; each has the others in its background.
        folder: The folder; files of the same names are replaced.

    Returns:
        The files.
    """
    files = []
    for one in exhibits:
        for path in one.paths:
            files.append(folder / f"{one.name}-{path.function}.png")
            plots.draw_path(path, one.title, files[-1])
        for place, course in enumerate(one.courses):
            others = [other.courses[place] for other in exhibits if other is not one]
            heading = _HEADINGS[course.lesson]
            files.append(folder / f"{one.name}-{course.lesson}.png")
            plots.draw_losses(course, others, one.title, heading, files[-1])
            files.append(folder / f"{one.name}-{course.lesson}-by-rate.png")
            plots.draw_sensitivity(course, others, one.title, heading, files[-1])
    return files

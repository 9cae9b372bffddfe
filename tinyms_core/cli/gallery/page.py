"""The page of the gallery, in Markdown: thumbnails, and all pictures of each optimizer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from tinyms_core.cli.gallery.exhibition import Exhibit, lessons
from tinyms_core.cli.gallery.functions import FUNCTIONS
from tinyms_core.cli.gallery.learning import DIGITS_BATCH, TEXT_BATCH, TEXT_LENGTH
from tinyms_core.cli.gallery.paths import STEPS
from tinyms_core.cli.gallery.rates import FINE

_INTRODUCTION: Final = """\
# Gallery

How optimizers move: on three functions of two numbers, while they learn handwritten digits, and while they learn
characters. A picture leads to all of its optimizer. The pictures and this page are made by one command:

```sh
tinyms-optim gallery --output docs/gallery
```

It draws optimizers of your own as well: `tinyms-optim gallery my_optimizer`. With the same versions on the same
machine it gives the same pictures.

"""
_HOW: Final = """
## How they were made

Everything but the rate is at its default or as `tinyms-optim train` has it, and no weights decay. So what is seen is
how an optimizer moves, and not which one is best.

"""
_OF_PATHS: Final = """\
- A path has {steps} steps with a fixed rate, the best of {rates} from {least:g} to {most:g}: the one whose last
  steps have the least mean value. A dot is the start, a star the minimum. Both numbers are one parameter of shape
  (1, 2).
"""
_OF_LESSONS: Final = {
    "digits": """\
- *Digits*: the network of `tinyms-optim train`, {steps} steps of {batch} images. Each of the rates on the axis is tried
  for {trial} steps.
""",
    "text": """\
- *Characters*: a transformer of two blocks and some 70,000 weights, {steps} steps of {batch} pieces of {length}
  characters from the help that Python's `pydoc` brings. Each of the rates on the axis is tried for {trial} steps, and
  the best {finalists} then train for longer.
""",
}
_OF_LOSSES: Final = """\
- A loss is the mean over five steps; one beyond the picture is drawn at its edge. Grey lines are the other optimizers.
"""
_BATCHES: Final = {"digits": DIGITS_BATCH, "text": TEXT_BATCH}


def gallery_page(exhibits: Sequence[Exhibit], parts: Sequence[str]) -> str:
    """Return the page.

    Args:
        exhibits: The optimizers.
        parts: What is shown of them.
    """
    leading = (f"[{_image(one, one.pictures[0])}](#{one.name})" for one in exhibits if one.pictures)
    thumbnails = _grid(leading, "gallery thumbnails")
    return "".join([_INTRODUCTION, thumbnails, *(_section(one) for one in exhibits), _HOW, *_how(parts)])


def _how(parts: Sequence[str]) -> Iterable[str]:
    if any(part not in _OF_LESSONS for part in parts):
        yield _OF_PATHS.format(steps=STEPS, rates=len(FINE), least=FINE[0], most=FINE[-1])
    for lesson in lessons(parts):
        yield _OF_LESSONS[lesson.name].format(
            steps=lesson.steps,
            trial=lesson.trial,
            finalists=lesson.finalists,
            batch=_BATCHES[lesson.name],
            length=TEXT_LENGTH,
        )
        yield _OF_LOSSES if lesson.name == lessons(parts)[-1].name else ""


def _section(one: Exhibit) -> str:
    lines = [f"\n## {one.title} {{#{one.name}}}\n\n"]
    if one.pictures:
        lines.append(_grid(_image(one, picture) for picture in one.pictures))
    if one.given:
        lines.append(f"\nWith {one.given}.\n")
    if one.paths:
        titles = {function.name: function.title for function in FUNCTIONS}
        reached = ", ".join(f"{titles[path.function]} {path.values[-1]:.2g}" for path in one.paths)
        lines.append(f"\nValue after {STEPS} steps: {reached}.\n")
    if one.needs_network:
        lines.append("\nIt is built from a network, so it has no path on a function of two numbers.\n")
    return "".join(lines)


def _image(one: Exhibit, picture: str) -> str:
    return f"![{one.title}: {picture}]({one.name}-{picture}.png)"


def _grid(cells: Iterable[str], kind: str = "gallery") -> str:
    return f'<div class="{kind}" markdown>\n\n' + "\n\n".join(cells) + "\n\n</div>\n"

"""Formulas as MathML, which browsers draw by themselves; and those of docstrings as Markdown."""

from __future__ import annotations

import re
from typing import Any

from latex2mathml.converter import convert

_BLOCK = re.compile(r"^(?P<indent> *)\.\. math::\n(?P<body>(?:(?P=indent) +\S.*\n?|[ \t]*\n)+)", re.MULTILINE)
_BIG = re.compile(r"\\big[lr]?(?:(?P<open>[(\[])|(?P<close>[)\]]))")
_INLINE = re.compile(r":math:`([^`]+)`")
_EXAMPLE = re.compile(r"^( *)Example:$", re.MULTILINE)


def to_mathml(latex: str, display: str = "inline") -> str:
    """A formula in LaTeX as MathML.

    Arguments:
        latex: the formula.
        display: ``"inline"`` or ``"block"``.

    Raises:
        ValueError: a command is not known.
    """
    # Fences that grow with what is in them: those of a fixed size are drawn in two sizes where one has an exponent.
    latex = _BIG.sub(lambda fence: f"\\left{fence['open']}" if fence["open"] else f"\\right{fence['close']}", latex)
    # The converter leaves the escape of an underscore inside of text.
    converted = str(convert(" ".join(latex.split()), display=display)).replace("\\_", "_")
    if "\\" in converted:
        raise ValueError(f"a command that cannot be shown as MathML in {latex!r}: {converted}")
    return converted


def lines_of(latex: str) -> list[str]:
    """The equations of a displayed formula, which blank lines and wide spaces set apart."""
    parts = (part.strip() for part in re.split(r"\n\s*\n|\\qquad", latex))
    return [part for part in parts if part]


def display(source: str, *_arguments: Any, **_options: Any) -> str:
    """A fence of the language ``math``, each equation on a line of its own."""
    rows = "".join(f'<div class="equation">{to_mathml(line, "block")}</div>' for line in lines_of(source))
    return f'<div class="formula">{rows}</div>'


def inline(source: str, *_arguments: Any, **_options: Any) -> str:
    """Code that begins with ``#!math``."""
    return to_mathml(source)


def docstring_to_markdown(text: str) -> str:
    """A docstring whose formulas are fences and code of the language ``math``, and whose example is a section."""
    text = _BLOCK.sub(_as_fence, text)
    text = _INLINE.sub(lambda found: f"`#!math {' '.join(found[1].split())}`", text)
    return _EXAMPLE.sub(r"\1Examples:", text)


def _as_fence(found: re.Match[str]) -> str:
    indent = found["indent"]
    body = "\n".join(f"{indent}{line.strip()}".rstrip() for line in found["body"].strip("\n").splitlines())
    return f"{indent}```math\n{body.rstrip()}\n{indent}```\n\n"

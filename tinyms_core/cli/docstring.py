"""An optimizer's docstring, read from its source, so that neither MindSpore nor numba is imported for it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from importlib.util import find_spec
from itertools import takewhile
from typing import Any, Final

from tinyms_core.registry.specs import OptimizerSpec

_MATHS: Final = ".. math::"


def docstring(spec: OptimizerSpec) -> str:
    """Return the docstring of an optimizer's class, or of the function that builds it.

    Args:
        spec: The optimizer.

    Returns:
        The docstring, without its indentation; empty where there is none, or no source to read it from.
    """
    if callable(spec.implementation):
        return inspect.getdoc(spec.implementation) or ""
    module, _, name = spec.implementation.partition(":")
    found: Any = ast.parse(_source(module))
    for part in name.split("."):
        found = next((node for node in found.body if getattr(node, "name", None) == part), None)
        if not isinstance(found, (ast.ClassDef, ast.FunctionDef)):
            return ""
    return ast.get_docstring(found) or ""


def formulas(text: str) -> list[str]:
    """Return the formulas of a docstring, as TeX.

    Args:
        text: A docstring without its indentation.

    Returns:
        What stands below each ``.. math::``, also on its line.

    Example:
        >>> formulas("A step.\\n\\n.. math::\\n    w - g\\n\\nArguments:\\n    w: it.\\n")
        ['w - g']
    """
    found = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.strip().startswith(_MATHS):
            indent = len(line) - len(line.lstrip())
            below = takewhile(lambda other: not other.strip() or _depth(other) > indent, lines[number + 1 :])  # noqa: B023
            found.append("\n".join((line.strip()[len(_MATHS) :], textwrap.dedent("\n".join(below)))).strip())
    return found


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _source(module: str) -> str:
    spec = find_spec(module)
    source = getattr(spec.loader, "get_source", lambda _: None)(module) if spec is not None else None
    return source or ""

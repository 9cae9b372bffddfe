"""Identity: the documentation tells the truth about the arguments."""

from __future__ import annotations

import inspect
import re

from tinyms_core.conformance.catalog import ONCE, check
from tinyms_core.conformance.compare import require
from tinyms_core.conformance.subject import Subject

_SECTION = re.compile(r"^(?:Args|Arguments|Parameters|Inputs):\s*$")
_ENTRY = re.compile(r"^(\*{0,2}\w+)\s*(?:\([^)]*\))?\s*(?::|-)\s*(.*)$")


@check("Identity", ONCE, networks=True)
def check_docstring_matches_signature(subject: Subject) -> None:
    """The class's docstring documents every argument, and no other, in the constructor's order."""
    found = subject.declared_class
    # A class does not inherit a docstring; a function that builds an optimizer of a network has its own.
    own = found.__dict__.get("__doc__") if isinstance(found, type) else found.__doc__
    documented = documented_arguments(own or "")
    taken = list(inspect.signature(found).parameters)
    require(documented, "the class's docstring has no 'Arguments:' section")
    missing = [name for name in taken if name not in documented]
    unknown = [name for name in documented if name not in taken]
    require(not missing, f"not documented: {missing}")
    require(not unknown, f"documented, but no argument: {unknown}")
    empty = [name for name, text in documented.items() if not text]
    require(not empty, f"documented without a word: {empty}")
    require(list(documented) == taken, f"documented in the order {list(documented)}, taken in the order {taken}")


def documented_arguments(docstring: str) -> dict[str, str]:
    """The entries of a docstring's section about arguments.

    Arguments:
        docstring: in the form that this library writes, with ``Arguments:`` or ``Args:``.

    Returns:
        The text of each entry, by the argument's name; empty where there is no such section.

    Example:
        >>> documented_arguments("A thing.\\n\\nArguments:\\n    size: how large\\n        it is.\\n")
        {'size': 'how large it is.'}
    """
    lines = inspect.cleandoc(docstring).splitlines()
    start = next((index for index, line in enumerate(lines) if _SECTION.match(line)), None)
    entries: dict[str, str] = {}
    name, level = "", 0
    for line in lines[start + 1 :] if start is not None else ():
        if line and not line[0].isspace():
            break
        text = line.strip()
        depth = len(line) - len(line.lstrip())
        level = level or depth
        found = _ENTRY.match(text) if depth == level else None
        if found:
            name = found.group(1)
            entries[name] = found.group(2)
        elif name and text:
            entries[name] = f"{entries[name]} {text}".strip()
    return entries

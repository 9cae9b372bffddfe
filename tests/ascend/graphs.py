"""The operators of each optimizer's step in a graph, as MindSpore compiles it for Ascend's dtypes, on the CPU.

``python -m tests.ascend.graphs`` prints for each optimizer that is named, or for all, a line of JSON. The operators are
read from what MindSpore writes of its own compilation, so it is a process of its own: where to write is asked once.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

# Read by MindSpore when it is imported, which is below.
FOLDER = "MS_DEV_SAVE_GRAPHS_PATH"
SWITCHES = {"MS_DEV_SAVE_GRAPHS": "1", "MS_DEV_DUMP_IR_PASSES": "validate", "GLOG_v": "3"}

# The last step of the compilation that knows of no device, and so is the same for Ascend.
LAST_PASS = "validate"
_NODE = re.compile(r"  %\d+\(")
# An operator's own name may have ``PrimFunc_`` or ``Primitive_`` in front, which says how it is made.
_CALL = re.compile(r"  %\d+\(.*?\) = (?:PrimFunc_|Primitive_)?([\w.]+|call @[^(]*|%[^(]*)[\[(]")
# What it takes and gives, and the Cells that it is in, are on lines below.
_TYPES, _SCOPE = "      : (", "      # Fullname with scope: ("
_TENSOR = re.compile(r"Tensor\[(\w+)\]")


def operators_in(text: str, without: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """The operators of a compiled graph and of its parts.

    Arguments:
        text: the graph as MindSpore writes it.
        without: what the names of Cells contain whose operators do not count.

    Returns:
        For each operator the dtypes of the tensors that it takes and gives, sorted.

    Raises:
        ValueError: MindSpore writes graphs in another way.
    """
    found: dict[str, set[str]] = {}
    waiting, kinds = "", None
    for line in text.splitlines():
        if _NODE.match(line):
            call = _CALL.match(line)
            if call is None or waiting:
                raise ValueError(f"MindSpore writes graphs in another way: {waiting or line.strip()[:200]!r}")
            waiting, kinds = call.group(1), None
        elif waiting and kinds is None and line.startswith(_TYPES):
            # Below there may be a line of shapes that are not known, written alike.
            kinds = {kind.lower() for kind in _TENSOR.findall(line)}
        elif waiting and kinds is not None and line.startswith(_SCOPE):
            # The parts of a graph call each other by names of their own.
            if waiting.isidentifier() and not any(name in line for name in without):
                found.setdefault(waiting, set()).update(kinds)
            waiting = ""
    return {name: sorted(own) for name, own in sorted(found.items())}


@contextmanager
def as_on_ascend() -> Iterator[None]:
    """Optimizers that are made inside the ``with`` block step as on Ascend: with operators, and none in float64."""
    from tinyms_core.kernels.trampoline import withheld

    with withheld(), patch("tinyms_core.optimizer.base.wide_name", lambda device: "float32"):
        yield


def compiled(cell: Any, *inputs: Any) -> str:
    """Compile a Cell, and return what MindSpore writes of it after the last step that knows of no device."""
    folder = Path(os.environ[FOLDER])
    before = set(folder.rglob("*.ir"))
    cell.compile(*inputs)
    own = [path for path in folder.rglob(f"*_{LAST_PASS}_*.ir") if path not in before]
    if len(own) != 1:
        raise RuntimeError(f"MindSpore wrote {len(own)} graphs after its pass {LAST_PASS!r}; one is right")
    return own[0].read_text(encoding="utf-8")


def main(names: list[str]) -> None:
    """Print the operators of optimizers' steps."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update({FOLDER: folder, **SWITCHES})
        import mindspore

        from tests.ascend.steps import step_of
        from tinyms_core.registry.api import list_optimizers

        mindspore.set_context(mode=mindspore.GRAPH_MODE)
        for name in names or list_optimizers():
            with as_on_ascend():
                step = step_of(name)
                text = compiled(*step.inputs)
            print(json.dumps([name, operators_in(text, step.others)]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

"""How long a new process takes until its first step is done, with compiled kernels at hand and without.

Each start is a process of its own. The folder of compiled kernels and numba's own cache are new and empty for the
first start, and as that one left them for the others.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from tinyms_core.optimizer.tensor_reader import LIBRARY_STEM

if TYPE_CHECKING:
    from rich.table import Table

    from tinyms_core.cli.bench.setting import Setting

_MODULE: Final = "tinyms_core.cli.bench.cold_start"
WARM_STARTS: Final = 3
PHASES: Final = ("python", "mindspore", "step")
_HEADINGS: Final = ("start of\nPython", "import\nmindspore", "first\nstep")


@dataclass(frozen=True)
class Start:
    """What a start took.

    Attributes:
        python: seconds until the interpreter runs, and has read what to do.
        mindspore: seconds to import mindspore.
        step: seconds to import and build the optimizer, and for its first step; with the import of numba, where its
            kernels need that.
        numba: whether numba was imported.
    """

    python: float
    mindspore: float
    step: float
    numba: bool

    @property
    def total(self) -> float:
        """All of it."""
        return self.python + self.mindspore + self.step


@dataclass(frozen=True)
class ColdStart:
    """Starts with one optimizer.

    Attributes:
        optimizer: its name.
        mode: how its step is called.
        empty: the start with empty caches.
        warm: the starts after it.
        compiled: files that the first start left in the caches.
        added: files that the later ones added, which should be none.
    """

    optimizer: str
    mode: str
    empty: Start
    warm: tuple[Start, ...]
    compiled: int
    added: int

    def warm_median(self, phase: str) -> float:
        """The median over warm starts of a phase, or of ``"total"``."""
        return float(median(getattr(start, phase) for start in self.warm))

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict that ``json.dumps`` takes."""
        return {
            "optimizer": self.optimizer,
            "mode": self.mode,
            "empty_seconds": _seconds(self.empty),
            "warm_seconds": {phase: self.warm_median(phase) for phase in (*PHASES, "total")},
            "warm_starts_seconds": [_seconds(start) for start in self.warm],
            "numba": {"empty": self.empty.numba, "warm": any(start.numba for start in self.warm)},
            "compiled_files": self.compiled,
            "added_files": self.added,
        }


def _seconds(start: Start) -> dict[str, float]:
    return {phase: getattr(start, phase) for phase in (*PHASES, "total")}


def measure_cold_start(
    name: str, around: str, setting: Setting, started: Callable[[], None] = lambda: None
) -> ColdStart:
    """Start processes that do one step.

    Args:
        name: The optimizer's name.
        around: What it is built around, where it is built so.
        setting: Mode and dtype.
        started: Called after each start.

    Returns:
        What they took.

    Raises:
        CommandError: If a process fails.
    """
    from tinyms_core.cli.bench.children import ask_child
    from tinyms_core.kernels.generated import CACHE_VARIABLE

    task = {"name": name, "around": around, "setting": asdict(setting)}
    with tempfile.TemporaryDirectory(prefix="tinyms-cold-start-") as folder:
        environment = {CACHE_VARIABLE: str(Path(folder) / "kernels"), "NUMBA_CACHE_DIR": str(Path(folder) / "numba")}

        def start() -> Start:
            answer = ask_child(_MODULE, {**task, "asked": time.time()}, environment)
            started()
            return Start(**answer)

        empty = start()
        compiled = _files(folder)
        warm = tuple(start() for _ in range(WARM_STARTS))
        return ColdStart(name, setting.mode, empty, warm, compiled, _files(folder) - compiled)


def _files(folder: str) -> int:
    """How many there are, without those of the library that is compiled in the background meanwhile."""
    found = Path(folder).rglob("*")
    return sum(path.is_file() and not path.name.startswith(LIBRARY_STEM) for path in found)


def cold_start_table(starts: Sequence[ColdStart]) -> Table:
    """Return the table of seconds, with a row for the empty cache and one for the warm one of each optimizer."""
    from rich.text import Text

    from tinyms_core.cli.output import plain_table

    table = plain_table(
        "Seconds from the start of a process to the end of its first step",
        caption=f"warm: median of {WARM_STARTS} starts with what the first one compiled. "
        "numba: whether it was imported, in the first step.",
    )
    for heading in ("optimizer", "mode", "cache"):
        table.add_column(heading, no_wrap=True)
    for heading in (*_HEADINGS, "all"):
        table.add_column(heading, justify="right")
    table.add_column("numba")
    for start in starts:
        own = [f"{getattr(start.empty, phase):.2f}" for phase in (*PHASES, "total")]
        warm = [f"{start.warm_median(phase):.2f}" for phase in (*PHASES, "total")]
        table.add_row(Text(start.optimizer), start.mode, "empty", *own, _imported(start.empty))
        table.add_row("", "", "warm", *warm, _imported(*start.warm))
    return table


def _imported(*starts: Start) -> str:
    return "imported" if any(start.numba for start in starts) else "-"


def _start_here(task: dict[str, Any]) -> dict[str, Any]:
    moments = [task["asked"], time.time()]
    import mindspore  # noqa: F401

    moments.append(time.time())
    import numpy as np

    from tinyms_core.cli.around import together
    from tinyms_core.cli.bench.arguments import bench_arguments
    from tinyms_core.cli.bench.setting import Setting
    from tinyms_core.cli.bench.steps import CellStep
    from tinyms_core.optimizer.modes import execution_mode
    from tinyms_core.registry.probe import resolve

    setting = Setting(**task["setting"])
    spec = together(task["name"], task["around"])
    values = [np.ones(shape, np.float32) for shape in ((4, 3), (5,))]
    with execution_mode(setting.mode):
        step = CellStep(resolve(spec.implementation), bench_arguments(spec), values, values, setting)
        step()
    moments.append(time.time())
    seconds = {phase: end - start for phase, (start, end) in zip(PHASES, pairwise(moments), strict=True)}
    return {**seconds, "numba": "numba" in sys.modules}


if __name__ == "__main__":
    os.environ.setdefault("GLOG_v", "3")
    print(json.dumps(_start_here(json.load(sys.stdin))))

"""How much memory a step needs for a while, beyond parameters, gradients and state.

A process of its own builds the optimizer, does a few steps, so that everything that lasts is there, and fills what
MindSpore has kept of freed memory. Then the kernel's mark of the peak of resident memory is set back
(``/proc/self/clear_refs``), a step is done, and the mark (``VmHWM``) is compared with what was resident before.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from math import prod
from typing import Any, Final

from tinyms_core.cli.around import together
from tinyms_core.cli.bench.arguments import bench_arguments
from tinyms_core.cli.bench.children import ask_child
from tinyms_core.cli.bench.setting import Setting
from tinyms_core.cli.bench.shapes import ShapeSet
from tinyms_core.kernels.storage import WIDTHS

_MODULE: Final = "tinyms_core.cli.bench.memory"
_STEPS: Final = 3
# Tensors like the largest parameter that take the place of freed memory.
_HELD: Final = 2


@dataclass(frozen=True)
class Memory:
    """What a step needs for a while.

    Attributes:
        peak_bytes: resident memory at its peak, beyond that before the step; the largest of a few steps.
        parameter_bytes: bytes of the parameters.
    """

    peak_bytes: int
    parameter_bytes: int

    @property
    def fraction(self) -> float:
        """The peak over the parameters' bytes."""
        return self.peak_bytes / self.parameter_bytes

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict that ``json.dumps`` takes."""
        return {**asdict(self), "fraction": self.fraction}


def measure_memory(name: str, shapes: ShapeSet, around: str, setting: Setting) -> Memory | None:
    """Measure in a process of its own what a step of an optimizer needs.

    Args:
        name: The optimizer's name.
        shapes: The parameters' shapes.
        around: What it is built around, where it is built so.
        setting: Mode, dtype and preprocessing.

    Returns:
        What it needs; None where the system does not tell the peak.

    Raises:
        CommandError: If the process fails.
    """
    task = {"name": name, "shapes": shapes.shapes, "around": around, "setting": asdict(setting)}
    peak = ask_child(_MODULE, task)["peak_bytes"]
    return None if peak is None else Memory(peak, shapes.elements * WIDTHS[setting.dtype])


def _measure_here(task: dict[str, Any]) -> int | None:
    import numpy as np
    from mindspore import Tensor

    from tinyms_core.cli.bench.numbers import Numbers
    from tinyms_core.cli.bench.steps import CellStep
    from tinyms_core.conformance.catalog import CheckSkipped
    from tinyms_core.conformance.memory import peak_growth
    from tinyms_core.optimizer.modes import execution_mode
    from tinyms_core.registry.probe import resolve

    shapes = ShapeSet("asked", tuple(tuple(shape) for shape in task["shapes"]))
    setting = Setting(**task["setting"])
    spec = together(task["name"], task["around"])
    with execution_mode(setting.mode):
        make = resolve(spec.implementation)
        step = CellStep(make, bench_arguments(spec), Numbers(shapes, 0), Numbers(shapes, 1), setting)
        for _ in range(_STEPS):
            step()
        largest = max(prod(shape) for shape in shapes.shapes)
        held = [Tensor(np.ones(largest, np.float32)) * 1.0 for _ in range(_HELD)]
        for tensor in held:
            # Waits for it: the allocation is not the step's.
            tensor.asnumpy()
        try:
            return max(peak_growth(step) for _ in range(_STEPS))
        except CheckSkipped:
            return None


if __name__ == "__main__":
    os.environ.setdefault("GLOG_v", "3")
    print(json.dumps({"peak_bytes": _measure_here(json.load(sys.stdin))}))

"""Whether the memory suffices, before minutes of work end with a process that the system kills."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, Final

from tinyms_core.cli.bench.setting import Setting
from tinyms_core.cli.bench.shapes import ShapeSet
from tinyms_core.cli.errors import CommandError
from tinyms_core.kernels.storage import WIDTHS
from tinyms_core.registry.specs import OptimizerSpec

_MEMORY: Final = Path("/proc/meminfo")
# Of the memory that is free, for what else a process needs.
_SHARE: Final = 0.9


def available_bytes() -> int | None:
    """Return the bytes of memory that the system would give out; None where it does not say."""
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", _MEMORY.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return None
    return int(found.group(1)) << 10 if found else None


def fits(needed: int) -> bool:
    """Whether so many bytes can be had, and leave something over; True where the system does not say."""
    available = available_bytes()
    return available is None or needed <= _SHARE * available


def contestant_bytes(spec: OptimizerSpec, arguments: Mapping[str, Any], shapes: ShapeSet, setting: Setting) -> int:
    """Return the bytes of parameters, gradients and state of one contestant."""
    own = 2 * shapes.elements * WIDTHS[setting.dtype]
    return own + sum(_state_bytes(spec, arguments, shape, setting.dtype) for shape in shapes.shapes)


def _state_bytes(spec: OptimizerSpec, arguments: Mapping[str, Any], shape: tuple[int, ...], dtype: str) -> int:
    values = {**spec.defaults, **arguments}
    kept = [slot for slot in spec.state if slot.per_parameter and slot.kept_with(values)]
    return sum(prod(slot.shape_for(shape, values)) * WIDTHS[slot.dtype_for(shape, dtype, values)] for slot in kept)


def require_room(
    spec: OptimizerSpec, arguments: Mapping[str, Any], shapes: ShapeSet, setting: Setting, *, contestants: int
) -> None:
    """Refuse what does not fit into memory.

    Args:
        spec: The optimizer.
        arguments: What it is built with.
        shapes: The parameters' shapes.
        setting: Their dtype.
        contestants: How many optimizers are timed in turns.

    Raises:
        CommandError: If it does not fit; the message says how much there is.
    """
    # The tensors that are walked over without arithmetic are as many as those of one contestant.
    needed = (contestants + 1) * contestant_bytes(spec, arguments, shapes, setting)
    if not fits(needed):
        available = available_bytes() or 0
        raise CommandError(
            f"--shapes: {shapes.name!r} needs {needed / 2**30:.1f} GiB for {contestants} optimizer(s) in turns with "
            f"{spec.name!r}, and {available / 2**30:.1f} GiB are available; name a smaller set, or --against none"
        )

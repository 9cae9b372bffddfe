"""Kernels: update rules compiled for the CPU and for GPUs, apart from MindSpore.

`ArrayOptimizer` is the entry for plain arrays: numpy's, or anything of a GPU's that has ``__cuda_array_interface__``
or ``__dlpack__``. Neither it nor anything else that these names need imports MindSpore. They are imported when they
are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinyms_core.kernels.array_algorithm import ArrayFactor
    from tinyms_core.kernels.array_optimizer import ArrayOptimizer, PreparedStep

_HOMES = {"ArrayFactor": "array_algorithm", "ArrayOptimizer": "array_optimizer", "PreparedStep": "array_optimizer"}

__all__ = ["ArrayFactor", "ArrayOptimizer", "PreparedStep"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'tinyms_core.kernels' has no attribute {name!r}")
    return getattr(import_module(f"tinyms_core.kernels.{home}"), name)

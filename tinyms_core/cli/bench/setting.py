"""How steps are timed: the mode, the dtype, and what is done to gradients before an update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MODES: Final = ("pynative", "graph", "jit")
DTYPES: Final = ("float32", "float16", "bfloat16", "float64")


@dataclass(frozen=True)
class Setting:
    """What is the same for all contestants of a race.

    Attributes:
        mode: ``"pynative"``, ``"graph"`` for a compiled Cell in graph mode, or ``"jit"`` for a function under
            ``mindspore.jit``; both call the optimizer with the gradients that they are called with.
        dtype: of parameters and gradients.
        centralize: whether gradients of convolutions are centralized.
    """

    mode: str = "pynative"
    dtype: str = "float32"
    centralize: bool = False

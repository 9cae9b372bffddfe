"""Names of MindSpore's floating-point dtypes, as kernels know them."""

from __future__ import annotations

from typing import Any

import mindspore

NAMES: dict[Any, str] = {
    mindspore.float32: "float32",
    mindspore.float16: "float16",
    mindspore.bfloat16: "bfloat16",
    mindspore.float64: "float64",
}
DTYPES = {name: kind for kind, name in NAMES.items()}


def dtype_name(kind: Any) -> str | None:
    """The name of a floating-point dtype, or None when it is not one."""
    return NAMES.get(kind)


def wide_name(device: str) -> str:
    """The dtype for scalars inside a graph: float64, or float32 on Ascend, whose operators lack float64."""
    return "float32" if device == "Ascend" else "float64"

"""Arrays in one block of memory. The system gives large pages to large blocks alone, and memory in them is faster."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

# Bytes that a processor reads at once.
_LINE: Final = 64


def arrays_in_one_block(shapes: Sequence[tuple[int, ...]], dtypes: Sequence[npt.DTypeLike]) -> list[npt.NDArray[Any]]:
    """Arrays one after the other in a block of memory, which is free again when all of them are.

    Arguments:
        shapes: of each.
        dtypes: of each.

    Returns:
        The arrays, of no certain content; each begins with a line of the cache.
    """
    kinds = [np.dtype(dtype) for dtype in dtypes]
    sizes = [math.prod(shape) * kind.itemsize for shape, kind in zip(shapes, kinds, strict=True)]
    starts = np.cumsum([0, *(-(-size // _LINE) * _LINE for size in sizes)]).tolist()
    block = np.empty(starts[-1] + _LINE, dtype=np.uint8)
    first = -block.ctypes.data % _LINE
    places = zip(starts, sizes, kinds, shapes, strict=False)
    return [block[first + at : first + at + size].view(kind).reshape(shape) for at, size, kind, shape in places]

"""Sparse gradients on the host: the rows of a table that a batch has touched.

A touched row is handed to the kernel as if it were a tensor of its own, so the kernel of the dense step
serves, with its preprocessing, and a lazy step costs time in proportion to the rows. An exact step,
which also ages the state of untouched rows, walks the table in blocks with a small dense gradient each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import mindspore
import numpy as np
import numpy.typing as npt
from mindspore import Parameter, Tensor
from mindspore.common.sparse_tensor import RowTensor, RowTensorInner

from tinyms_core.kernels.batch import Batch, make_batch
from tinyms_core.kernels.cpu import compute_type
from tinyms_core.optimizer.dtypes import DTYPES, dtype_name
from tinyms_core.registry.validation import describe

# Elements of a block of an exact step's gradient.
BLOCK = 1 << 18

Rows = npt.NDArray[np.int64]
Values = npt.NDArray[Any]


@dataclass(frozen=True)
class SparseGradient:
    """A sparse gradient with distinct rows.

    Attributes:
        rows: the touched rows, ascending.
        values: the gradient of each, shape (len(rows), elements of a row), in the arithmetic's dtype.
    """

    rows: Rows
    values: Values


def is_sparse(gradient: Any) -> bool:
    """Whether a gradient comes as rows: a RowTensor, or a tuple (indices, values, dense_shape)."""
    if isinstance(gradient, tuple | list):
        return len(gradient) == 3 and isinstance(gradient[0], Tensor) and isinstance(gradient[1], Tensor)
    return isinstance(gradient, RowTensor | RowTensorInner)


def parts(gradient: Any) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Indices, values and dense shape of a sparse gradient."""
    if isinstance(gradient, tuple | list):
        indices, values, shape = gradient
    else:
        indices, values, shape = gradient.indices, gradient.values, gradient.dense_shape
    return indices, values, tuple(int(n) for n in (shape.asnumpy() if isinstance(shape, Tensor) else shape))


def read_sparse(owner: str, gradient: Any, parameter: Parameter, summed: bool) -> SparseGradient:
    """Check a sparse gradient and sum its duplicate rows.

    Arguments:
        owner: the optimizer's name, for errors.
        gradient: what `is_sparse` accepts.
        parameter: the table.
        summed: whether rows may occur more than once and are to be summed.

    Returns:
        The gradient with distinct rows.

    Raises:
        TypeError: indices or the dense shape are not integers, or values not floating-point.
        ValueError: a parameter without rows, shapes that do not fit the table, an index outside it, or, without
            ``summed``, twice.
    """
    name = parameter.name
    _require_dense_shape(owner, name, gradient)
    indices, values, shape = parts(gradient)
    table = tuple(parameter.shape)
    if not table:
        raise ValueError(
            f"{owner}: the gradient of {name!r} is sparse, but the parameter is one number and has no rows; make it "
            "dense"
        )
    if shape != table:
        raise ValueError(f"{owner}: the sparse gradient of {name!r} is for shape {shape}, the parameter has {table}")
    if indices.dtype not in (mindspore.int32, mindspore.int64):
        raise TypeError(
            f"{owner}: the indices of the gradient of {name!r} are of {indices.dtype}; int32 or int64 is right"
        )
    if dtype_name(values.dtype) is None:
        raise TypeError(f"{owner}: the values of the gradient of {name!r} are of {values.dtype}, not floating-point")
    if indices.ndim != 1 or tuple(values.shape) != (indices.shape[0], *table[1:]):
        raise ValueError(
            f"{owner}: the sparse gradient of {name!r} has indices of shape {tuple(indices.shape)} and values of "
            f"shape {tuple(values.shape)}; right are (n,) and {('n', *table[1:])}"
        )
    rows = indices.asnumpy().astype(np.int64)
    if len(rows) and (rows.min() < 0 or rows.max() >= table[0]):
        wrong = int(rows[(rows < 0) | (rows >= table[0])][0])
        raise ValueError(f"{owner}: the gradient of {name!r} has the index {wrong}; its rows are 0 to {table[0] - 1}")
    kind = compute_type(dtype_name(parameter.dtype) or "float32")
    width = int(np.prod(table[1:], dtype=np.int64))
    numbers = values.astype(DTYPES[kind]).asnumpy().reshape(len(rows), width)
    return _distinct(owner, name, rows, numbers, summed)


def _require_dense_shape(owner: str, name: str, gradient: Any) -> None:
    given = gradient[2] if isinstance(gradient, tuple | list) else gradient.dense_shape
    numbers = given.asnumpy().tolist() if isinstance(given, Tensor) else given
    if not (isinstance(numbers, Sequence) and all(isinstance(n, Integral) for n in numbers)):
        raise TypeError(
            f"{owner}: the dense shape of the sparse gradient of {name!r} must be a tuple of ints, got "
            f"{describe(given)}"
        )


def _distinct(owner: str, name: str, rows: Rows, values: Values, summed: bool) -> SparseGradient:
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(first)
    if len(starts) == len(rows):
        return SparseGradient(ordered, np.ascontiguousarray(values[order]))
    if not summed:
        twice = int(ordered[np.flatnonzero(~first)[0]])
        raise ValueError(
            f"{owner}: the gradient of {name!r} has row {twice} twice; set 'unique' to True to sum such rows"
        )
    return SparseGradient(ordered[starts], np.add.reduceat(values[order], starts, axis=0))


def row_bytes(parameter: Parameter, count: int) -> int:
    """Bytes of ``count`` elements of a Parameter."""
    return int(parameter.itemsize) * count


def touched_rows(
    gradient: SparseGradient, tensors: list[Parameter], bases: list[int], centralize: bool
) -> tuple[Batch, npt.NDArray[np.int64]]:
    """The touched rows as tensors of a kernel call.

    Arguments:
        gradient: the gradient.
        tensors: the table, then its state.
        bases: their addresses.
        centralize: whether the gradient's rows are centralized.

    Returns:
        The batch, and addresses of shape (1 + len(tensors), rows): table, gradient, state.
    """
    count, width = gradient.values.shape
    batch = make_batch(np.full(count, width), np.full(count, width if centralize else 0))
    lines = [base + gradient.rows * row_bytes(p, width) for p, base in zip(tensors, bases, strict=True)]
    own = gradient.values.ctypes.data + np.arange(count, dtype=np.int64) * gradient.values.itemsize * width
    return batch, np.stack([lines[0], own, *lines[1:]])


def blocks(gradient: SparseGradient, rows: int) -> Iterator[tuple[int, int, Values]]:
    """The table in blocks of rows, each with its dense gradient.

    Arguments:
        gradient: the gradient.
        rows: rows of the table.

    Yields:
        First row, last row, and the block's gradient: zero where a row was not touched. The array is used
        again for the next block.
    """
    width = gradient.values.shape[1]
    step = max(1, BLOCK // max(1, width))
    buffer = np.zeros((min(step, rows), width), dtype=gradient.values.dtype)
    for first in range(0, rows, step):
        last = min(first + step, rows)
        inside = slice(*np.searchsorted(gradient.rows, (first, last)))
        here = gradient.rows[inside] - first
        buffer[here] = gradient.values[inside]
        yield first, last, buffer[: last - first]
        buffer[here] = 0

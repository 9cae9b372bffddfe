"""Gradients of plain arrays that come as rows: ``(indices, values, shape)``.

As in a step of MindSpore's Parameters, a touched row is handed to the kernel as an array of its own; an exact step,
which ages the state of untouched rows too, goes through the array in blocks with a small dense gradient each.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from tinyms_core.kernels.array_groups import ArraySetting, require_one_device
from tinyms_core.kernels.backends import Backend
from tinyms_core.kernels.batch import Floats, Integers, make_batch
from tinyms_core.kernels.buffers import INTEGERS, Buffer, read_buffer
from tinyms_core.kernels.cpu import compute_type
from tinyms_core.kernels.cpu_source import PREPROCESSING
from tinyms_core.kernels.hand_over import hand_over
from tinyms_core.kernels.program import analyse
from tinyms_core.kernels.storage import WIDTHS
from tinyms_core.registry.validation import describe


def is_rows(gradient: Any) -> bool:
    """Whether a gradient comes as rows."""
    return isinstance(gradient, tuple | list) and len(gradient) == 3


@dataclass(frozen=True)
class RowGradient:
    """A gradient of some rows, checked.

    Attributes:
        rows: the touched rows, ascending and distinct.
        order: for each of them where its values begin, and where all end; then the values' rows in that order.
        values: the memory of the values.
        width: elements of a row.
    """

    rows: Integers
    order: Integers
    values: Buffer
    width: int

    @property
    def dtype(self) -> str:
        """The storage type of the values."""
        return self.values.dtype


def read_rows(
    owner: str, place: str, gradient: Any, setting: ArraySetting, backend: Backend, stream: int
) -> RowGradient:
    """Check a gradient that comes as rows. Of a GPU's, the indices are copied to the host.

    Arguments:
        owner: the optimizer's name, for errors.
        place: the argument that it was given as, for errors.
        gradient: indices, values and the shape of the whole.
        setting: the array that it is for.
        backend: the device of the arrays.
        stream: handle of the CUDA stream of the step.

    Returns:
        The gradient.

    Raises:
        TypeError: indices that are no integers, or values of another dtype.
        ValueError: shapes that do not fit the array, an index outside it, or another device.
    """
    given, numbers, shape = gradient
    table = setting.buffer.shape
    if not isinstance(shape, tuple | list):
        raise TypeError(
            f"{owner}: {place} must be an array, or rows as (indices, values, shape) with a tuple for the shape, got "
            f"{describe(shape)} in its place"
        )
    if tuple(shape) != table or not table:
        raise ValueError(f"{owner}: {place} is for the shape {tuple(shape)}; {setting.place} has {table}")
    indices = read_buffer(f"{owner}: the indices of {place}", given, stream, INTEGERS)
    values = read_buffer(f"{owner}: the values of {place}", numbers, stream)
    for what, buffer in (("indices", indices), ("values", values)):
        require_one_device(owner, [(setting.place, setting.buffer), (f"the {what} of {place}", buffer)])
    if len(indices.shape) != 1 or values.shape != (indices.size, *table[1:]):
        raise ValueError(
            f"{owner}: {place} has indices of the shape {indices.shape} and values of {values.shape}; right are (n,) "
            f"and {('n', *table[1:])}"
        )
    rows = backend.integers(indices, stream).astype(np.int64)
    wrong = rows[(rows < 0) | (rows >= table[0])]
    if len(wrong):
        raise ValueError(f"{owner}: {place} has the index {int(wrong[0])}; its rows are 0 to {table[0] - 1}")
    order = np.argsort(rows, kind="stable")
    distinct, starts = np.unique(rows[order], return_index=True)
    return RowGradient(distinct, np.concatenate((starts, [len(rows)], order)).astype(np.int64), values, prod(table[1:]))


class RowStep:
    """Steps of one array whose gradient comes as rows.

    Arguments:
        setting: the array.
        state: the memory of its state.
        kernel: the optimizer's kernel for gradients in the arithmetic's dtype.
        backend: the device.
        centralize: whether the gradient's rows are centralized.
        exact: whether untouched rows take a step too, with a gradient of zero.
    """

    def __init__(
        self, setting: ArraySetting, state: list[Buffer], kernel: Any, backend: Backend, centralize: bool, exact: bool
    ) -> None:
        self._tensors = [setting.buffer, *state]
        self._group = setting.group
        self.kernel = kernel
        self._backend = backend
        self._centralize = centralize
        self._compute = compute_type(setting.buffer.dtype)
        self._hand_over: Any = None
        if exact:
            self._hand_over = backend.gradient_kernel(analyse(hand_over, {}), setting.buffer.dtype, self._compute)

    def __call__(self, gradient: RowGradient, table: Floats, stream: int) -> None:
        """Do the step; ``table`` has a row of the kernel's scalars for each group."""
        bases = [buffer.address for buffer in self._tensors]
        if not gradient.width:
            return
        with self._backend.added_up(gradient, self._compute, stream) as sums:
            if self._hand_over is not None:
                self._exact_step(gradient, sums, bases, table, stream)
            elif len(gradient.rows):
                tensors = [self._rows_of(n, bases[n], gradient) for n in range(len(bases))]
                own = self._rows_at(sums, gradient)
                self._run(self.kernel, [tensors[0], own, *tensors[1:]], gradient.width, self._centralize, table, stream)

    def _rows_of(self, n: int, base: int, gradient: RowGradient) -> Integers:
        width = gradient.width * WIDTHS[self._tensors[n].dtype]
        return np.asarray(base + gradient.rows * width, np.int64)

    def _rows_at(self, address: int, gradient: RowGradient) -> Integers:
        step = gradient.width * WIDTHS[self._compute]
        return np.asarray(address + np.arange(len(gradient.rows), dtype=np.int64) * step, np.int64)

    def _run(
        self, kernel: Any, addresses: list[Integers], width: int, centralize: bool, table: Floats, stream: int
    ) -> None:
        """Call a kernel for rows, each an array of its own."""
        count = len(addresses[0])
        batch = make_batch(np.full(count, width), np.full(count, width if centralize else 0), chunk=self._backend.chunk)
        kernel(batch, np.stack(addresses), np.full(count, self._group, np.int64), table, stream)

    def _exact_step(self, gradient: RowGradient, sums: int, bases: list[int], table: Floats, stream: int) -> None:
        """The dense step with a gradient of zero where no row was touched; decay is for touched rows alone."""
        rows, width = self._tensors[0].shape[0], gradient.width
        step = max(1, self._backend.block // width)
        prepared, dense = table[:, : len(PREPROCESSING)], table.copy()
        dense[:, : len(PREPROCESSING)] = (0.0, 1.0)
        own, weights = self._rows_at(sums, gradient), self._rows_of(0, bases[0], gradient)
        with self._backend.zeros(min(step, rows) * width, self._compute) as buffer:
            for first in range(0, rows, step):
                last = min(first + step, rows)
                inside = slice(*np.searchsorted(gradient.rows, (first, last)))
                self._backend.clear(buffer, (last - first) * width, self._compute, stream)
                if inside.start < inside.stop:
                    seen = buffer + (gradient.rows[inside] - first) * width * WIDTHS[self._compute]
                    given = [weights[inside], own[inside], seen]
                    self._run(self._hand_over, given, width, self._centralize, np.ascontiguousarray(prepared), stream)
                offsets = [
                    base + first * width * WIDTHS[tensor.dtype]
                    for base, tensor in zip(bases, self._tensors, strict=True)
                ]
                addresses = np.array([[offsets[0]], [buffer], *([a] for a in offsets[1:])], dtype=np.int64)
                batch = make_batch([(last - first) * width], chunk=self._backend.chunk)
                self.kernel(batch, addresses, np.array([self._group]), dense, stream)

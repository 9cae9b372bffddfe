"""A step of one parameter whose gradient is sparse, on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinyms_core.kernels.arrays import array_at
from tinyms_core.kernels.batch import make_batch
from tinyms_core.kernels.cpu import compute_type
from tinyms_core.kernels.cpu_source import PREPROCESSING
from tinyms_core.optimizer.sparse import SparseGradient, Values, blocks, row_bytes, touched_rows

if TYPE_CHECKING:
    from tinyms_core.optimizer.base import Optimizer
    from tinyms_core.optimizer.step_scalars import ScalarTable

_DECAY, _SCALE = PREPROCESSING.index("decay"), PREPROCESSING.index("scale")


class SparseStep:
    """Applies sparse gradients to one parameter, in place.

    Arguments:
        optimizer: whose parameter it is.
        kernel: the optimizer's kernel for gradients in the arithmetic's dtype.
        index: which parameter.
        table: the parameter's scalars, filled before each step.
    """

    def __init__(self, optimizer: Optimizer, kernel: Any, index: int, table: ScalarTable) -> None:
        setting = optimizer.settings[index]
        self._exact = optimizer.sparse == "exact"
        self._kernel = kernel
        self.table = table
        self._kind = optimizer._parameter_kinds[index]
        self._centralize = setting.centralize
        self._tensors = [setting.parameter, *(row[index] for row in optimizer.states.values())]

    def __call__(self, gradient: SparseGradient, bases: list[int]) -> None:
        """Do the step.

        Arguments:
            gradient: its distinct rows.
            bases: addresses of the parameter and of its states.
        """
        if self._exact:
            self._exact_step(gradient, bases)
        elif len(gradient.rows):
            batch, addresses = touched_rows(gradient, self._tensors, bases, self._centralize)
            groups = np.zeros(len(gradient.rows), dtype=np.int64)
            self._kernel(batch, addresses, groups, self.table.values)

    def _exact_step(self, gradient: SparseGradient, bases: list[int]) -> None:
        """The dense step with a gradient of zero where no row was touched; decay is for touched rows alone."""
        rows = self._tensors[0].shape[0]
        width = gradient.values.shape[1]
        ready = SparseGradient(gradient.rows, self._preprocessed(gradient, bases[0]))
        table = self.table.values.copy()
        table[0, _DECAY], table[0, _SCALE] = 0.0, 1.0
        for first, last, values in blocks(ready, rows):
            offset = [base + row_bytes(p, first * width) for p, base in zip(self._tensors, bases, strict=True)]
            addresses = np.array([[offset[0]], [values.ctypes.data], *([a] for a in offset[1:])], dtype=np.int64)
            self._kernel(make_batch([(last - first) * width]), addresses, np.zeros(1, dtype=np.int64), table)

    def _preprocessed(self, gradient: SparseGradient, base: int) -> Values:
        decay, scale = self.table.values[0, [_DECAY, _SCALE]].tolist()
        values = gradient.values
        kind = values.dtype.type
        if decay:
            values = values + kind(decay) * self._rows_of_parameter(gradient, base)
        if self._centralize:
            values = values - values.mean(axis=1, keepdims=True)
        return np.ascontiguousarray(values * kind(scale))

    def _rows_of_parameter(self, gradient: SparseGradient, base: int) -> Values:
        parameter = self._tensors[0]
        stored = array_at(base, parameter.size, self._kind).reshape(-1, gradient.values.shape[1])[gradient.rows]
        if self._kind == "bfloat16":
            # bfloat16 is the upper half of a float32.
            return (stored.astype(np.uint32) << 16).view(np.float32)
        return stored.astype(compute_type(self._kind))

"""Defects in how rows of a sparse gradient are applied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mindspore
import numpy as np
from mindspore import RowTensor, Tensor

from tests.conformance.defects.planting import planted
from tests.conformance.defects.sound import SoundAdam, SoundMomentum
from tinyms_core.optimizer.sparse import is_sparse, parts


class ThroughRows:
    """For an optimizer that changes the rows that it is given before it steps."""

    def __call__(self: Any, gradients: Any) -> Any:
        pairs = zip(gradients, self.parameters, strict=True)
        return super().__call__(tuple(self.rows(*parts(g), p) if is_sparse(g) else g for g, p in pairs))  # type: ignore[misc]

    rows: Callable[..., Any]


@planted("Rows are applied lazily, though an exact step is declared.", "sparse_equals_dense")
class LazyInTruth(SoundAdam):
    sparse = "lazy"


@planted("The state of untouched rows is aged, though a lazy step is declared.", "only_touched_rows")
class ExactInTruth(SoundMomentum):
    sparse = "exact"


@planted("In a graph rows are not decayed.", "only_touched_rows", modes=("graph", "jit"))
class UndecayedInGraphs(SoundMomentum):
    def _set_traced_step(self, program: Any) -> None:
        super()._set_traced_step(program)
        self.traced_flags = tuple((False, *flags[1:]) for flags in self.traced_flags)


@planted("Of a row that occurs several times the last one counts.", "duplicates_summed")
class LastRowWins(ThroughRows, SoundMomentum):
    def rows(self, indices: Any, values: Any, shape: Any, parameter: Any) -> Any:
        last = {int(index): place for place, index in enumerate(indices.asnumpy())}
        kept = list(last.values())
        return Tensor(np.array(list(last), np.int32)), Tensor(values.asnumpy()[kept]), shape


@planted("A row is decayed as often as it occurs.", "decay_once_per_row")
class DecaysEachOccurrence(ThroughRows, SoundMomentum):
    def rows(self, indices: Any, values: Any, shape: Any, parameter: Any) -> Any:
        where, numbers = indices.asnumpy(), values.asnumpy().copy()
        decay = next(s.decay for s in self.settings if s.parameter is parameter)
        for place, row in enumerate(where):
            if row in where[:place]:
                numbers[place] += np.float32(decay * self.loss_scale) * parameter.asnumpy()[row]
        return indices, Tensor(numbers), shape


@planted("An index beyond the table counts from its start again.", "index_out_of_range_is_clean")
class WrapsIndices(ThroughRows, SoundMomentum):
    def rows(self, indices: Any, values: Any, shape: Any, parameter: Any) -> Any:
        return Tensor(indices.asnumpy() % shape[0]), values, shape


@planted("Whatever the rows are said to be for, they are applied.", "bad_rows_are_clean")
class AnyTable(ThroughRows, SoundMomentum):
    def rows(self, indices: Any, values: Any, shape: Any, parameter: Any) -> Any:
        return indices, values, tuple(parameter.shape)


@planted("Without any row the whole step is left out.", "empty_indices")
class NoRowsNoStep(SoundMomentum):
    def __call__(self, gradients: Any) -> Any:
        if any(is_sparse(g) and not parts(g)[0].shape[0] for g in gradients):
            return (True,) * len(gradients)
        return super().__call__(gradients)


@planted("A RowTensor's values pass through float16.", "row_forms_agree")
class NarrowsRowTensors(SoundMomentum):
    def __call__(self, gradients: Any) -> Any:
        narrowed = []
        for gradient in gradients:
            if is_sparse(gradient) and not isinstance(gradient, tuple):
                indices, values, shape = parts(gradient)
                gradient = RowTensor(indices, values.astype(mindspore.float16).astype(values.dtype), shape)
            narrowed.append(gradient)
        return super().__call__(tuple(narrowed))


@planted("A lazy step makes the gradient dense.", "sparse_step_is_small")
class MakesDense(ThroughRows, SoundMomentum):
    def rows(self, indices: Any, values: Any, shape: Any, parameter: Any) -> Any:
        dense = np.ones(shape, np.float32)
        dense[indices.asnumpy()] = values.asnumpy()
        return indices, Tensor(dense[indices.asnumpy()]), shape

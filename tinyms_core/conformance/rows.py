"""Rows of a sparse gradient as plain numbers, and what the float64 side makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyms_core.conformance.oracle import Oracle
from tinyms_core.conformance.rounding import Array
from tinyms_core.conformance.workload import Place

if TYPE_CHECKING:
    from tinyms_core.conformance.trial import Snapshot


@dataclass(frozen=True)
class Rows:
    """A sparse gradient as numbers.

    Attributes:
        indices: the rows, in any order, each any number of times.
        values: the gradient of each.
    """

    indices: tuple[int, ...]
    values: Array

    def dense(self, shape: Sequence[int]) -> Array:
        """The dense gradient that the rows stand for."""
        result = np.zeros(tuple(shape))
        np.add.at(result, list(self.indices), self.values)
        return result

    def tensors(self, dtype: str, shape: tuple[int, ...], indices: Any = None) -> tuple[Any, ...]:
        """The rows as (indices, values, shape) of MindSpore; indices are in int32 unless told."""
        import mindspore
        from mindspore import Tensor

        from tinyms_core.conformance.trial import make_tensor

        kind = mindspore.int32 if indices is None else indices
        return Tensor(np.array(self.indices, np.int64)).astype(kind), make_tensor(self.values, dtype), shape


class SparseOracle(Oracle):
    """A workload whose table has sparse gradients, stepped in float64."""

    def begin_at(self, steps: int, snapshot: Snapshot) -> None:
        """Go on from what an optimizer holds after so many steps."""
        self.steps = steps
        self.parameters = {name: np.array(value) for name, value in snapshot.parameters.items()}
        for name, own in self.state.items():
            for slot in self._spec.state:
                held = snapshot.state.get(slot.parameter_name(name))
                if held is not None and slot.name in own:
                    own[slot.name] = np.array(held) if slot.per_parameter else float(held.reshape(-1)[0])

    def step_rows(self, rows: Mapping[str, Rows], dense: Mapping[str, Array]) -> None:
        """Do one step.

        Arguments:
            rows: the sparse gradients, by the parameter's name.
            dense: the other gradients.
        """
        self._rows = rows
        shapes = {place.member.name: place.member.shape for place in self._workload.places}
        self.step({**dense, **{name: found.dense(shapes[name]) for name, found in rows.items()}})

    def _step_one(self, place: Place, gradient: Array) -> None:
        name = place.member.name
        if name not in self._rows or self._spec.capabilities.sparse == "exact":
            super()._step_one(place, gradient)
            return
        rest = np.ones(place.member.shape[0], bool)
        rest[list(self._rows[name].indices)] = False
        before, state = self.parameters[name].copy(), self.state[name]
        super()._step_one(place, gradient)
        self.parameters[name][rest] = before[rest]
        for slot, old in state.items():
            if np.ndim(old):
                self.state[name][slot][rest] = old[rest]

    def preprocessed(self, place: Place, gradient: Array, decay: float) -> Array:
        """A gradient as the rule sees it; of a table, only the rows that occur are decayed."""
        name = place.member.name
        plain = super().preprocessed(place, gradient, 0.0)
        if name not in self._rows:
            return super().preprocessed(place, gradient, decay)
        whole = super().preprocessed(place, gradient, decay)
        touched = list(self._rows[name].indices)
        plain[touched] = whole[touched]
        return plain

"""How far rounding alone can move a workload's numbers: the oracle beside itself, with its last digits changed.

Where a formula takes the difference of two numbers that are nearly equal, the rounding of what is stored from one
step to the next can be worth more than the tolerance, however well a step is computed. How much it is worth is
measured: the float64 oracle is stepped several times more, and each time every gradient that it sees and every
number that it stores is moved by one unit in the last place of the dtype that it is stored in, up or down at
random. No step in that dtype does with fewer roundings, so what these runs lie apart is allowed.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from tinyms_core.conformance.oracle import Oracle
from tinyms_core.conformance.rounding import NARROW, Array, rounded, state_dtype, unit
from tinyms_core.conformance.trial import Snapshot
from tinyms_core.conformance.workload import Place, Workload
from tinyms_core.registry.specs import OptimizerSpec

DRAWS: Final = 8
"""How many times the oracle is stepped with its last digits changed."""


class Conditioning:
    """What the last digits are worth in a workload; the oracle is not stepped before it is asked.

    Arguments:
        spec: the optimizer's declaration.
        workload: what is stepped.
        history: what the optimizer holds at first and after each step. From 16-bit parameters the oracle goes on
            as they were rounded there; not needed where there are none.
    """

    def __init__(self, spec: OptimizerSpec, workload: Workload, history: Sequence[Snapshot] = ()) -> None:
        self._spec = spec
        self._workload = workload
        self._history = history

    def allowance(self, step: int, name: str, slot: str = "") -> Array:
        """How far rounding can move each element of a tensor, at least the root mean square of them all.

        Arguments:
            step: how many steps were done.
            name: a parameter's name.
            slot: the name of a slot, for the parameter's state; empty for the parameter itself.

        Returns:
            The distance, for each element; NaN or infinite where the numbers are.
        """
        return self._distances[step - 1][name, slot]

    @functools.cached_property
    def _distances(self) -> list[dict[tuple[str, str], Array]]:
        exact = Oracle(self._spec, self._workload)
        moved: list[Oracle] = [_Moved(self._spec, self._workload, draw) for draw in range(DRAWS)]
        steps: list[dict[tuple[str, str], Array]] = []
        with np.errstate(all="ignore"):
            for step in range(self._workload.steps):
                for oracle in (exact, *moved):
                    oracle.step()
                right, others = _tensors(exact), [_tensors(oracle) for oracle in moved]
                steps.append({key: _apart(value, [other[key] for other in others]) for key, value in right.items()})
                for place in self._workload.places if self._history else ():
                    if place.member.dtype in NARROW:
                        for oracle in (exact, *moved):
                            name = place.member.name
                            oracle.parameters[name] = np.array(self._history[step + 1].parameters[name])
        return steps


class _Moved(Oracle):
    """An oracle whose gradients, parameters and state are moved by one unit in the last place, at random."""

    def __init__(self, spec: OptimizerSpec, workload: Workload, draw: int) -> None:
        super().__init__(spec, workload)
        self._generator = np.random.default_rng([workload.seed, draw])
        # What the whole optimizer shares is made from the number of the step, and rounded once.
        self._own = frozenset(slot.name for slot in spec.state if slot.shape not in ("scalar", "singleton"))

    def preprocessed(self, place: Place, gradient: Array, decay: float) -> Array:
        return self._move(super().preprocessed(place, gradient, decay), place.member.dtype)

    def step(self, gradients: Mapping[str, Array] | None = None) -> None:
        super().step(gradients)
        for place in self._workload.places:
            name, dtype = place.member.name, place.member.dtype
            if dtype not in NARROW:
                self.parameters[name] = self._move(self.parameters[name], dtype)
            for slot in self._own & set(self.state[name]):
                self.state[name][slot] = self._move(self.state[name][slot], dtype)

    def _move(self, values: Any, dtype: str) -> Array:
        stored = rounded(values, state_dtype(dtype))
        signs = self._generator.choice((-1.0, 1.0), np.shape(stored))
        # Zero is stored exactly, and often means something.
        finite = np.isfinite(stored) & (stored != 0)
        return np.asarray(stored + np.where(finite, signs * unit(np.where(finite, stored, 1.0), state_dtype(dtype)), 0))


def _tensors(oracle: Oracle) -> dict[tuple[str, str], Any]:
    found: dict[tuple[str, str], Any] = {(name, ""): value for name, value in oracle.parameters.items()}
    found.update({(name, slot): value for name, state in oracle.state.items() for slot, value in state.items()})
    return found


def _apart(right: Any, others: Sequence[Any]) -> Array:
    largest = np.max([np.abs(np.asarray(other, np.float64) - right) for other in others], axis=0)
    return np.asarray(np.maximum(largest, np.sqrt(np.mean(np.square(largest)))) if np.size(largest) else largest)

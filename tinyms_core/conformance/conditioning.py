"""How far rounding alone can move a workload's numbers: the oracle beside itself, with its last digits changed.

Where a formula takes the difference of two numbers that are nearly equal, the rounding of what is stored from one
step to the next can be worth more than the tolerance, however well a step is computed. How much it is worth is
measured: the float64 oracle is stepped several times more, and each time every gradient that it is given and every
number that it stores is moved by one unit in the last place of the dtype that it is stored in, up or down at
random. No step in that dtype does with fewer roundings, so what these runs lie apart is allowed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from tinyms_core.conformance.oracle import Oracle
from tinyms_core.conformance.rounding import NARROW, Array, rounded, state_dtype, unit
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.trial import Snapshot
from tinyms_core.conformance.workload import Workload

Move = Callable[[Any, str], Any]
"""What becomes of numbers that are stored for a parameter of a dtype, or given to it as a gradient."""

Change = Callable[[Oracle, Move], None]
"""What is done to an oracle from one step to the next; the gradients that it is given are moved."""

DRAWS: Final = 8
"""How many times the oracle is stepped with its last digits changed."""


class Conditioning:
    """What the last digits are worth in a workload; no oracle is stepped before it is asked.

    Arguments:
        subject: the optimizer.
        workload: what is stepped.
        history: what the optimizer holds at first and after each step. From 16-bit parameters the oracle goes on
            as they were rounded there; not needed where there are none.
        make: makes the oracle; the subject's own for the workload when None.
        changes: what is done in each step; the workload's own steps when None.
    """

    def __init__(
        self,
        subject: Subject,
        workload: Workload,
        history: Sequence[Snapshot] = (),
        make: Callable[[], Oracle] | None = None,
        changes: Sequence[Change] | None = None,
    ) -> None:
        self._subject = subject
        self._workload = workload
        self._history = history
        self._make = partial(subject.oracle, workload) if make is None else make
        own: Change = partial(_step, workload)
        self._changes = [own] * workload.steps if changes is None else changes

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
        exact = self._make()
        moved = [_Moved(self._subject, self._workload, self._make(), draw) for draw in range(DRAWS)]
        steps: list[dict[tuple[str, str], Array]] = []
        with np.errstate(all="ignore"):
            for step, change in enumerate(self._changes):
                change(exact, lambda values, _: values)
                for other in moved:
                    other.apply(change)
                right, found = tensors_of(exact), [tensors_of(other.oracle) for other in moved]
                steps.append({key: _apart(value, [tensors[key] for tensors in found]) for key, value in right.items()})
                if self._history:
                    self._follow((exact, *(other.oracle for other in moved)), self._history[step + 1])
        return steps

    def _follow(self, oracles: Sequence[Oracle], snapshot: Snapshot) -> None:
        """Let oracles go on from 16-bit parameters and state as the optimizer has them."""
        for place in self._workload.places:
            name = place.member.name
            for oracle in oracles:
                if place.member.dtype in NARROW:
                    oracle.parameters[name] = np.array(snapshot.parameters[name])
                for slot in self._subject.spec.state:
                    if slot.name in oracle.state[name] and oracle.state_dtype(slot, place) in NARROW:
                        oracle.state[name][slot.name] = np.array(snapshot.state[slot.parameter_name(name)])


def _step(workload: Workload, oracle: Oracle, moved: Move) -> None:
    """A step with the workload's own gradients."""
    dtypes = {place.member.name: place.member.dtype for place in workload.places}
    gradients = workload.gradients(oracle.steps)
    oracle.step({name: moved(values, dtypes[name]) for name, values in gradients.items()})


class _Moved:
    """An oracle whose gradients, parameters and state are moved by one unit in the last place, at random."""

    def __init__(self, subject: Subject, workload: Workload, oracle: Oracle, draw: int) -> None:
        self.oracle = oracle
        self._workload = workload
        self._generator = np.random.default_rng([workload.seed, draw])
        # What the whole optimizer shares is made from the number of the step, and rounded once.
        self._own = [slot.name for slot in subject.spec.state if slot.shape not in ("scalar", "singleton")]

    def apply(self, change: Change) -> None:
        change(self.oracle, self._move)
        for place in self._workload.places:
            name, dtype = place.member.name, place.member.dtype
            if dtype not in NARROW:
                self.oracle.parameters[name] = self._move(self.oracle.parameters[name], dtype)
            state = self.oracle.state[name]
            state.update({slot: self._move(state[slot], dtype) for slot in self._own if slot in state})

    def _move(self, values: Any, dtype: str) -> Array:
        stored = rounded(values, state_dtype(dtype))
        signs = self._generator.choice((-1.0, 1.0), np.shape(stored))
        # Zero is stored exactly, and often means something.
        moving = np.isfinite(stored) & (stored != 0)
        return np.asarray(stored + np.where(moving, signs * unit(np.where(moving, stored, 1.0), state_dtype(dtype)), 0))


def tensors_of(oracle: Oracle) -> dict[tuple[str, str], Any]:
    """What an oracle holds, by the parameter's name and the slot's, which is empty for the parameter itself."""
    found: dict[tuple[str, str], Any] = {(name, ""): value for name, value in oracle.parameters.items()}
    found.update({(name, slot): value for name, state in oracle.state.items() for slot, value in state.items()})
    return found


def _apart(right: Any, others: Sequence[Any]) -> Array:
    largest = np.max([np.abs(np.asarray(other, np.float64) - right) for other in others], axis=0)
    return np.asarray(np.maximum(largest, np.sqrt(np.mean(np.square(largest)))) if np.size(largest) else largest)

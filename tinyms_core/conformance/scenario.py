"""A scenario: a workload, and what happens to its optimizer one after the other, each beside the float64 oracle.

A scenario is data, so that it can be drawn at random, made smaller, shown, and played again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from mindspore import Tensor, ops

from tinyms_core.conformance.catalog import CheckFailure
from tinyms_core.conformance.checkpoints import transfer
from tinyms_core.conformance.compare import TOLERANCES, magnitude
from tinyms_core.conformance.composite import make_oracle, parts_of
from tinyms_core.conformance.conditioning import Change, Conditioning, Move, tensors_of
from tinyms_core.conformance.construction import refusal
from tinyms_core.conformance.identity import require_equal
from tinyms_core.conformance.numbers import compare_with_oracle
from tinyms_core.conformance.oracle import Oracle
from tinyms_core.conformance.rounding import NARROW, rounded, state_dtype, unit
from tinyms_core.conformance.rows import Rows, SparseOracle
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.trial import make_tensor, scratch_folder
from tinyms_core.conformance.workload import Group, Rate, Workload
from tinyms_core.optimizer.modes import execution_mode
from tinyms_core.registry.errors import describe


@dataclass(frozen=True)
class Step:
    """A step with the workload's gradients.

    Attributes:
        rows: for parameters whose gradient comes as rows, the indices of the rows, in any order, any number of times.
    """

    rows: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def play(self, play: Play) -> None:
        """Step both sides, and compare them."""
        workload, number = play.workload, play.oracle.steps
        dense = workload.gradients(number)
        places = {place.member.name: place.member for place in workload.places}
        sparse = {name: _rows(dense[name], indices, places[name].gradient_dtype) for name, indices in self.rows}
        given = [
            sparse[name].tensors(member.gradient_dtype, member.shape)
            if name in sparse
            else make_tensor(dense[name], member.gradient_dtype)
            for name, member in places.items()
        ]

        def change(oracle: Oracle, moved: Move) -> None:
            dtypes = {name: member.dtype for name, member in places.items()}
            others = {n: moved(values, dtypes[n]) for n, values in dense.items() if n not in sparse}
            if isinstance(oracle, SparseOracle):
                found = {n: Rows(rows.indices, moved(rows.values, dtypes[n])) for n, rows in sparse.items()}
                oracle.step_rows(found, others)
            else:
                oracle.step(others)

        play.trial.step(given)
        play.change(change)
        play.compare()


@dataclass(frozen=True)
class SetRate:
    """Another learning rate, which takes effect with the next step.

    Attributes:
        name: a parameter that has the rate; so have those that share it.
        value: the rate.
    """

    name: str
    value: float

    def play(self, play: Play) -> None:
        """Set the rate on both sides."""
        held = play.trial.optimizer.get_lr_parameter(play.trial.parameters[self.name])
        value = Tensor(np.float32(self.value))
        # MindSpore's compiled function keeps the memory that a Parameter had when it was compiled.
        ops.assign(held, value) if play.trial.mode == "jit" else held.set_data(value)
        play.workload = changed = with_rate(play.workload, self.name, Rate((self.value,), "tensor"))

        def change(oracle: Oracle, moved: Move) -> None:
            oracle.change_rates(changed)

        play.change(change)


@dataclass(frozen=True)
class SetParameter:
    """Other values of a parameter, in other memory.

    Attributes:
        name: which parameter.
        scale: what the workload's gradients for it are multiplied by, to make the values.
    """

    name: str
    scale: float

    def play(self, play: Play) -> None:
        """Set the values on both sides."""
        member = next(place.member for place in play.workload.places if place.member.name == self.name)
        values = rounded(play.workload.gradients(1000 + play.oracle.steps)[self.name] * self.scale, member.dtype)
        play.trial.parameters[self.name].set_data(make_tensor(values, member.dtype))

        def change(oracle: Oracle, moved: Move) -> None:
            oracle.parameters[self.name] = values.copy()

        play.change(change)


@dataclass(frozen=True)
class Resume:
    """A checkpoint is written, and a new optimizer goes on from it.

    Attributes:
        kind: the file's format.
    """

    kind: str

    def play(self, play: Play) -> None:
        """Save, build anew, load, and require that nothing is lost."""
        resumed = play.subject.trial(play.given)
        with tempfile.TemporaryDirectory(prefix="tinyms_conformance_") as folder:
            transfer(play.trial.optimizer, resumed.optimizer, Path(folder), self.kind)
        require_equal(resumed.snapshot(), play.trial.snapshot(), f"right after loading a {self.kind}")
        play.trial = resumed


@dataclass(frozen=True)
class Refuse:
    """Gradients that are refused, which changes nothing.

    Attributes:
        what: which of `BAD_GRADIENTS`.
    """

    what: str

    def play(self, play: Play) -> None:
        """Require the refusal, and that nothing has changed."""
        before = play.trial.snapshot()
        good = play.trial.gradients(play.oracle.steps)
        with scratch_folder():
            refusal(lambda: play.trial.step(BAD_GRADIENTS[self.what](good)), (TypeError, ValueError), self.what)
        require_equal(play.trial.snapshot(), before, f"after {self.what} was refused")


BAD_GRADIENTS: Final[Mapping[str, Callable[[list[Any]], list[Any]]]] = {
    "too few gradients": lambda good: good[:-1],
    "too many gradients": lambda good: [*good, good[0]],
    "a gradient of another shape": lambda good: [*good[:-1], Tensor(np.ones((3, *good[-1].shape), np.float32))],
    "a gradient of integers": lambda good: [*good[:-1], Tensor(np.ones(good[-1].shape, np.int32))],
    "a gradient that is no Tensor": lambda good: [*good[:-1], None],
}
"""Gradients that no optimizer takes, each made from good ones."""

Action = Step | SetRate | SetParameter | Resume | Refuse


@dataclass(frozen=True)
class Scenario:
    """A workload, and what happens in it.

    Attributes:
        workload: what the optimizer is built from.
        actions: what happens, one after the other.
    """

    workload: Workload
    actions: tuple[Action, ...]


class Inconclusive(Exception):  # noqa: N818 - no error of anyone's
    """A scenario says nothing: rounding alone moves its numbers too far."""


class _Judged(Conditioning):
    """A conditioning that says when a comparison is none; it is asked where a tolerance is not kept.

    A random scenario has gradients that nearly cancel the decay, and weights that pass by zero. A step rounds more
    often than the once that is measured, so that it is judged where that once is worth a fraction of the tolerance.
    """

    def expect(self, right: Mapping[tuple[str, str], Any]) -> None:
        """Take down what is right after the step."""
        self._right = right

    def allowance(self, step: int, name: str, slot: str = "") -> Any:
        distance = super().allowance(step, name, slot)
        right = self._right[name, slot]
        if np.size(right):
            dtype = next(place.member.dtype for place in self._workload.places if place.member.name == name)
            limit = unit(right, dtype) if dtype in NARROW and not slot else _FRACTION * _tolerance(dtype, right)
            if not (distance <= limit).all():
                raise Inconclusive(f"{name} {slot}")
        return distance


_FRACTION: Final = 0.25


def _tolerance(dtype: str, right: Any) -> Any:
    return TOLERANCES[state_dtype(dtype)] * magnitude(np.asarray(right, np.float64))


class Play:
    """A scenario that is being played.

    Arguments:
        subject: the optimizer, in a mode.
        scenario: what to play.

    Attributes:
        subject: the optimizer.
        given: the workload as it was built.
        workload: the same, with the rates of now.
        trial: the optimizer of now.
        oracle: the float64 side.

    Raises:
        ValueError: the optimizer does not take the workload's options together.
    """

    def __init__(self, subject: Subject, scenario: Scenario) -> None:
        self.subject = subject
        self.given = self.workload = scenario.workload
        self.trial = subject.trial(self.given)
        self.oracle = self._make_oracle()
        self._changes: list[list[Change]] = [[]]
        self._history = [self.trial.snapshot()]

    def _make_oracle(self) -> Oracle:
        takes_rows = parts_of(self.subject.spec) is None and self.subject.capabilities.sparse != "none"
        return (SparseOracle if takes_rows else make_oracle)(self.subject.spec, self.given)

    def change(self, change: Change) -> None:
        """Change the oracle, and note it, so that it can be repeated with the last digits moved."""
        change(self.oracle, lambda values, _: values)
        self._changes[-1].append(change)

    def compare(self) -> None:
        """Compare what the optimizer holds after a step with the oracle.

        Raises:
            CheckFailure: an element of a parameter or of state is off, or the number of steps.
            Inconclusive: one is off, and its last digits are worth so much that this says nothing.
        """
        snapshot = self.trial.snapshot()
        self._history.append(snapshot)
        changes = [_one_after_the_other(tuple(done)) for done in self._changes]
        conditioning = _Judged(self.subject, self.given, self._history, self._make_oracle, changes)
        right = {key: np.array(value) for key, value in tensors_of(self.oracle).items()}
        conditioning.expect(right)
        try:
            compare_with_oracle(self.subject.spec, self.oracle, self.workload, snapshot, True, True, conditioning)
        except CheckFailure:
            # What is rounded to 16 bits asks for no allowance.
            for place in self.workload.places:
                if place.member.dtype in NARROW:
                    conditioning.allowance(self.oracle.steps, place.member.name)
            raise
        steps = self.oracle.steps
        if snapshot.global_step != steps:
            raise CheckFailure(f"after {steps} step(s) global_step is {snapshot.global_step}")
        self._changes.append([])


def play(subject: Subject, scenario: Scenario) -> None:
    """Play a scenario.

    Arguments:
        subject: the optimizer, in a mode.
        scenario: what to play.

    Raises:
        ValueError: the optimizer does not take the workload's options together.
        Inconclusive: rounding alone moves the numbers too far.
        CheckFailure: it does not do what the contract says.
    """
    with execution_mode(subject.mode):
        try:
            playing = Play(subject, scenario)
        except ValueError:
            raise
        except Exception as error:
            raise CheckFailure(f"building it raised {describe(error)}") from error
        for number, action in enumerate(scenario.actions):
            try:
                action.play(playing)
            except Inconclusive:
                raise
            except CheckFailure as failure:
                raise CheckFailure(f"action {number + 1}, {action}: {failure}") from failure
            except Exception as error:
                # Whatever an optimizer raises where the contract has it work is the finding itself.
                raise CheckFailure(f"action {number + 1}, {action}: it raised {describe(error)}") from error


def with_rate(workload: Workload, name: str, rate: Rate) -> Workload:
    """The workload with another rate for a parameter, and for those that share its rate."""

    def changed(group: Group) -> Group:
        has = any(member.name == name for member in group.members)
        return replace(group, rate=rate) if has and group.rate is not None else group

    own = any(member.name == name for group in workload.groups if group.rate is not None for member in group.members)
    if own:
        return replace(workload, groups=tuple(map(changed, workload.groups)))
    return replace(workload, rate=rate)


def _one_after_the_other(changes: tuple[Change, ...]) -> Change:
    def all_of_them(oracle: Oracle, moved: Move) -> None:
        for change in changes:
            change(oracle, moved)

    return all_of_them


def _rows(dense: Any, indices: tuple[int, ...], dtype: str) -> Rows:
    """Rows with values of their own for each time that an index occurs."""
    values = [dense[row] * (0.25 + 0.25 * (place % 8)) for place, row in enumerate(indices)]
    return Rows(indices, rounded(np.stack(values) if values else np.zeros((0, *dense.shape[1:])), dtype))

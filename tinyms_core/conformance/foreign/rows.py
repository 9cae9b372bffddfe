"""Sparse gradients in the form that MindSpore has for them: a RowTensor, in graphs made inside of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import mindspore
import numpy as np

from tinyms_core.conformance.cells import RowStep
from tinyms_core.conformance.construction import refusal
from tinyms_core.conformance.identity import require_equal
from tinyms_core.conformance.numbers import compare_with_oracle
from tinyms_core.conformance.rows import Rows, SparseOracle
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.trial import Trial, scratch_folder
from tinyms_core.conformance.workload import Member, Workload

_TABLE: Final = Member("embedding.table", (9, 5))
UNIQUE: Final = ((4, 1, 7), (8, 0, 2), (3, 1, 5))
REPEATED: Final = ((4, 1, 4, 4), (8, 0, 2, 8), (3, 3, 3, 3))
_OUTSIDE: Final = ((1, 9), (0, 10**6))


def step_rows(subject: Subject, indices: Sequence[tuple[int, ...]], decay: float = 0.0) -> None:
    """Require that steps of a table with rows follow the reference.

    Arguments:
        subject: the optimizer, in a mode.
        indices: the rows of each step.
        decay: the weight decay.

    Raises:
        CheckFailure: they do not.
    """
    workload = _workload(subject, decay)
    oracle, trial = SparseOracle(subject.spec, workload), subject.trial(workload)
    step = _stepper(subject, trial)
    for number, touched in enumerate(indices):
        whole = workload.gradients(number)[_TABLE.name]
        parts = np.stack([whole[row] * (0.25 + 0.25 * place) for place, row in enumerate(touched)])
        rows = Rows(touched, parts.astype(np.float32).astype(np.float64))
        step(rows)
        oracle.step_rows({_TABLE.name: rows}, {})
        compare_with_oracle(subject.spec, oracle, workload, trial.snapshot(), True, True)


def refuse_outside(subject: Subject) -> None:
    """Require that an index outside of the table is refused, and nothing changed.

    Raises:
        CheckFailure: it is taken, or something was changed.
    """
    for touched in _OUTSIDE:
        trial = subject.trial(_workload(subject, 0.0))
        step = _stepper(subject, trial)
        before = trial.snapshot()
        what = f"the indices {touched} of a table of {_TABLE.shape[0]} rows"
        with scratch_folder():
            refusal(lambda: step(Rows(touched, np.ones((2, 5)))), (Exception,), what)  # noqa: B023 - called at once
        require_equal(trial.snapshot(), before, f"after {what} were refused")


def _workload(subject: Subject, decay: float) -> Workload:
    options = tuple(dict(subject.defaults).items())
    decays = subject.capabilities.weight_decay != "none"
    return subject.plain(_TABLE, steps=3, decay=(decay if decays else 0.0,), hyperparameters=options)


def _stepper(subject: Subject, trial: Trial) -> Any:
    """What does a step of a trial with rows."""
    cell = RowStep(trial.optimizer, _TABLE.shape)
    if subject.mode == "pynative":

        def step(rows: Rows) -> None:
            trial.optimizer((mindspore.RowTensor(*rows.tensors("float32", _TABLE.shape)),))

        return step
    run = mindspore.jit(cell.construct) if subject.mode == "jit" else cell
    return lambda rows: run(*rows.tensors("float32", _TABLE.shape)[:2])

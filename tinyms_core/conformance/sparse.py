"""Sparse gradients: the rows of a table that a batch has touched, against the float64 oracle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import mindspore
import numpy as np
from mindspore import Tensor

from tinyms_core.conformance.catalog import EVERY_MODE, check
from tinyms_core.conformance.cells import RowStep
from tinyms_core.conformance.compare import require, require_same
from tinyms_core.conformance.construction import refusal, require_named
from tinyms_core.conformance.identity import require_equal
from tinyms_core.conformance.memory import allow_growth
from tinyms_core.conformance.numbers import compare_with_oracle
from tinyms_core.conformance.rounding import rounded
from tinyms_core.conformance.rows import Rows, SparseOracle
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.trial import Snapshot, Trial, make_tensor, scratch_folder
from tinyms_core.conformance.workload import Group, Member, Workload
from tinyms_core.registry.specs import DTYPES, Capabilities

_RUNS: Mapping[str, tuple[str, ...]] = {
    "pynative": DTYPES,
    "jit": ("float32", "bfloat16"),
    "graph": ("float32", "float16", "float64"),
}
_TABLE = "embedding.table"
_ROWS = 9
# Which rows each step touches: several times, unordered, all of them, one, the first and the last.
_INDICES = ([4, 1, 4, 4], [8, 0, 2, 8], [3, 3, 3, 3], [0, 1, 7, 5], [6, 4, 1, 6], [2, 8, 5, 0])
# A run that several checks read, since each number of rows is a graph of its own: for each step the rows that occur,
# and what their gradients are multiplied by.
_SMALL_RUN = (((3, 3, 3, 6), 0.0), ((3, 3, 3, 6), 0.0), ((7, 2, 2, 7), 1.0), ((2, 7, 7, 2), 1.0), ((), 1.0))
_DECAYED, _REPEATED, _EMPTY = range(2), range(2, 4), range(4, 5)
# 38 MiB of float32: larger than any block that the C library keeps for reuse.
_LARGE_ROWS, _LARGE_WIDTH = 625_000, 16


def _takes_rows(can: Capabilities) -> bool:
    return can.sparse != "none"


_ROWS_DECLARED: dict[str, Any] = {"requirement": _takes_rows, "needs": "declared sparse gradients"}


def sparse_workload(subject: Subject, setting: int = -1, **changes: Any) -> Workload:
    """The full workload, with a table in the first group, and one of three dimensions."""
    full = subject.workload(setting, steps=len(_INDICES))
    first, *others = full.groups
    tables = (Member(_TABLE, (_ROWS, 5)), Member("blocks.table", (_ROWS, 2, 3)), Member("tall.table", (_ROWS,)))
    plain = Group(tables[:1], first.rate, first.decay)
    deep = Group(tables[1:], None, (0.03,) if first.decay is not None else None, first.centralize)
    order = ("blocks.table", *(full.order or ()), _TABLE, "tall.table")
    return replace(full, groups=(plain, deep, first, *others), order=order, **changes)


def _rows_of(workload: Workload, step: int, tables: Sequence[str]) -> dict[str, Rows]:
    """The rows of a step; of two tables not the same."""
    found = {}
    for offset, name in enumerate(tables):
        indices = _INDICES[(step + offset) % len(_INDICES)]
        whole = workload.gradients(step)[name]
        # Values of their own for each occurrence: parts of the numbers that a dense gradient would have.
        values = np.stack([whole[row] * (0.25 + 0.25 * place) for place, row in enumerate(indices)])
        kind = next(place.member.gradient_dtype for place in workload.places if place.member.name == name)
        found[name] = Rows(tuple(indices), rounded(values, kind))
    return found


def _tables(workload: Workload) -> list[str]:
    return [place.member.name for place in workload.places if place.member.name.endswith(".table")]


def _gradients(workload: Workload, rows: Mapping[str, Rows], step: int) -> list[Any]:
    """The gradients of a step in the order of the update, those of tables as (indices, values, shape)."""
    dense = workload.gradients(step)
    return [
        rows[place.member.name].tensors(place.member.gradient_dtype, place.member.shape)
        if place.member.name in rows
        else make_tensor(dense[place.member.name], place.member.gradient_dtype)
        for place in workload.places
    ]


def _require_golden(subject: Subject, workload: Workload) -> None:
    oracle = SparseOracle(subject.spec, workload)
    trial = subject.trial(workload)
    for step in range(workload.steps):
        rows = _rows_of(workload, step, _tables(workload))
        before = trial.snapshot()
        trial.step(_gradients(workload, rows, step))
        after = trial.snapshot()
        oracle.step_rows(rows, {n: g for n, g in workload.gradients(step).items() if n not in rows})
        compare_with_oracle(subject.spec, oracle, workload, after, True, True)
        require(after.global_step == step + 1, f"global_step is {after.global_step} after {step + 1} sparse step(s)")
        if subject.capabilities.sparse == "lazy":
            for name, found in rows.items():
                rest = [row for row in range(_ROWS) if row not in found.indices]
                what = f"the untouched rows of {name} after step {step + 1}"
                require_same(after.parameters[name][rest], before.parameters[name][rest], what)


def _workloads(subject: Subject) -> list[Workload]:
    every = subject.mode == "pynative" and subject.dtype == "float32"
    return [sparse_workload(subject, index) for index in (range(len(subject.settings)) if every else [-1])]


@check("Sparse", _RUNS, requirement=lambda can: can.sparse == "exact", needs="declared exact sparse gradients")
def check_sparse_equals_dense(subject: Subject) -> None:
    """A step with rows is the dense step with zeros elsewhere; decay joins the gradient only in rows that occur."""
    for workload in _workloads(subject):
        _require_golden(subject, workload)


@check("Sparse", _RUNS, requirement=lambda can: can.sparse == "lazy", needs="declared lazy sparse gradients")
def check_only_touched_rows(subject: Subject) -> None:
    """Rows that occur take the dense step, in parameter and state; the others stay as they are, bit for bit."""
    for workload in _workloads(subject):
        _require_golden(subject, workload)


@check("Sparse", EVERY_MODE, **_ROWS_DECLARED)
def check_duplicates_summed(subject: Subject) -> None:
    """A row that occurs several times counts with the sum, whatever the order."""
    _require_small_steps(subject, _REPEATED)


@check(
    "Sparse",
    EVERY_MODE,
    requirement=lambda can: can.sparse != "none" and can.weight_decay != "none",
    needs="declared sparse gradients and weight decay",
)
def check_decay_once_per_row(subject: Subject) -> None:
    """Weight decay counts once for a row that occurs, however often, and in the others only as an exact update's."""
    _require_small_steps(subject, _DECAYED)


@check("Sparse", EVERY_MODE, **_ROWS_DECLARED)
def check_index_out_of_range_is_clean(subject: Subject) -> None:
    """An index outside of the table is refused with the parameter's name, and nothing is changed."""
    workload = replace(_one_table(subject), groups=(Group((Member("first.bias", (4,)), Member(_TABLE, (_ROWS, 5)))),))
    for indices in ((1, _ROWS), (-1, 2), (0, 10**6)):
        rows = Rows(indices, np.ones((2, 5)))
        _require_refused(subject.trial(workload), rows, (ValueError, IndexError), f"the indices {indices}")


@check("Sparse", EVERY_MODE, **_ROWS_DECLARED)
def check_bad_rows_are_clean(subject: Subject) -> None:
    """Rows for another shape, or with values that do not fit, are refused with the parameter's name."""
    workload = _one_table(subject)
    good = Rows((1, 2), np.ones((2, 5)))
    indices, values, shape = good.tensors(subject.parameter_dtype, (_ROWS, 5))
    cases = {
        "rows for another table": (indices, values, (_ROWS + 1, 5)),
        "fewer values than indices": (indices, values[:1], shape),
        "values of another width": (indices, make_tensor(np.ones((2, 4)), subject.parameter_dtype), shape),
        "indices that are no integers": (values[:, 0], values, shape),
        "values that are integers": (indices, Tensor(np.ones((2, 5), np.int32)), shape),
    }
    for what, gradient in cases.items():
        _require_refused(subject.trial(workload), gradient, (TypeError, ValueError), what)


@check("Sparse", EVERY_MODE, **_ROWS_DECLARED)
def check_empty_indices(subject: Subject) -> None:
    """A gradient without any row is a step in which no row occurs; the other parameters take theirs."""
    _require_small_steps(subject, _EMPTY)
    found = _small_history(subject, _EMPTY)[-1].global_step
    require(found == _EMPTY.stop, f"global_step is {found} after {_EMPTY.stop} step(s)")


@check("Sparse", EVERY_MODE, **_ROWS_DECLARED)
def check_row_forms_agree(subject: Subject) -> None:
    """A RowTensor and (indices, values, shape), with indices in int32 or int64, give the same bits."""
    workload = _one_table(subject)
    rows = Rows((5, 0, 5), workload.gradients(0)[_TABLE][[5, 1, 2]])
    kind = workload.places[0].member.gradient_dtype
    reference = subject.trial(workload)
    usual = rows.tensors(kind, (_ROWS, 5))
    expected = [_step_rows(reference, [usual, usual]) for _ in _forms(subject, reference)]
    for indices in (mindspore.int32, mindspore.int64):
        parts = rows.tensors(kind, (_ROWS, 5), indices)
        # One after the other with one optimizer, since each form of each of several would be a graph of its own.
        trial = subject.trial(workload)
        for (form, step), right in zip(_forms(subject, trial), expected, strict=True):
            for _ in range(2):
                step(parts)
            require_equal(trial.snapshot(), right, f"after 2 steps with {form} and indices of {indices}")


@check(
    "Sparse", {"pynative": ("float32",)}, requirement=lambda can: can.sparse == "lazy", needs="lazy sparse gradients"
)
def check_sparse_step_is_small(subject: Subject) -> None:
    """A lazy step needs memory for the rows that occur, not for the table."""
    workload = subject.plain(Member(_TABLE, (_LARGE_ROWS, _LARGE_WIDTH)))
    subject.trial(_one_table(subject)).step(_gradients(_one_table(subject), {_TABLE: Rows((1,), np.ones((1, 5)))}, 0))
    trial = subject.trial(workload)
    touched = tuple(range(0, _LARGE_ROWS, _LARGE_ROWS // 1000))
    rows = Rows(touched, np.full((len(touched), _LARGE_WIDTH), 0.5))
    gradient = rows.tensors(subject.parameter_dtype, (_LARGE_ROWS, _LARGE_WIDTH))
    size = 4 * _LARGE_ROWS * _LARGE_WIDTH
    allow_growth(
        lambda: trial.step([gradient]),
        size // 4,
        trial.parameters[_TABLE],
        f"a lazy step on {len(touched)} rows of a table of {size >> 20} MiB",
    )


def _one_table(subject: Subject) -> Workload:
    return subject.plain(Member(_TABLE, (_ROWS, 5)), steps=2)


def _small_rows(workload: Workload, step: int) -> Rows:
    indices, scale = _SMALL_RUN[step]
    whole = workload.gradients(step)[_TABLE]
    # Values of their own for each occurrence.
    parts = [scale * (0.25 + 0.25 * place) * whole[row] for place, row in enumerate(indices)]
    return Rows(indices, rounded(np.stack(parts), workload.dtype) if parts else np.zeros((0, whole.shape[1])))


def _small_gradients(workload: Workload, step: int) -> list[Any]:
    return _gradients(workload, {_TABLE: _small_rows(workload, step)}, step)


def _small_workload(subject: Subject) -> Workload:
    decay = (0.5,) if subject.capabilities.weight_decay != "none" else (0.0,)
    return subject.plain(Member("first.bias", (4,)), Member(_TABLE, (_ROWS, 5)), decay=decay)


def _small_history(subject: Subject, steps: range) -> Sequence[Snapshot]:
    return subject.history(replace(_small_workload(subject), steps=steps.stop), feed=_small_gradients)


def _require_small_steps(subject: Subject, steps: range) -> None:
    """Require that some steps of the small run are the oracle's, each from what the optimizer held before it."""
    workload, history = _small_workload(subject), _small_history(subject, steps)
    for step in steps:
        oracle = SparseOracle(subject.spec, workload)
        oracle.begin_at(step, history[step])
        dense = {name: gradient for name, gradient in workload.gradients(step).items() if name != _TABLE}
        oracle.step_rows({_TABLE: _small_rows(workload, step)}, dense)
        compare_with_oracle(subject.spec, oracle, workload, history[step + 1], True, True)


def _require_refused(trial: Trial, rows: Any, errors: tuple[type[Exception], ...], what: str) -> None:
    workload = trial.workload
    if trial.mode == "pynative":
        trial.step(_gradients(workload, {_TABLE: Rows((0, 1), np.ones((2, 5)))}, 0))
    before = trial.snapshot()
    gradients = _gradients(workload, {_TABLE: rows if isinstance(rows, Rows) else Rows((0,), np.ones((1, 5)))}, 0)
    if not isinstance(rows, Rows):
        gradients[[place.member.name for place in workload.places].index(_TABLE)] = rows
    with scratch_folder():
        message = refusal(lambda: trial.step(gradients), errors, what)
    require_named(message, (_TABLE,), what)
    require_equal(trial.snapshot(), before, f"after {what} was refused")


def _step_rows(trial: Trial, every: Sequence[tuple[Any, ...]]) -> Snapshot:
    for rows in every:
        trial.step([rows])
    return trial.snapshot()


def _forms(subject: Subject, trial: Trial) -> list[tuple[str, Callable[[tuple[Any, ...]], Any]]]:
    """Ways to hand rows to an optimizer of one parameter."""
    forms: list[tuple[str, Callable[[tuple[Any, ...]], Any]]] = [("a tuple", lambda parts: trial.step([parts]))]
    if subject.mode != "jit":
        # MindSpore itself takes no RowTensor as an argument of a compiled function.
        forms.append(("a RowTensor", lambda parts: trial.step([mindspore.RowTensor(*parts)])))
    if subject.mode != "pynative":
        cell = RowStep(trial.optimizer, trial.workload.places[0].member.shape)
        in_graph = cell if subject.mode == "graph" else mindspore.jit(cell.construct)
        forms.append(("a RowTensor made in a graph", lambda parts: in_graph(*parts[:2])))
    return forms

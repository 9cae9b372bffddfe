"""Cases in several processes: the same results, whatever becomes of a process."""

from __future__ import annotations

import os
import pickle
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tinyms_core.conformance import CheckResult, cases_for, run_checks
from tinyms_core.conformance import jobs as several
from tinyms_core.conformance.jobs import Board, batches, usual_jobs
from tinyms_core.examples import SignDescent
from tinyms_core.registry import KernelSpec, register, unregister
from tinyms_core.registry.specs import OptimizerSpec

FEW = ["name_resolves", "group_rate", "group_decay", "noncontiguous", "row_forms_agree", "wraps_optimizers_alone"]
ALIKE = {"checks": FEW, "modes": ["pynative"]}


class EndsItsProcess(SignDescent):
    """One whose first step ends the process."""

    def __call__(self, gradients: Any) -> Any:
        os._exit(3)


ENDING = replace(SignDescent.spec, name="ends_its_process", implementation=f"{__name__}:EndsItsProcess")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The processes that were started; in the end none of them is left."""
    found: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def popen(command: Any, *arguments: Any, **named: Any) -> Any:
        process = real(command, *arguments, **named)
        if several._BEGIN in command:
            found.append(process)
        return process

    monkeypatch.setattr(subprocess, "Popen", popen)
    yield found
    assert [process.pid for process in found if process.returncode is None] == []


def _what(results: list[CheckResult]) -> list[tuple[str, ...]]:
    return [(r.check, r.mode, r.dtype, r.status, r.reason, str(r.largest_errors)) for r in results]


def _in_another_process(spec: OptimizerSpec, expected: dict[str, str], count: int) -> list[CheckResult]:
    """Results of cases that no process but another one takes."""
    cases = cases_for(spec.capabilities, ["group_rate"], ["pynative"])
    (request,) = several._requests(spec, expected, 1)
    board, found = Board([tuple(range(len(cases)))]), []
    with several._Helper(request, spec, cases, board, 2):
        while len(found) < count:
            board.collect(lambda _, result: found.append(result), wait=True)
    return found


def test_results_and_their_order_are_those_of_one_process(started: list[Any]) -> None:
    seen: list[CheckResult] = []
    results = run_checks("lion", **ALIKE, jobs=3, progress=seen.append)
    assert len(started) == 2
    assert _what(results) == _what(run_checks("lion", **ALIKE))
    assert sorted(_what(seen)) == sorted(_what(results))


def test_another_process_knows_what_is_expected(started: list[Any]) -> None:
    results = _in_another_process(SignDescent.spec, {"group_rate-*-float32": "a reason"}, 3)
    assert [result.status for result in results] == ["unexpected_pass", "passed", "passed"]


def test_another_process_starts_where_the_path_hides_the_standard_library(
    started: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.joinpath("queue.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    results = _in_another_process(SignDescent.spec, {}, 3)
    assert {result.status for result in results} == {"passed"}


def test_a_case_that_ends_the_process_fails_and_the_others_come_back(started: list[Any]) -> None:
    cases = cases_for(ENDING.capabilities, ["group_rate"], ["pynative"])
    (request,) = several._requests(ENDING, {}, 1)
    board, found = Board([tuple(range(len(cases)))]), {}
    with several._Helper(request, ENDING, cases, board, 2):
        while not found or not len(board):
            board.collect(lambda index, result: found.update({index: result}), wait=True)
    assert {index: (r.status, r.reason) for index, r in found.items()} == {
        0: ("failed", "it ended the process: exit status 3")
    }
    assert board.take() == (1, 2)


def test_what_no_other_process_can_have_is_run_in_one() -> None:
    class Local(SignDescent):
        """A class that cannot be found by its name."""

    spec = replace(SignDescent.spec, name="local", implementation=Local)
    with pytest.warns(UserWarning, match="all checks run in one process.*Local"):
        results = run_checks(spec, checks=["group_rate", "noncontiguous"], modes=["pynative"], jobs=2)
    assert {result.status for result in results} == {"passed"}


def test_what_only_this_process_has_registered_is_run_in_it(started: list[Any]) -> None:
    cases = cases_for(SignDescent.spec.capabilities, ["group_rate"], ["pynative"])
    board = Board([tuple(range(len(cases)))])
    register(SignDescent.spec, kernels=[KernelSpec(SignDescent.spec.name, "CPU", SignDescent.rule)])
    try:
        (request,) = several._requests(SignDescent.spec, {}, 1)
        with (
            pytest.warns(UserWarning, match="all checks run in one process.*registered in one process alone"),
            several._Helper(request, SignDescent.spec, cases, board, 2),
        ):
            board.collect(lambda index, result: None, wait=True)
    finally:
        unregister(SignDescent.spec.name)
    assert board.take() == (0, 1, 2)


def test_an_interruption_ends_every_process(started: list[Any]) -> None:
    def interrupt(result: CheckResult) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_checks("lion", **ALIKE, jobs=2, progress=interrupt)
    assert len(started) == 1


def test_a_process_ends_with_the_one_that_asked(started: list[Any]) -> None:
    (request,) = several._requests(SignDescent.spec, {}, 1)
    helper = several._Helper(request, SignDescent.spec, [], Board([]), 2)
    process = helper._process
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(request)
    process.stdin.flush()
    assert pickle.load(process.stdout) == ""
    process.stdin.close()
    assert process.wait(60) == 0
    process.stdout.close()


def test_cases_that_share_runs_stay_together_and_the_longest_come_first() -> None:
    cases = cases_for(SignDescent.spec.capabilities, ["golden_*", "group_rate", "row_forms_agree"])
    found = batches(cases)
    assert sorted(index for batch in found for index in batch) == list(range(len(cases)))
    kinds = [{(cases[i].mode, cases[i].dtype, cases[i].check.subject == "Sparse") for i in batch} for batch in found]
    assert all(len(kind) == 1 for kind in kinds)
    assert next(iter(kinds[0]))[:2] == ("graph", "float32")


def test_a_few_cases_are_worth_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    capabilities = SignDescent.spec.capabilities
    monkeypatch.setattr(several, "_processors", lambda: 2)
    assert usual_jobs(cases_for(capabilities, ["golden_*"])) == 1
    assert usual_jobs(cases_for(capabilities, modes=["pynative"])) == 1
    assert usual_jobs(cases_for(capabilities)) == 3
    monkeypatch.setattr(several, "_processors", lambda: 1)
    assert usual_jobs(cases_for(capabilities)) == 1


@pytest.mark.parametrize(("number", "error"), [(0, ValueError), (-1, ValueError), (True, TypeError), (1.5, TypeError)])
def test_a_number_of_processes_must_be_one(number: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^jobs: "):
        run_checks(SignDescent.spec, checks=["name_resolves"], jobs=number)

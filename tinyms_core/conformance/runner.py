"""Running checks: `run_checks` and what it is made of."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING

from tinyms_core.conformance.catalog import Case, CheckFailure, CheckSkipped, all_runs, cases_for, list_checks
from tinyms_core.conformance.results import CheckResult, Status
from tinyms_core.registry.api import optimizer_info
from tinyms_core.registry.errors import describe
from tinyms_core.registry.specs import OptimizerSpec

if TYPE_CHECKING:
    from tinyms_core.conformance.runs import Runs
    from tinyms_core.conformance.subject import Subject

_LONGEST = 600


def run_checks(
    optimizer: str | OptimizerSpec,
    *,
    checks: Sequence[str] | None = None,
    modes: Sequence[str] | None = None,
    dtypes: Sequence[str] | None = None,
    expected_failures: Mapping[str, str] | None = None,
    progress: Callable[[CheckResult], None] | None = None,
    jobs: int | None = 1,
) -> list[CheckResult]:
    """Hold an optimizer to the contract.

    Arguments:
        optimizer: a registered name, or an `OptimizerSpec`, which need not be registered; its
            implementation may be a class.
        checks: names of checks, with wildcards; None for all.
        modes: modes to run in; None for all that are declared.
        dtypes: dtypes of parameters; None for all that are declared.
        expected_failures: reasons, by the name of a check that is expected to fail, or by one of its cases as
            ``check-mode-dtype``, with wildcards. Strict: what is expected to fail and passes is an
            ``"unexpected_pass"``.
        progress: called with each result as it comes.
        jobs: how many processes share the work, at least 1; None for as many as the processors and the number of
            cases are worth. Another process cannot have an optimizer that is a class of ``__main__``, say, or that
            only this process has registered: then this one does all of it, and a warning says why.

    Returns:
        A result for each check in each mode with each dtype, in the same order whatever ``jobs`` is; nothing is left
        out without a reason.

    Raises:
        UnknownOptimizerError: no optimizer of that name.
        ValueError: a check, mode or dtype that does not exist, or a number of jobs that is not positive.
        TypeError: a number of jobs that is no int.

    Example:
        >>> from tinyms_core.conformance import run_checks
        >>> from tinyms_core.examples import SignDescent
        >>> results = run_checks(SignDescent.spec, checks=["group_*"], modes=["pynative"])
        >>> sorted({(result.check, result.status) for result in results})
        [('group_decay', 'passed'), ('group_rate', 'passed')]
    """
    from tinyms_core.conformance.jobs import run_in_processes, usual_jobs
    from tinyms_core.conformance.runs import Runs

    _check_jobs(jobs)
    spec = optimizer_info(optimizer) if isinstance(optimizer, str) else optimizer
    expected = check_expectations(expected_failures)
    cases = cases_for(spec.capabilities, checks, modes, dtypes)
    with Runs() as runs:

        def run(case: Case) -> CheckResult:
            return run_case(spec, case, expectation(case, expected), runs)[0]

        def report(result: CheckResult) -> CheckResult:
            if progress is not None:
                progress(result)
            return result

        count = usual_jobs(cases) if jobs is None else jobs
        if count == 1:
            return [report(run(case)) for case in cases]
        return run_in_processes(spec, cases, expected, count, run, report)


def _check_jobs(jobs: int | None) -> None:
    if jobs is None:
        return
    if isinstance(jobs, bool) or not isinstance(jobs, int):
        raise TypeError(f"jobs: a number of processes is wanted, or None, got {jobs!r}")
    if jobs < 1:
        raise ValueError(f"jobs: must be at least 1, got {jobs}")


def check_expectations(expected_failures: Mapping[str, str] | None) -> dict[str, str]:
    """Refuse expectations about checks that do not exist, or without a reason.

    Raises:
        ValueError: one is such; the message names it.
    """
    expected = dict(expected_failures or {})
    for pattern, reason in expected.items():
        if not any(_matches(entry.name, run, pattern) for entry in list_checks() for run in all_runs(entry)):
            raise ValueError(
                f"expected_failures: {pattern!r} is no check's name, nor one of its cases such as "
                "'golden_state-graph-float32'; `list_checks` says which there are"
            )
        if not isinstance(reason, str) or not reason.strip():
            raise ValueError(f"expected_failures: {pattern!r} needs a reason, a str, got {reason!r}")
    return expected


def expectation(case: Case, expected: Mapping[str, str]) -> str:
    """Why a case is expected to fail; empty where it is not."""
    found = (r for pattern, r in expected.items() if _matches(case.check.name, (case.mode, case.dtype), pattern))
    return next(found, "")


def _matches(name: str, run: tuple[str, str], pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase("-".join((name, *run)), pattern)


def run_case(
    spec: OptimizerSpec,
    case: Case,
    expected: str = "",
    runs: Runs | None = None,
    make_subject: Callable[..., Subject] | None = None,
) -> tuple[CheckResult, Exception | None]:
    """Run one check in one mode with one dtype.

    Arguments:
        spec: the optimizer.
        case: the check, with mode and dtype.
        expected: why it is expected to fail; empty where it is not.
        runs: what it shares with the optimizer's other cases; nothing when None.
        make_subject: makes the subject, as `subject_of` does, which it is when None.

    Returns:
        The result, and the exception behind a failure, expected or not.
    """
    import mindspore

    from tinyms_core.conformance.precision import measured

    device = str(mindspore.get_context("device_target"))
    began = time.perf_counter()
    with measured() as precision:
        make = make_subject or partial(subject_of, runs=runs)
        status, reason, error = ("skipped", case.skip, None) if case.skip else _outcome(spec, case, device, make)
    if expected and status == "failed":
        status, reason = "expected_failure", f"{expected} ({reason})"
    elif expected and status == "passed":
        status, reason = "unexpected_pass", f"expected to fail: {expected}; take it off the expected failures"
    result = CheckResult(
        check=case.check.name,
        subject=case.check.subject,
        optimizer=spec.name,
        device=device,
        mode=case.mode,
        dtype=case.dtype,
        status=status,
        reason=reason,
        seconds=round(time.perf_counter() - began, 4),
        largest_errors=precision.largest,
    )
    return result, error


def _outcome(
    spec: OptimizerSpec, case: Case, device: str, make_subject: Callable[..., Subject]
) -> tuple[Status, str, Exception | None]:
    from tinyms_core.conformance.trial import free_optimizers
    from tinyms_core.optimizer.modes import execution_mode

    try:
        subject = make_subject(spec, case.mode, case.dtype, device)
        if case.mode == "graph":
            free_optimizers()
        with execution_mode(case.mode):
            case.check.function(subject)
    except CheckSkipped as skipped:
        return "skipped", str(skipped), None
    except CheckFailure as failure:
        return "failed", _cut(str(failure)), failure
    except Exception as error:
        # Whatever an optimizer raises where the contract has it work is the finding itself.
        return "failed", _cut(f"it raised {describe(error)}"), error
    return "passed", "", None


def subject_of(spec: OptimizerSpec, mode: str, dtype: str, device: str = "CPU", runs: Runs | None = None) -> Subject:
    """The subject of checks: an optimizer around another one together with a small one of the kit's own."""
    from tinyms_core.conformance.composite import compose
    from tinyms_core.conformance.inner import INNER
    from tinyms_core.conformance.runs import Runs
    from tinyms_core.conformance.subject import Subject

    shared = Runs() if runs is None else runs
    if not spec.capabilities.wraps_optimizer:
        return Subject(spec, mode, dtype, device, runs=shared)
    return Subject(compose(spec, INNER), mode, dtype, device, own=spec, runs=shared)


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"

"""`run_foreign_checks`: first the probes, then the checks with what the probes leave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from tinyms_core.conformance.catalog import Case
from tinyms_core.conformance.foreign.cases import NOT_RUNNING, ForeignCases, batches, chosen
from tinyms_core.conformance.foreign.probes import DEFAULT_NUMBERS, STEP_RUNS
from tinyms_core.conformance.foreign.process import run_in_process
from tinyms_core.conformance.results import ANY, CheckResult

SECONDS = 180.0
"""How long a case may take, unless told."""


def run_foreign_checks(
    optimizer: str,
    *,
    checks: Sequence[str] | None = None,
    modes: Sequence[str] | None = None,
    dtypes: Sequence[str] | None = None,
    seconds: float = SECONDS,
    progress: Callable[[CheckResult], None] | None = None,
) -> list[CheckResult]:
    """Hold the optimizer of ``mindspore.nn`` that has the name of one of ours to the semantics of ours.

    Each option, capability, dtype and mode is tried by itself first, and the kit's checks are run with what has
    passed: one wrong option does not hide what is right, nor what else is wrong. Everything runs in other processes,
    so that what crashes there is a result here.

    Arguments:
        optimizer: the name of ours.
        checks: names of checks and probes, with wildcards; None for all.
        modes: modes; None for all.
        dtypes: dtypes of parameters; None for all.
        seconds: how long a case may take, > 0.
        progress: called with each result as it comes.

    Returns:
        A result for each case; its optimizer is named as ``mindspore.nn.Adam`` is.

    Raises:
        UnknownOptimizerError: no optimizer of that name.
        TinymsOptimError: MindSpore has no such optimizer.
    """
    run = _Run(ForeignCases(optimizer), partial(chosen, checks=checks, modes=modes, dtypes=dtypes), seconds, progress)
    run.all()
    return run.results


class _Run:
    """A run: which probes have failed so far, and the results that were asked for.

    Arguments:
        every: the cases.
        select: gives those of some cases that were asked for.
        seconds: how long a case may take.
        progress: called with each result.
    """

    def __init__(
        self,
        every: ForeignCases,
        select: Callable[[Sequence[Case]], list[Case]],
        seconds: float,
        progress: Callable[[CheckResult], None] | None,
    ) -> None:
        self.results: list[CheckResult] = []
        self._every = every
        self._select = select
        self._seconds = seconds
        self._progress = progress
        self._failed: set[str] = set()

    def all(self) -> None:
        """Run everything in its order."""
        self._run_probes(self._every.of_probe(STEP_RUNS))
        if STEP_RUNS in self._failed:
            self._skip([*self._every.of_probe(DEFAULT_NUMBERS), *self._every.of_probes()])
        else:
            self._run_other_probes()
        self._run(self._select(self._every.of_checks(frozenset(self._failed))), self._take)

    def _run_other_probes(self) -> None:
        checks, probes = self._select(self._every.of_checks(())), self._every.of_probes()
        if not checks and not self._select([*self._every.of_probe(DEFAULT_NUMBERS), *probes]):
            return
        self._run_probes(self._every.of_probe(DEFAULT_NUMBERS))
        if DEFAULT_NUMBERS in self._failed:
            self._begin_elsewhere()
            probes = self._every.of_probes()
        # Which probes fail decides what the checks are run with, also where nobody has asked for them.
        self._run_probes(probes if checks else self._select(probes))

    def _skip(self, cases: Sequence[Case]) -> None:
        once = {case.check.name: Case(case.check, ANY, ANY, NOT_RUNNING) for case in self._select(cases)}
        self._run(list(once.values()), self._take)

    def _begin_elsewhere(self) -> None:
        """Find options that are right where the defaults are not, so that the rest says something of itself."""
        passed: list[str] = []

        def keep(result: CheckResult) -> None:
            if result.status == "passed":
                passed.append(result.check)

        self._run(self._every.of_options(), keep)
        if passed:
            options = self._every.probes[passed[0]].options
            self._every = replace(self._every, options=options)

    def _run_probes(self, cases: Sequence[Case]) -> None:
        asked = self._select(cases)
        self._run(asked, self._take)
        self._run([case for case in cases if case not in asked], self._note)

    def _run(self, cases: Sequence[Case], report: Callable[[CheckResult], None]) -> None:
        for case in cases:
            if case.skip:
                report(self._skipped(case))
        for batch in batches([case for case in cases if not case.skip]):
            run_in_process(self._every, batch, frozenset(self._failed), self._seconds, report)

    def _note(self, result: CheckResult) -> None:
        if result.failed and result.check in self._every.probes:
            self._failed.add(result.check)

    def _take(self, result: CheckResult) -> None:
        self._note(result)
        self.results.append(result)
        if self._progress is not None:
            self._progress(result)

    def _skipped(self, case: Case) -> CheckResult:
        label = self._every.peer.label
        return CheckResult(case.check.name, case.check.subject, label, "CPU", ANY, ANY, "skipped", case.skip, 0.0)

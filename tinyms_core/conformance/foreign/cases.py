"""Which checks are run with an optimizer that is not ours, and with what of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, Final

from tinyms_core.conformance.catalog import Case, all_runs, list_checks
from tinyms_core.conformance.foreign.peers import ForeignOptimizer, ForeignSubject, foreign_optimizer, rebased
from tinyms_core.conformance.foreign.probes import (
    DEFAULT_NUMBERS,
    ROWS_OUTSIDE,
    SCALARS,
    STEP_RUNS,
    Options,
    Probe,
    probes_of,
)
from tinyms_core.conformance.results import ANY
from tinyms_core.conformance.subject import Subject
from tinyms_core.registry.errors import TinymsOptimError
from tinyms_core.registry.specs import OptimizerSpec

SUBJECTS: Final = ("Groups and rates", "Numbers", "Execution", "State")
"""What the checks are about; names, signatures and messages of errors are matters of a library's own."""

_OTHERS: Final = ("generator_groups_equal_list",)
"""Checks of other subjects that are about numbers too."""

_OWN: Final = frozenset(
    {
        "kernel_parity", "peer_trajectories", "thread_count_invariant", "missing_kernel_named", "target_switch",
        "checkpoint_interchange", "undeclared_modes_refused", "wraps_classic_optimizers", "wraps_mindspore_optimizers",
    }
)  # fmt: skip
"""Checks about kernels, threads and devices of this library, and about what it does beside ``mindspore.nn``."""

_SAID_BY: Final[Mapping[str, str]] = MappingProxyType({"centralization_effective_or_refused": "centralization"})
"""Checks that say no more than a probe where that fails."""

NOT_RUNNING: Final = "a step with the defaults does not run"
"""Why nothing else is run."""

_FIRST: Final = (STEP_RUNS, DEFAULT_NUMBERS)

_DANGEROUS: Final = frozenset({ROWS_OUTSIDE, "bad_gradients_leave_state_untouched"})
"""Checks with arguments that can make MindSpore write where it should not: each has a process of its own."""


@dataclass(frozen=True)
class ForeignCases:
    """The cases of an optimizer that is not ours: first its probes, then the checks with what they leave.

    Arguments:
        name: the name of ours.
        options: what to begin with in place of the defaults.
    """

    name: str
    options: Options = ()

    @cached_property
    def peer(self) -> ForeignOptimizer:
        """The optimizer.

        Raises:
            TinymsOptimError: MindSpore has none of this name.
        """
        found = foreign_optimizer(self.name)
        if found is None:
            raise TinymsOptimError(f"mindspore.nn has no optimizer like {self.name!r}, which could be checked")
        return rebased(found, self.options) if self.options else found

    @cached_property
    def probes(self) -> dict[str, Probe]:
        """The probes by the names of their checks."""
        return {probe.check.name: probe for probe in probes_of(self.peer)}

    def of_probe(self, name: str) -> list[Case]:
        """The cases of one probe; none where the optimizer has no such."""
        return self._of_probes([name] if name in self.probes else [])

    def of_options(self) -> list[Case]:
        """The cases of the probes of options."""
        return self._of_probes([name for name, probe in self.probes.items() if probe.options])

    def of_probes(self) -> list[Case]:
        """The cases of all probes but the first."""
        return self._of_probes([name for name in self.probes if name not in _FIRST])

    def _of_probes(self, names: Sequence[str]) -> list[Case]:
        checks = [self.probes[name].check for name in names]
        return [Case(check, mode, dtype) for check in checks for mode, dtypes in check.runs.items() for dtype in dtypes]

    def all(self, failed: Collection[str]) -> list[Case]:
        """The cases of all probes, and of the checks."""
        return [*self._of_probes(list(self.probes)), *self.of_checks(failed)]

    def of_checks(self, failed: Collection[str]) -> list[Case]:
        """The cases of the kit's checks.

        Arguments:
            failed: the names of the probes that have failed.

        Returns:
            The cases; what a failed probe rules out is there once, with the reason.
        """
        if self.peer.from_network:
            return []
        whole, rest = self.peer.spec.capabilities, self.narrowed(failed).capabilities
        cases: list[Case] = []
        for entry in list_checks():
            wanted = entry.subject in SUBJECTS or entry.name in _OTHERS
            if not wanted or entry.name in _OWN or not entry.applies(whole):
                continue
            if STEP_RUNS in failed:
                cases.append(Case(entry, ANY, ANY, NOT_RUNNING))
            elif _SAID_BY.get(entry.name) in failed:
                cases.append(Case(entry, ANY, ANY, f"the probe {_SAID_BY[entry.name]!r} has failed"))
            elif not entry.applies(rest):
                cases.append(Case(entry, ANY, ANY, f"it is for optimizers with {entry.needs}, which fails by itself"))
            else:
                cases += [
                    Case(entry, mode, dtype)
                    for mode, dtype in all_runs(entry)
                    if mode in (ANY, *rest.modes) and dtype in (ANY, *rest.dtypes)
                ]
        return cases

    def narrowed(self, failed: Collection[str]) -> OptimizerSpec:
        """The declaration without what the failed probes are about."""
        spec = self.peer.spec
        for name, probe in self.probes.items():
            if name in failed:
                spec = probe.without(spec)
        return spec

    def spec_for(self, case: Case, failed: Collection[str]) -> OptimizerSpec:
        """The declaration that a case is run with: all of it for a probe."""
        return self.peer.spec if case.check.name in self.probes else self.narrowed(failed)

    def subject_maker(self, failed: Collection[str]) -> Callable[[OptimizerSpec, str, str, str], Subject]:
        """What makes the subject of a case."""
        return partial(_subject, scalars=SCALARS not in failed)


def _subject(spec: OptimizerSpec, mode: str, dtype: str, device: str, *, scalars: bool) -> Subject:
    return ForeignSubject(spec, mode, dtype, device, scalars=scalars)


def request_for(every: ForeignCases, cases: Sequence[Case], failed: Collection[str], descriptor: int) -> dict[str, Any]:
    """What another process is asked for, as JSON can hold it."""
    return {
        "optimizer": every.name,
        "options": [[name, value] for name, value in every.options],
        "failed": sorted(failed),
        "cases": [[case.check.name, case.mode, case.dtype] for case in cases],
        "descriptor": descriptor,
    }


def from_request(request: Mapping[str, Any]) -> ForeignCases:
    """The cases that another process has asked for some of."""
    options = ((name, tuple(value) if isinstance(value, list) else value) for name, value in request["options"])
    return ForeignCases(request["optimizer"], tuple(options))


def chosen(
    cases: Sequence[Case],
    checks: Sequence[str] | None = None,
    modes: Sequence[str] | None = None,
    dtypes: Sequence[str] | None = None,
) -> list[Case]:
    """Those cases that match; None for all. Cases that depend on neither mode nor dtype are always there."""
    return [
        case
        for case in cases
        if (checks is None or any(fnmatchcase(case.check.name, pattern) for pattern in checks))
        and (modes is None or case.mode in (ANY, *modes))
        and (dtypes is None or case.dtype in (ANY, *dtypes))
    ]


def batches(cases: Sequence[Case]) -> list[list[Case]]:
    """The cases as they share a process: dangerous ones have one of their own."""
    together = [case for case in cases if case.check.name not in _DANGEROUS]
    alone = [[case] for case in cases if case.check.name in _DANGEROUS]
    return [*([together] if together else []), *alone]

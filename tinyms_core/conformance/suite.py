"""`OptimizerConformance`: the kit as a pytest class, for a plugin's own tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest

from tinyms_core.conformance.catalog import Case, CheckFailure, cases_for
from tinyms_core.conformance.results import CheckResult
from tinyms_core.conformance.runner import check_expectations, expectation, run_case
from tinyms_core.conformance.runs import Runs
from tinyms_core.registry.api import optimizer_info
from tinyms_core.registry.specs import OptimizerSpec


class OptimizerConformance:
    """Base of a test class that holds one optimizer to the contract.

    There is one test for each check, mode and dtype; its name tells them, so that ``-k`` selects by
    subject (``-k numbers``), by check (``-k golden_state``), by mode or by dtype.

    Attributes:
        optimizer: the optimizer's registered name, or its spec.
        expected_failures: reasons, by the name of a check that is expected to fail, or by one of its cases
            as ``check-mode-dtype``, with wildcards; one that passes all the same fails the test.
        results: the results of the tests of the class that have run, filled in as they do.

    Example:
        .. code-block:: python

            from tinyms_core.conformance import OptimizerConformance

            class TestAdam(OptimizerConformance):
                optimizer = "adam"
    """

    optimizer: ClassVar[str | OptimizerSpec] = ""
    expected_failures: ClassVar[Mapping[str, str]] = {}
    results: ClassVar[list[CheckResult]]

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        # A list for each class, or one optimizer's results would be counted with another's.
        cls.results = []

    @classmethod
    def specification(cls) -> OptimizerSpec:
        """The optimizer's spec.

        Raises:
            TypeError: the class does not say which optimizer it is for.
        """
        if not cls.optimizer:
            raise TypeError(f"{cls.__name__}: set 'optimizer' to a registered name, or to an OptimizerSpec")
        return optimizer_info(cls.optimizer) if isinstance(cls.optimizer, str) else cls.optimizer

    @classmethod
    def require_counts(cls, **expected: int) -> None:
        """Require how many results the tests so far have of each status, so that no check disappears unseen.

        Arguments:
            expected: numbers by status, such as ``passed=180, skipped=6``; other statuses must not occur.

        Raises:
            CheckFailure: there are other numbers. Where only a selection of the tests ran, the test is skipped.
        """
        if len(cls.results) < len(cases_for(cls.specification().capabilities)):
            pytest.skip("only a selection of the checks ran")
        found = dict(Counter(result.status for result in cls.results))
        if found != expected:
            raise CheckFailure(f"results by status are {found}, expected {expected}")

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Make the tests; pytest calls it while it collects."""
        if "conformance_case" in metafunc.fixturenames:
            check_expectations(self.expected_failures)
            cases = cases_for(self.specification().capabilities)
            metafunc.parametrize("conformance_case", cases, ids=[case.identifier for case in cases])

    @pytest.fixture(scope="class")
    def conformance_runs(self) -> Iterator[Runs]:
        """What the tests of the class share."""
        with Runs() as runs:
            yield runs

    def test_conformance(self, conformance_case: Case, conformance_runs: Runs) -> None:
        """One check in one mode with one dtype."""
        expected = expectation(conformance_case, self.expected_failures)
        result, error = run_case(self.specification(), conformance_case, expected, conformance_runs)
        type(self).results.append(result)
        report_to_pytest(result, error)


def report_to_pytest(result: CheckResult, error: Exception | None) -> None:
    """End a test as a result says.

    Raises:
        CheckFailure, Exception: what a failed check raised; pytest's own exceptions for the other statuses.
    """
    if result.status == "skipped":
        pytest.skip(result.reason)
    if result.status == "expected_failure":
        pytest.xfail(result.reason)
    if result.status == "unexpected_pass":
        pytest.fail(f"{result.check}: {result.reason}", pytrace=False)
    if result.failed:
        raise error if error is not None else CheckFailure(result.reason)

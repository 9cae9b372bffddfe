"""pytest's side of the kit: ``pytest --tinyms-optimizer NAME`` runs it without a line of test code.

pytest loads this module in every run where the library is installed, so it imports nothing that is not
needed until the option is given.
"""

from __future__ import annotations

from typing import Any

import pytest

_OPTION = "--tinyms-optimizer"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    group = parser.getgroup("tinyms", "conformance of optimizers")
    group.addoption(
        _OPTION,
        action="append",
        default=[],
        metavar="NAME",
        help="hold the optimizer of this name to the contract; may be given several times. "
        "Without paths, nothing else is collected.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """With the option and no paths, leave the project's own tests out."""
    if config.getoption(_OPTION) and config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args = []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add a test for each case of each named optimizer, before ``-k`` and ``-m`` select."""
    for name in config.getoption(_OPTION):
        items.extend(ConformanceCollector.from_parent(session, name=name).collect())


class ConformanceCollector(pytest.Collector):
    """The kit's cases for one optimizer, as pytest items."""

    def collect(self) -> list[pytest.Item]:
        """Return the items; an unknown optimizer is an error of usage."""
        from tinyms_core.conformance.catalog import cases_for
        from tinyms_core.registry.api import optimizer_info
        from tinyms_core.registry.errors import TinymsOptimError

        try:
            spec = optimizer_info(self.name)
        except TinymsOptimError as error:
            raise pytest.UsageError(f"{_OPTION}: {error}") from error
        return [
            ConformanceItem.from_parent(self, name=f"{self.name}[{case.identifier}]", spec=spec, case=case, of=self)
            for case in cases_for(spec.capabilities)
        ]

    def setup(self) -> None:
        """Before the first of its items: make what they share."""
        from tinyms_core.conformance.runs import Runs

        self.runs = Runs().__enter__()

    def teardown(self) -> None:
        """After the last of its items."""
        self.runs.__exit__()


class ConformanceItem(pytest.Item):
    """One check in one mode with one dtype."""

    def __init__(self, *, spec: Any, case: Any, of: ConformanceCollector, **more: Any) -> None:
        super().__init__(**more)
        self.spec = spec
        self.case = case
        self.of = of

    def runtest(self) -> None:
        """Run the check."""
        from tinyms_core.conformance.runner import run_case
        from tinyms_core.conformance.suite import report_to_pytest

        report_to_pytest(*run_case(self.spec, self.case, runs=self.of.runs))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show a failed check as its message, and anything else with its traceback."""
        from tinyms_core.conformance.catalog import CheckFailure

        if isinstance(excinfo.value, CheckFailure):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Where the check is written, and what it is called."""
        code = self.case.check.function.__code__
        return code.co_filename, code.co_firstlineno, self.name

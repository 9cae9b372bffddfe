"""The conformance kit: one command that says, point by point, whether an optimizer keeps the contract.

Every public name is imported when it is first used, so that importing this package imports neither
MindSpore nor numba.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinyms_core.conformance.catalog import Check, CheckFailure, CheckSkipped, cases_for, check, list_checks
    from tinyms_core.conformance.fuzzing import fuzz
    from tinyms_core.conformance.report import (
        from_json,
        largest_errors,
        overview_table,
        print_report,
        report_table,
        summary_line,
        to_json,
        write_json,
    )
    from tinyms_core.conformance.results import CheckResult
    from tinyms_core.conformance.runner import run_checks
    from tinyms_core.conformance.suite import OptimizerConformance
    from tinyms_core.conformance.tables import (
        DECAY_REFUSED,
        PARAMS_REFUSED,
        RATE_REFUSED,
        SCALE_REFUSED,
        Made,
        PeerOptions,
        Refused,
    )

_HOMES = {
    "DECAY_REFUSED": "tables",
    "PARAMS_REFUSED": "tables",
    "RATE_REFUSED": "tables",
    "SCALE_REFUSED": "tables",
    "Check": "catalog",
    "CheckFailure": "catalog",
    "CheckResult": "results",
    "CheckSkipped": "catalog",
    "Made": "tables",
    "OptimizerConformance": "suite",
    "PeerOptions": "tables",
    "Refused": "tables",
    "cases_for": "catalog",
    "check": "catalog",
    "from_json": "report",
    "fuzz": "fuzzing",
    "largest_errors": "report",
    "list_checks": "catalog",
    "overview_table": "report",
    "print_report": "report",
    "report_table": "report",
    "run_checks": "runner",
    "summary_line": "report",
    "to_json": "report",
    "write_json": "report",
}

__all__ = [
    "DECAY_REFUSED",
    "PARAMS_REFUSED",
    "RATE_REFUSED",
    "SCALE_REFUSED",
    "Check",
    "CheckFailure",
    "CheckResult",
    "CheckSkipped",
    "Made",
    "OptimizerConformance",
    "PeerOptions",
    "Refused",
    "cases_for",
    "check",
    "from_json",
    "fuzz",
    "largest_errors",
    "list_checks",
    "overview_table",
    "print_report",
    "report_table",
    "run_checks",
    "summary_line",
    "to_json",
    "write_json",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'tinyms_core.conformance' has no attribute {name!r}")
    value = getattr(import_module(f"tinyms_core.conformance.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

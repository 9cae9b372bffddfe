"""A table of what is wrong with optimizers that are not ours: a row for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tinyms_core.conformance.foreign.cases import ForeignCases
from tinyms_core.conformance.report import count_by_status
from tinyms_core.conformance.results import ANY, CheckResult

if TYPE_CHECKING:
    from rich.table import Table


def failed_probes(name: str, results: Sequence[CheckResult]) -> list[str]:
    """What does not work by itself, in words.

    Arguments:
        name: the name of ours.
        results: those of MindSpore's.

    Returns:
        Such as ``["use_nesterov=True", "sparse gradients (pynative, jit)"]``.
    """
    found = []
    for probe in ForeignCases(name).probes.values():
        modes = [result.mode for result in results if result.failed and result.check == probe.check.name]
        if modes:
            found.append(probe.what if len(probe.check.runs) == 1 else f"{probe.what} ({', '.join(modes)})")
    return found


def failed_checks(name: str, results: Sequence[CheckResult]) -> list[str]:
    """Which of the kit's checks have failed with what works by itself, and where.

    Arguments:
        name: the name of ours.
        results: those of MindSpore's.

    Returns:
        Such as ``["mixed_dtype (pynative, jit)", "zero_gradient"]``.
    """
    probes = ForeignCases(name).probes
    modes: dict[str, list[str]] = {}
    for result in results:
        if result.failed and result.check not in probes:
            modes.setdefault(result.check, []).append(result.mode)
    return [_with_modes(check, list(dict.fromkeys(where))) for check, where in modes.items()]


def _with_modes(check: str, modes: Sequence[str]) -> str:
    return check if list(modes) == [ANY] else f"{check} ({', '.join(modes)})"


def foreign_table(results: Mapping[str, Sequence[CheckResult]]) -> Table:
    """A row for each optimizer: how many cases have each status, and what is wrong.

    Arguments:
        results: by the name of ours, those of MindSpore's.

    Returns:
        A table for `rich.console.Console.print`.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(show_lines=True, caption="what is wrong by itself is left out of the checks")
    table.add_column("optimizer", no_wrap=True)
    for status in ("passed", "skipped", "failed"):
        table.add_column(status, justify="right")
    table.add_column("wrong by itself", overflow="fold")
    table.add_column("checks that fail with the rest", overflow="fold")
    for name, own in results.items():
        counts = count_by_status(own)
        numbers = [Text(str(counts[status])) for status in ("passed", "skipped", "failed")]
        wrong = (Text("\n".join(texts)) for texts in (failed_probes(name, own), failed_checks(name, own)))
        table.add_row(Text(own[0].optimizer if own else name), *numbers, *wrong)
    return table

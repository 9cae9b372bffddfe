"""Reports of results: JSON for machines, a table for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tinyms_core.conformance.results import FAILURES, STATUSES, CheckResult
from tinyms_core.registry.specs import CONTRACT_VERSION, DTYPES

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

FORMAT: Final = 1
"""The version of the JSON report's form."""

_WORDS: Final = {
    "failed": ("failed", "bold red"),
    "unexpected_pass": ("unexpectedly passed", "bold red"),
    "expected_failure": ("failed as expected", "yellow"),
    "skipped": ("skipped", "cyan"),
    "passed": ("passed", "green"),
}


def count_by_status(results: Iterable[CheckResult]) -> dict[str, int]:
    """How many results have each status; every status is there."""
    counts = Counter(result.status for result in results)
    return {status: counts[status] for status in STATUSES}


def summary_line(results: Sequence[CheckResult], seconds: float | None = None) -> str:
    """All results in a line.

    Arguments:
        results: of one optimizer or several.
        seconds: how long they took; None for the sum of each one's, which is more where processes shared the work.

    Returns:
        Such as ``adam: 140 passed, 2 skipped in 61.0 s; it conforms``.

    Example:
        >>> from tinyms_core.conformance import CheckResult, summary_line
        >>> passed = CheckResult("name_resolves", "Identity", "adam", "CPU", "any", "any", "passed", "", 0.25)
        >>> summary_line([passed])
        'adam: 1 passed in 0.2 s; it conforms'
    """
    names = ", ".join(dict.fromkeys(result.optimizer for result in results)) or "no optimizer"
    counts = count_by_status(results)
    parts = [f"{number} {_WORDS[status][0]}" for status, number in counts.items() if number]
    took = sum(result.seconds for result in results) if seconds is None else seconds
    failed = any(counts[status] for status in FAILURES)
    verdict = "it does not conform" if failed else "it conforms" if counts["passed"] else "nothing was checked"
    return f"{names}: {', '.join(parts) or 'no checks'} in {took:.1f} s; {verdict}"


def largest_errors(results: Iterable[CheckResult]) -> dict[str, float]:
    """The largest error against the float64 oracle for each dtype of parameters.

    Arguments:
        results: of one optimizer or several.

    Returns:
        By dtype, the error relative to the larger of the element and its tensor's root mean square.

    Example:
        >>> from tinyms_core.conformance import CheckResult, largest_errors
        >>> common = ("golden_state", "Numbers", "adam", "CPU", "pynative", "float32", "passed", "", 0.25)
        >>> largest_errors([CheckResult(*common, {"float32": 1e-07}), CheckResult(*common, {"float32": 3e-07})])
        {'float32': 3e-07}
    """
    found: dict[str, float] = {}
    for result in results:
        for dtype, error in result.largest_errors.items():
            found[dtype] = max(error, found.get(dtype, 0.0))
    return found


def to_json(results: Sequence[CheckResult]) -> dict[str, Any]:
    """All results as a dict that ``json.dumps`` takes.

    Arguments:
        results: of one optimizer or several.

    Returns:
        The format's version, the contract's, the versions of the software, the optimizers, counts by status,
        and the results. Nothing in it names the machine.
    """
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for distribution in ("tinyms-core", "mindspore", "numba", "numpy"):
        try:
            versions[distribution] = version(distribution)
        except PackageNotFoundError:
            versions[distribution] = "not installed"
    return {
        "format": FORMAT,
        "contract": CONTRACT_VERSION,
        "versions": versions,
        "optimizers": list(dict.fromkeys(result.optimizer for result in results)),
        "counts": count_by_status(results),
        "results": [result.to_dict() for result in results],
    }


def write_json(results: Sequence[CheckResult], path: str | PathLike[str]) -> None:
    """Write all results to a JSON file.

    Arguments:
        results: of one optimizer or several.
        path: the file; it is replaced.

    Raises:
        OSError: it cannot be written.
    """
    Path(path).write_text(json.dumps(to_json(results), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def from_json(text: str) -> list[CheckResult]:
    """The results in the text of a JSON report.

    Arguments:
        text: what `write_json` wrote.

    Returns:
        The results.

    Raises:
        ValueError: it is not such a report, or one of another format.
    """
    data = json.loads(text)
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError(f"this is not a conformance report of format {FORMAT}")
    return [CheckResult(**result) for result in data["results"]]


def report_table(results: Sequence[CheckResult], *, verbose: bool = False) -> Table:
    """All results as a table: failures first with their reason, then expected failures and skips.

    Arguments:
        results: of one optimizer or several.
        verbose: whether checks that passed have a line each; otherwise a subject's are counted in one.

    Returns:
        A table for `rich.console.Console.print`.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(show_lines=False, expand=False)
    for header, options in (
        ("status", {"no_wrap": True}),
        ("check", {"overflow": "fold"}),
        ("mode", {"no_wrap": True}),
        ("dtype", {"no_wrap": True}),
        ("reason", {"overflow": "fold", "ratio": 1}),
    ):
        table.add_column(header, **options)  # type: ignore[arg-type]
    several = len({result.optimizer for result in results}) > 1
    for status in STATUSES:
        word, style = _WORDS[status]
        chosen = [result for result in results if result.status == status]
        if status == "passed" and not verbose:
            for subject, number in Counter(result.subject for result in chosen).items():
                table.add_row(Text(word, style=style), Text(f"{number} of {subject}"), "", "", "")
            continue
        for result in chosen:
            name = f"{result.optimizer}: {result.check}" if several else result.check
            table.add_row(
                Text(word, style=style), Text(name), Text(result.mode), Text(result.dtype), Text(result.reason)
            )
    return table


def overview_table(results: Sequence[CheckResult]) -> Table:
    """A row for each optimizer: how many cases have each status, the largest errors against float64, and the time.

    Arguments:
        results: of several optimizers.

    Returns:
        A table for `rich.console.Console.print`.
    """
    from rich.table import Table
    from rich.text import Text

    dtypes = [dtype for dtype in DTYPES if dtype in largest_errors(results)]
    always, overall = ("passed", "skipped", "failed"), count_by_status(results)
    statuses = [status for status in reversed(STATUSES) if status in always or overall[status]]
    table = Table(caption="errors against float64, relative to the larger of the element and its tensor's size")
    table.add_column("optimizer")
    for status in statuses:
        table.add_column(_WORDS[status][0], justify="right")
    for dtype in dtypes:
        table.add_column(f"error, {dtype}", justify="right")
    table.add_column("seconds", justify="right")
    for name in dict.fromkeys(result.optimizer for result in results):
        own = [result for result in results if result.optimizer == name]
        counts, errors = count_by_status(own), largest_errors(own)
        cells = [Text(str(counts[s]), style=_WORDS[s][1] if counts[s] else "") for s in statuses]
        shown = [Text(f"{errors[dtype]:.1e}" if dtype in errors else "-") for dtype in dtypes]
        table.add_row(Text(name), *cells, *shown, f"{sum(result.seconds for result in own):.0f}")
    return table


def print_report(
    results: Sequence[CheckResult],
    *,
    verbose: bool = False,
    console: Console | None = None,
    seconds: float | None = None,
) -> None:
    """Print `report_table` and, below it, `summary_line` and `largest_errors`.

    Arguments:
        results: of one optimizer or several.
        verbose: whether checks that passed have a line each.
        console: where to; the standard output when None.
        seconds: how long the checks took, as for `summary_line`.
    """
    from rich.console import Console

    out = console or Console()
    out.print(report_table(results, verbose=verbose))
    out.print(summary_line(results, seconds), markup=False, highlight=False)
    errors = largest_errors(results)
    if errors:
        text = ", ".join(f"{dtype} {error:.1e}" for dtype, error in errors.items())
        out.print(f"largest error against float64: {text}", markup=False, highlight=False)

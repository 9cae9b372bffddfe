"""How many cases the kit has for each optimizer, as a table; ``python -m tests.conformance.counts`` writes it anew."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import tinyms_core
from tinyms_core.conformance.catalog import SUBJECTS, cases_for
from tinyms_core.registry import optimizer_info
from tinyms_core.registry.known import FIRST_PARTY

TABLE = Path(__file__).with_name("counts.txt")

_COLUMNS = (*SUBJECTS, "all", "ruled out")


def counts_table() -> str:
    """The table: a row for each optimizer of this project.

    Returns:
        The numbers of cases that are run, by subject and all together, and of those that its capabilities rule out.
    """
    names = [n for n in tinyms_core.list_optimizers() if optimizer_info(n).distribution in FIRST_PARTY]
    wide = max(map(len, names))
    lines = ["  ".join(("optimizer".ljust(wide), *_COLUMNS))]
    for name in names:
        cases = cases_for(optimizer_info(name).capabilities)
        run = Counter(case.check.subject for case in cases if not case.skip)
        numbers = [*(run[subject] for subject in SUBJECTS), run.total(), sum(bool(case.skip) for case in cases)]
        cells = (str(number).rjust(len(column)) for number, column in zip(numbers, _COLUMNS, strict=True))
        lines.append("  ".join((name.ljust(wide), *cells)))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TABLE.write_text(counts_table(), encoding="utf-8")

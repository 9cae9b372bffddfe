"""No check disappears unseen: how many cases each optimizer has is pinned."""

from __future__ import annotations

from itertools import zip_longest

from tests.conformance.counts import TABLE, counts_table


def test_each_optimizer_has_as_many_cases_as_before() -> None:
    pinned, found = TABLE.read_text(encoding="utf-8").splitlines(), counts_table().splitlines()
    changed = [f"- {old}\n+ {new}" for old, new in zip_longest(pinned, found, fillvalue="") if old != new]
    assert not changed, (
        f"The numbers of cases are not those of {TABLE.name}:\n\n  {pinned[0]}\n" + "\n".join(changed) + "\n\n"
        "Fewer: a check, one of its modes or dtypes, or a capability that an optimizer declares is gone. If that was "
        "not meant, bring it back.\nIf it was, or if there are more, run: python -m tests.conformance.counts, and "
        "commit the table with the reason."
    )

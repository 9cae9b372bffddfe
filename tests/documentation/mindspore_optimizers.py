"""The page of MindSpore's own optimizers, from a report of ``tinyms-optim check --peer mindspore --json REPORT``.

``python -m tests.documentation.mindspore_optimizers REPORT…`` writes it; of an optimizer that several reports have the
last one counts. Every case that has failed must be explained
in `mindspore_words`, and every explanation must have such a case: what is said is what was measured.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.documentation.mindspore_words import COMMON, OWN
from tinyms_core.conformance import CheckResult, from_json
from tinyms_core.conformance.foreign.cases import ForeignCases
from tinyms_core.conformance.foreign.peers import foreign_names
from tinyms_core.conformance.foreign.report import failed_probes
from tinyms_core.conformance.report import count_by_status
from tinyms_core.conformance.results import ANY

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "mindspore-optimizers.md"

_INTRODUCTION = """\
# Optimizers of mindspore.nn

What `mindspore.nn`'s own optimizers do on a CPU, held to the semantics of this library's optimizers of the same names.
This page is generated from the results of

```sh
tinyms-optim check --peer mindspore --json report.json
```

with {versions}.

Each option, dtype, mode and other capability was tried by itself first; a table's rows with a name such as `option_l1`
are these. Then the kit's [checks](conformance.md) of groups, rates, numbers, execution and state
were run with what had passed, so that one wrong option does not hide the rest. Everything was compared with float64
references, element by element. What is said of an optimizer is about its numbers and its state, as this library's
contract has them; where MindSpore documents something else, that is no defect of it.

| optimizer | passed | skipped | failed | wrong by itself |
|---|---|---|---|---|
"""
_OF_ALL = """
## What several have in common

| check | what is wrong | where |
|---|---|---|
"""


def page(results: Sequence[CheckResult], versions: Mapping[str, str]) -> str:
    """The page in Markdown.

    Arguments:
        results: of a whole run.
        versions: of the software that it ran with.

    Raises:
        ValueError: a failure is not explained, or an explanation has no failure.
    """
    by_label = {ForeignCases(name).peer.label: name for name in foreign_names()}
    own = {label: [r for r in results if r.optimizer == label] for label in by_label}
    _require_explained(own)
    shown = ", ".join(f"{name} {version}" for name, version in versions.items())
    parts = [_INTRODUCTION.format(versions=shown)]
    for label, found in own.items():
        counts = count_by_status(found)
        numbers = " | ".join(str(counts[status]) for status in ("passed", "skipped", "failed"))
        wrong = "; ".join(failed_probes(by_label[label], found))
        parts.append(f"| [`{label}`](#{_anchor(label)}) | {numbers} | {wrong} |\n")
    parts.append(_OF_ALL)
    for check, words in COMMON.items():
        where = [label for label, found in own.items() if _is_common(label, check) and _modes(found, check)]
        parts.append(f"| `{check}` | {words} | {', '.join(_short(label) for label in where)} |\n")
    parts += [_section(label, found) for label, found in own.items()]
    return "".join(parts)


def _anchor(label: str) -> str:
    return label.replace(".", "").lower()


def _short(label: str) -> str:
    return label.rpartition(".")[2]


def _is_common(label: str, check: str) -> bool:
    return check in COMMON and (label, check) not in OWN


def _modes(results: Sequence[CheckResult], check: str, status: str = "failed") -> list[str]:
    """Where a check has a status, as mode or as dtype; what makes no difference is left out."""
    found = [result for result in results if result.check == check and result.status == status]
    return list(dict.fromkeys(result.mode for result in found))


def _section(label: str, results: Sequence[CheckResult]) -> str:
    failed = list(dict.fromkeys(result.check for result in results if result.status == "failed"))
    rows = []
    for check in failed:
        where = ", ".join(mode for mode in _modes(results, check) if mode != ANY) or "\N{EN DASH}"
        words = OWN.get((label, check)) or COMMON[check]
        rows.append(f"| `{check}` | {where} | {words} |\n")
    passed = list(dict.fromkeys(r.check for r in results if r.status == "passed" and r.check not in failed))
    skipped = list(dict.fromkeys(r.check for r in results if r.status == "skipped" and r.check not in failed))
    lines = [f"\n## {label}\n\n| failed | where | what is wrong |\n|---|---|---|\n", *rows]
    for word, checks in (("Passed", passed), ("Skipped", skipped)):
        if checks:
            lines.append(f"\n{word}: {', '.join(f'`{check}`' for check in checks)}.\n")
    return "".join(lines)


def _require_explained(own: Mapping[str, Sequence[CheckResult]]) -> None:
    failed = {(label, result.check) for label, found in own.items() for result in found if result.status == "failed"}
    unexplained = sorted(case for case in failed if case not in OWN and case[1] not in COMMON)
    if unexplained:
        raise ValueError(f"no words for {unexplained}; write them in tests/documentation/mindspore_words.py")
    idle = sorted(case for case in OWN if case not in failed)
    idle += sorted(check for check in COMMON if not any((label, check) in failed for label in own))
    if idle:
        raise ValueError(f"words for what has not failed: {idle}; take them out of mindspore_words.py")


def main(reports: Sequence[str]) -> None:
    """Write the page from reports, which must be of the same software."""
    found: dict[str, list[CheckResult]] = {}
    versions: dict[str, str] = {}
    for text in (Path(report).read_text(encoding="utf-8") for report in reports):
        if versions not in ({}, json.loads(text)["versions"]):
            raise ValueError(f"the reports are of different versions: {versions} and {json.loads(text)['versions']}")
        versions = json.loads(text)["versions"]
        results = from_json(text)
        found |= {label: [r for r in results if r.optimizer == label] for label in {r.optimizer for r in results}}
    PAGE.write_text(page([result for own in found.values() for result in own], versions), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

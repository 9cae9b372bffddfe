"""Pages that are generated; ``python -m tests.documentation.pages`` writes them anew."""

from __future__ import annotations

from pathlib import Path

from tinyms_core.conformance import list_checks
from tinyms_core.registry import CONTRACT_VERSION

DOCS = Path(__file__).parents[2] / "docs"

_CHECKS = """\
# Conformance checks

The checks of contract {version}, by subject, as `tinyms-optim check NAME` runs them. A check runs in each of its
modes with each of its dtypes, as far as the optimizer declares them; one that needs a capability runs only
where it is declared. This page is generated from the kit; what each check catches is on
[the page of planted defects](planted-defects.md).

Use it from a file of tests:

```python
from tinyms_core.conformance import OptimizerConformance


class TestAdam(OptimizerConformance):
    optimizer = "adam"
```

without one, `pytest --tinyms-optimizer adam` or `tinyms-optim check adam`; from Python:

```python
from tinyms_core.conformance import run_checks

results = run_checks("adam", checks=["name_resolves", "group_*"], modes=["pynative"], dtypes=["float32"])
assert all(result.status == "passed" for result in results)
```
"""


def checks_page() -> str:
    """The page of the kit's checks, in Markdown."""
    parts = [_CHECKS.format(version=CONTRACT_VERSION)]
    subject = ""
    for check in list_checks():
        if check.subject != subject:
            subject = check.subject
            parts.append(f"\n## {subject}\n\n| check | what holds | modes | needs |\n|---|---|---|---|")
        modes = ", ".join(check.runs) if set(check.runs) != {"any"} else "once"
        summary = check.summary.replace("|", "\\|")
        parts.append(f"| `{check.name}` | {summary} | {modes} | {check.needs} |")
    return "\n".join(parts) + "\n"


PAGES = {DOCS / "reference" / "conformance.md": checks_page}

if __name__ == "__main__":
    for path, page in PAGES.items():
        path.write_text(page(), encoding="utf-8")

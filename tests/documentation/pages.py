"""Pages that are generated; ``python -m tests.documentation.pages`` writes them anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.documentation.benchmarks import PAGE as BENCHMARKS
from tests.documentation.benchmarks import benchmarks_page, step_times
from tests.documentation.migration import PAGE as MIGRATION
from tests.documentation.migration import migration_page
from tinyms_core.conformance import list_checks
from tinyms_core.registry import CONTRACT_VERSION, OptimizerSpec, UnknownOptimizerError, kernels_for, optimizer_info

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"

_CHECKS = """\
# Conformance checks

The checks of contract {version}, by subject, as `tinyms-optim check NAME` runs them. A check runs in each of its
modes with each of its dtypes, as far as the optimizer declares them; one that needs a capability runs only
where it is declared. Of an optimizer that is built from a network (`consumes_network`) the checks run whose names begin
with `network_`, and those few that build none. This page is generated from the kit; what each check catches is on
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

`-k` chooses checks by their names, or a subject's by the subject: `-k golden -k sparse`. The command shares many checks
among one more process than there are processors, up to four; `--jobs 1` runs them in one, as `run_checks` does unless
it is told otherwise (`jobs=None` chooses as the command does). The results and their order are the same.

## Known failures

A check that cannot be kept yet, or not on a device, is named with the reason; everything else goes on being checked. It
counts as kept while it fails, and as a failure from the day on which it passes, so that no excuse outlives its cause. A
name is for all cases of a check, `check-mode-dtype` for one, and both take wildcards:

```console
$ tinyms-optim check my_optimizer --expect-failure "golden_state-graph-*=rounded twice in a graph"
```

The same is `expected_failures={{"golden_state-graph-*": "rounded twice in a graph"}}` of `run_checks` and of a class of
tests.

## Random scenarios

The checks look where someone thought of looking. `tinyms-optim check adam --fuzz 500` looks elsewhere: hypothesis
draws parameters of any shape and dtype, groups, options and rates as the optimizer declares them, and steps, changes
of rates and parameters, checkpoints and bad gradients in any order. Each step is compared with the float64 reference,
at the tolerance of the checks, and of what fails the smallest scenario is shown. It needs `pip install hypothesis`.

```python
from tinyms_core.conformance import fuzz

result = fuzz("adam", examples=5)
assert result.status == "passed", result.reason
```
"""


_VERSIONS = """
## Versions of the contract

A specification says which version it keeps (`OptimizerSpec.contract`). A check belongs to the version that brought it;
a new check or a stricter one is a new version with a line here, and an optimizer that keeps an older one of the same
first number goes on working.

| version | checks that it brought | what changed |
|---|---|---|"""

# What each version of the contract brought that is not to be read off the checks' own versions.
_CONTRACT_CHANGES = {"1.0": "the first"}


def _contract_versions() -> str:
    """The versions of the contract, newest first, with the number of checks that each brought."""
    since = Counter(check.since for check in list_checks())
    unknown = set(since) ^ set(_CONTRACT_CHANGES)
    if unknown or CONTRACT_VERSION not in _CONTRACT_CHANGES:
        raise ValueError(f"every version of the contract needs a line, and only those; see {sorted(unknown)}")
    rows = [f"| {v} | {since[v]} | {what} |" for v, what in reversed(_CONTRACT_CHANGES.items())]
    return "\n".join([_VERSIONS, *rows])


def checks_page() -> str:
    """The page of the kit's checks, in Markdown."""
    parts = [_CHECKS.format(version=CONTRACT_VERSION), _contract_versions()]
    subject = ""
    for check in list_checks():
        if check.subject != subject:
            subject = check.subject
            parts.append(f"\n## {subject}\n\n| check | what holds | modes | needs |\n|---|---|---|---|")
        modes = ", ".join(check.runs) if set(check.runs) != {"any"} else "once"
        summary = check.summary.replace("|", "\\|")
        parts.append(f"| `{check.name}` | {summary} | {modes} | {check.needs} |")
    return "\n".join(parts) + "\n"


# The optimizers of the reference, in its order and by its names.
_REFERENCE = (
    "Momentum", "LARS", "Adam", "AdamWeightDecay", "LazyAdam", "AdamOffload", "Lamb", "SGD", "FTRL", "RMSProp",
    "ProximalAdagrad", "Adagrad", "thor", "AdaFactor",
)  # fmt: skip
# Those that came after it.
_MODERN = ("AdamW", "Lion", "Adan", "Muon")
_COLUMNS = ("optimizer", "CPU, PyNative", "CPU, graph", "GPU", "Ascend", "sparse rows", "bfloat16", "state bytes")
_NONE = "\N{EN DASH}"
# The README's tables, by what stands in the marks before and after each.
_TABLES = {"optimizers": _REFERENCE, "modern optimizers": _MODERN}


def optimizers_table(names: Sequence[str]) -> str:
    """What each optimizer can do, as its specification and its kernels say."""
    rows = [_COLUMNS, ("---",) * len(_COLUMNS)]
    for name in names:
        try:
            rows.append(_row(name, optimizer_info(name)))
        except UnknownOptimizerError:
            rows.append((name, "not yet", *(_NONE,) * (len(_COLUMNS) - 2)))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(name: str, spec: OptimizerSpec) -> tuple[str, ...]:
    can = spec.capabilities
    operators = "operators" if "graph" in can.modes else _NONE
    # What is seen of a network is worked on by the host, and so is state that is there.
    elsewhere = "graph" in can.modes and not can.consumes_network and not can.offload
    # Whether there is a GPU where this is written says nothing about the optimizer.
    found = kernels_for(spec.name)
    kernels = {status.spec.device for status in found if status.available or status.spec.device == "GPU"}
    graph = "kernel" if "CPU" in kernels and operators != _NONE else operators
    return (
        f"[{name}](plugins/{spec.name}/README.md)",
        ("kernel" if "CPU" in kernels else "operators") if "pynative" in can.modes else _NONE,
        graph,
        # Nothing here has been run on another device than a CPU, and MindSpore 2.10 has none for GPUs.
        "kernel, not run" if "GPU" in kernels else _NONE,
        "kernel, not run" if "Ascend" in kernels else f"{operators}, not run" if elsewhere else _NONE,
        _NONE if can.sparse == "none" else can.sparse,
        "yes" if "bfloat16" in can.dtypes else _NONE,
        "the inner one's" if can.wraps_optimizer else state_bytes(spec),
    )


def state_bytes(spec: OptimizerSpec) -> str:
    """State for each element of a large float32 matrix, and with the arguments that add some."""
    edge = 1024
    plain = spec.state_bytes((edge, edge)) / edge**2
    text = f"{plain:.2g}{', and for each layer' if spec.capabilities.consumes_network else ''}"
    for slot in spec.state:
        if slot.given:
            text += f", with {slot.given} {spec.state_bytes((edge, edge), **{slot.given: 0.5}) / edge**2:.2g}"
    return text


def readme() -> str:
    """The README, with the tables of optimizers between their marks as they should be."""
    text = README.read_text(encoding="utf-8")
    for kind, names in _TABLES.items():
        text = _between_marks(text, kind, optimizers_table(names))
    return _between_marks(text, "step times", step_times())


def _between_marks(text: str, kind: str, content: str) -> str:
    begin, end = f"<!-- {kind}: generated -->\n", f"<!-- end of {kind} -->\n"
    before, found, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found and found_end):
        raise ValueError(f"README.md must have the marks {begin.strip()!r} and {end.strip()!r}, each on a line")
    return before + begin + content + end + after


PAGES = {
    BENCHMARKS: benchmarks_page,
    DOCS / "reference" / "conformance.md": checks_page,
    README: readme,
    MIGRATION: migration_page,
}

if __name__ == "__main__":
    for path, page in PAGES.items():
        path.write_text(page(), encoding="utf-8")

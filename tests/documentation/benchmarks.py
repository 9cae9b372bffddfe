"""The page of step times, and the README's table, from what one run of ``tinyms-optim bench`` wrote."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tinyms_core.cli.bench.thresholds import judge, read_goals

FOLDER = Path(__file__).parents[2] / "docs" / "reference" / "benchmarks"
PAGE = FOLDER.with_suffix(".md")
RESULTS = FOLDER / "steps.json"
GOALS = Path(__file__).parents[1] / "benchmarks" / "thresholds.toml"

_NONE = "\N{EN DASH}"
_MODES = {"pynative": "PyNative", "graph": "graph mode", "jit": "`ms.jit`"}
_PICTURES = {
    "of-possible": "Fractions of what the memory allows",
    "mindspore": "`mindspore.nn`'s time over ours",
    "torch": "PyTorch's time over ours",
    "scaling": "Time for an element, by size and number of tensors",
}
_PEERS = {"mindspore": "`mindspore.nn`", "torch": "PyTorch, fused"}

_HEAD = """\
# Step times

Milliseconds for one step, weight decay and loss scale on where an optimizer has them, as

```console
{command}
```

measured them on {date}: {cores} cores of an {cpu}, {memory:.0f} GiB, caches {caches};
{versions}.

Medians of interleaved rounds; a ratio is the median over rounds of two times in the same round, with bounds of 95 %
confidence where there were rounds enough. *of possible* is the time of the same reads and writes of memory without
arithmetic over that of the step, see [what is possible](../how-to/benchmark.md). Everything, each round's time too, is
in [steps.json](benchmarks/steps.json).

"""

# Further runs, by the names of their files: what the page says of them.
_FURTHER = {
    "centralized": """\
## With centralized gradients

The means of the rows of convolutions' gradients are taken as well, which moves nothing more; of another run
([centralized.json](benchmarks/centralized.json)):
""",
    "graph": """\
## In graphs

In graph mode, of another run ([graph.json](benchmarks/graph.json)); PyTorch is eager all the same:
""",
}


@cache
def _run() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return found


def benchmarks_page() -> str:
    """The page, in Markdown."""
    run = _run()
    parts = [_HEAD.format(**_facts(run)), *_tables(run)]
    for name, words in _FURTHER.items():
        if further := _more(name):
            parts += [f"{words}\n```console\n{_facts(further)['command']}\n```\n\n", *_tables(further)]
    parts.append(_goals())
    parts.append(_notes(run))
    parts.append(_memory())
    parts.append(_starts())
    parts.append(_scaling())
    for name, title in _PICTURES.items():
        if (FOLDER / f"{name}.png").exists():
            parts.append(f"## {title}\n\n![{title}](benchmarks/{name}.png)\n\n")
    return "".join(parts).rstrip() + "\n"


def _tables(run: dict[str, Any]) -> list[str]:
    found = []
    for mode in run["settings"]["modes"]:
        for shapes in run["settings"]["shapes"]:
            rows = [r for r in run["results"] if (r["mode"], r["shapes"]) == (mode, shapes)]
            if rows:
                found.append(f"## {_set_name(rows[0])}, {_MODES[mode]}\n\n{_table(_COLUMNS, rows)}\n")
    return found


def step_times() -> str:
    """The README's table: large and small sets of parameters in PyNative, against the peers."""
    run = _run()
    found = {(r["optimizer"], r["shapes"]): r for r in run["results"] if r["mode"] == "pynative"}
    facts = _facts(run)
    heads = ["16 of 1 Mi elements", *_PEERS.values(), "of possible", "500 of 100 elements", *_PEERS.values()]
    lines = [
        f"Milliseconds for a step on {facts['cores']} cores of an {facts['cpu']}, with mindspore "
        f"{run['versions']['mindspore']} and PyTorch {run['versions'].get('torch', _NONE)}; *of possible*: the part "
        "of what the memory allows.\n",
        f"| | {' | '.join(heads)} |",
        f"|{'---|' * (len(heads) + 1)}",
    ]
    for optimizer in dict.fromkeys(name for name, _ in found):
        large, small = found.get((optimizer, "large")), found.get((optimizer, "small"))
        if large and small:
            cells = [_ms(large), *(_peer_ms(large, p) for p in _PEERS), _possible_alone(large)]
            cells += [_ms(small), *(_peer_ms(small, p) for p in _PEERS)]
            lines.append(f"| {optimizer} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _facts(run: dict[str, Any]) -> dict[str, Any]:
    machine, settings = run["machine"], run["settings"]
    command = (
        f"tinyms-optim bench --all --shapes {','.join(settings['shapes'])} --mode {','.join(settings['modes'])} "
        f"--against {','.join(settings['against']) or 'none'} --steps {settings['steps']} --limit {settings['limit']:g}"
        f"{' --centralize' if settings['centralize'] else ''}"
    )
    sizes = ", ".join(f"{name} {size / 2**20:.3g} MiB" for name, size in machine["caches_bytes"].items())
    return {
        "command": command,
        "date": run["date"][:10],
        "cores": machine["cores"],
        "cpu": machine["cpu"].replace("(R)", ""),
        "memory": machine["memory_bytes"] / 2**30,
        "caches": sizes,
        "versions": ", ".join(f"{name} {version}" for name, version in run["versions"].items() if version),
    }


def _set_name(row: dict[str, Any]) -> str:
    centralized = ", gradients centralized" if row["centralize"] else ""
    million = f"{row['elements'] / 1e6:.4g} million elements{centralized}"
    return f"{row['shapes'].capitalize()}: {row['tensors']:,} tensors, {million}"


def _digits(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _ms(row: dict[str, Any]) -> str:
    return _digits(row["median_ms"])


def _peer_ms(row: dict[str, Any], peer: str) -> str:
    found = row["peers"].get(peer, {}).get("median_ms")
    return _NONE if found is None else _digits(found)


def _ratio(found: dict[str, Any] | None, form: Callable[[float], str]) -> str:
    if not found:
        return _NONE
    text = form(found["median"])
    return f"{text} ({form(found['low'])} to {form(found['high'])})" if found["low"] is not None else text


def _peer_ratio(row: dict[str, Any], peer: str) -> str:
    return _ratio(row["peers"].get(peer, {}).get("ratio_to_ours"), _digits)


def _percent(value: float) -> str:
    return f"{value:.0%}"


def _possible(row: dict[str, Any]) -> str:
    return _ratio((row["roofline"] or {}).get("of_possible"), _percent)


def _possible_alone(row: dict[str, Any]) -> str:
    return _possible(row).partition(" ")[0]


def _rate(row: dict[str, Any]) -> str:
    roofline = row["roofline"]
    if not roofline:
        return f"{row['gflop_per_s']:.0f} GFlop/s" if row.get("gflop_per_s") else _NONE
    return f"{roofline['gb_per_s']:.1f} of {roofline['possible_gb_per_s']:.1f}"


_COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "optimizer": lambda row: str(row["optimizer"]),
    "ms": _ms,
    "µs a tensor": lambda row: _digits(row["microseconds_per_tensor"]),
    "GB/s": _rate,
    "of possible": _possible,
    "`mindspore.nn`, ms": lambda row: _peer_ms(row, "mindspore"),
    "ratio to ours": lambda row: _peer_ratio(row, "mindspore"),
    "PyTorch fused, ms": lambda row: _peer_ms(row, "torch"),
    "ratio to ours ": lambda row: _peer_ratio(row, "torch"),
}


def _table(columns: dict[str, Callable[[dict[str, Any]], str]], rows: Sequence[dict[str, Any]]) -> str:
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(cell(row) for cell in columns.values())} |" for row in rows]
    return "\n".join(lines) + "\n"


def _goals() -> str:
    """The project's goals, held against every run that they are about."""
    goals = read_goals(GOALS)
    rows = [row for run in (_run(), _more("centralized")) for row in run.get("results", ())]
    # Where memory was measured times were too, but in few rounds.
    temporaries = [goal for goal in goals if goal.metric == "temporaries"]
    verdicts = [*judge(goals, rows), *judge(temporaries, _more("memory").get("results", ()))]
    measured = [verdict for verdict in verdicts if verdict.value is not None]
    missed = [verdict for verdict in measured if verdict.violated]
    if not missed:
        return f"## Goals\n\nAll of {len(measured)} measured values meet their goals.\n\n"
    kept = len(measured) - len(missed)
    lines = [f"## Goals\n\nOf {len(measured)} measured values {kept} meet their goals. These do not:\n"]
    lines += ["| optimizer | | metric | found | goal |", "|---|---|---|---|---|"]
    for verdict in missed:
        place = f"{_set_name(verdict.row)}, {_MODES[verdict.row['mode']]}"
        found = f"{verdict.value:.3g} | {verdict.goal.wanted}"
        lines.append(f"| {verdict.row['optimizer']} | {place} | {verdict.goal.metric} | {found} |")
    return "\n".join(lines) + "\n\n"


def _notes(run: dict[str, Any]) -> str:
    peers = [(row["optimizer"], peer) for row in run["results"] for peer in row["peers"].values()]
    notes = dict.fromkeys(f"- {name}: {peer['label']}: {peer['reason']}" for name, peer in peers if peer["reason"])
    left = [f"- {text}" for text in run.get("left_out", ())]
    return "## What was not timed\n\n" + "\n".join([*notes, *left]) + "\n\n" if notes or left else ""


def _more(name: str) -> dict[str, Any]:
    path = FOLDER / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def _memory() -> str:
    rows = [row for row in _more("memory").get("results", ()) if row.get("memory")]
    if not rows:
        return ""
    lines = [
        "## Memory that a step needs for a while\n",
        "Beyond parameters, gradients and state, as a part of the parameters' bytes; `--memory`, set `large`.\n",
        "| optimizer | temporaries |",
        "|---|---|",
    ]
    lines += [f"| {row['optimizer']} | {row['memory']['fraction']:.2%} |" for row in rows]
    return "\n".join(lines) + "\n\n"


def _starts() -> str:
    rows = _more("cold-start").get("cold_starts", ())
    if not rows:
        return ""
    lines = [
        "## Cold starts\n",
        "Seconds from a new process to the end of its first step, with the cache of kernels empty and filled; "
        "`--cold-start`. Where numba is imported, that is part of the first step.\n",
        "| optimizer | mode | cache | Python | import mindspore | first step | numba |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        for cache_is in ("empty", "warm"):
            found = row[f"{cache_is}_seconds"]
            cells = [f"{found[phase]:.2f}" for phase in ("python", "mindspore", "step")]
            cells.append("imported" if row["numba"][cache_is] else "")
            lines.append(f"| {row['optimizer']} | {_MODES[row['mode']]} | {cache_is} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n\n"


def _scaling() -> str:
    points = _more("scaling").get("scaling", {}).get("points", ())
    if not points:
        return ""
    threads = sorted({point["threads"] for point in points})
    found = {(p["optimizer"], p["elements"], p["tensors"], p["threads"]): p for p in points}
    lines = [
        "## Sizes\n",
        "Nanoseconds for an element, with so many threads; `--scaling`, everything in "
        "[scaling.json](benchmarks/scaling.json).\n",
        f"| optimizer | elements | tensors | {' | '.join(map(str, threads))} |",
        f"|{'---|' * (3 + len(threads))}",
    ]
    for row in dict.fromkeys(key[:-1] for key in found):
        cells = [_digits(found[(*row, count)]["nanoseconds_per_element"]) for count in threads]
        lines.append(f"| {row[0]} | {row[1]:,} | {row[2]:,} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n\n"

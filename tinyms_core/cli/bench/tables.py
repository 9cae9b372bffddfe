"""The table that ``tinyms-optim bench`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from tinyms_core.cli.output import plain_table

if TYPE_CHECKING:
    from tinyms_core.cli.bench.memory import Memory
    from tinyms_core.cli.bench.run import Outcome, PeerTime
    from tinyms_core.cli.bench.timing import Ratio

_HEADINGS = {"mindspore": "mindspore.nn", "torch": "torch"}
_MODES = {"pynative": "PyNative", "graph": "graph", "jit": "jit"}
_ABSENT = "-"
_CAPTION = (
    "Ratios are medians over rounds, with bounds of 95 % confidence. possible: the same reads and writes of tensors of "
    "the same sizes, without arithmetic, by as many threads, in the same rounds."
)
_MEMORY_CAPTION = (
    "temporaries: resident memory at its peak during a step beyond that before it, of the parameters' bytes."
)


def bench_report(outcomes: Sequence[Outcome], settings: dict[str, Any], memory: Sequence[Memory | None] = ()) -> Group:
    """Return the table, and below it why numbers are missing.

    Args:
        outcomes: What was timed.
        settings: What was the same for all.
        memory: What a step of each needs; empty where nobody asked.
    """
    kinds = list(outcomes[0].peers) if outcomes else []
    table = _table(kinds, settings, with_memory=bool(memory))
    for index, outcome in enumerate(outcomes):
        cells: list[str | Text] = [
            Text(outcome.optimizer),
            outcome.shapes.name,
            _MODES[outcome.setting.mode],
            outcome.setting.dtype,
            str(len(outcome.shapes.shapes)),
            f"{outcome.shapes.elements / 1e6:.2f}",
            _milliseconds(outcome.times.milliseconds),
        ]
        for kind in kinds:
            cells += _peer_cells(outcome.peers[kind])
        cells += [_number(outcome.bandwidth), _number(outcome.possible_bandwidth), _percent(outcome.fraction)]
        if memory:
            cells.append(_share(memory[index]))
        table.add_row(*cells)
    return Group(table, *(Text(line) for line in _remarks(outcomes)))


def _table(kinds: Sequence[str], settings: dict[str, Any], *, with_memory: bool) -> Table:
    prepared = "decay, loss scale and centralization on" if settings["centralize"] else "decay and loss scale on"
    table = plain_table(
        f"One step, median of {settings['steps']} interleaved rounds, {settings['threads']} thread(s), {prepared}",
        caption=" ".join([_CAPTION, *([_MEMORY_CAPTION] if with_memory else [])]),
    )
    for heading in ("optimizer", "shapes", "mode", "dtype"):
        table.add_column(heading, no_wrap=True)
    for heading in ("tensors", "million\nelements", "tinyms\nms"):
        table.add_column(heading, justify="right")
    for kind in kinds:
        table.add_column(f"{_HEADINGS[kind]}\nms", justify="right")
        table.add_column(f"{_HEADINGS[kind]}\n/ tinyms", justify="right", no_wrap=True)
    for heading in ("step\nGB/s", "possible\nGB/s", "of possible"):
        table.add_column(heading, justify="right", no_wrap=True)
    if with_memory:
        table.add_column("temporaries", justify="right")
    return table


def _peer_cells(peer: PeerTime) -> list[str | Text]:
    if peer.times is None or peer.ratio is None:
        return [_ABSENT, _ABSENT]
    return [_milliseconds(peer.times.milliseconds), _with_bounds(peer.ratio, "{:.2f}")]


def _with_bounds(ratio: Ratio, form: str) -> str:
    bounds = "" if ratio.low is None else f" ({form.format(ratio.low)} to {form.format(ratio.high)})"
    return form.format(ratio.median) + bounds


def _percent(ratio: Ratio | None) -> str:
    return _ABSENT if ratio is None else _with_bounds(ratio, "{:.0%}")


def _number(value: float | None) -> str:
    return _ABSENT if value is None else f"{value:.1f}"


def _share(memory: Memory | None) -> str:
    return _ABSENT if memory is None else f"{memory.fraction:.2%}"


def _milliseconds(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def _remarks(outcomes: Sequence[Outcome]) -> list[str]:
    """Why a cell is empty and what it leaves out, each said once, after the names of whom it concerns."""
    remarks: dict[str, dict[str, None]] = {}
    for outcome in outcomes:
        own = []
        if outcome.gigaflops is not None:
            own.append("matrix products take the time, not the memory; --json has their GFLOP/s")
        elif outcome.possible is None:
            own.append("its kernel does not say what a step has to move, so that nobody knows what is possible")
        for peer in outcome.peers.values():
            text = peer.peer.reason or peer.peer.note
            own += [f"{peer.peer.label}: {text}"] if text else []
        for text in own:
            remarks.setdefault(text, {})[outcome.optimizer] = None
    return [f"{', '.join(names)}: {text}" for text, names in remarks.items()]

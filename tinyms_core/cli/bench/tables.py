"""The table that ``tinyms-optim bench`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from tinyms_core.cli.output import plain_table

if TYPE_CHECKING:
    from tinyms_core.cli.bench.run import Outcome, PeerTime

_HEADINGS = {"mindspore": "mindspore.nn", "torch": "torch"}
_ABSENT = "-"
_CAPTION = (
    "GB/s: bytes that have to be read and written. A step changes memory in place. A copy makes most processors fetch "
    "what it overwrites, which is not counted, so a step may be faster than a copy."
)


def bench_report(outcomes: Sequence[Outcome], settings: dict[str, Any]) -> Group:
    """Return the table, and below it why numbers are missing.

    Args:
        outcomes: What was timed.
        settings: What was the same for all.
    """
    kinds = list(outcomes[0].peers) if outcomes else []
    table = _table(kinds, settings)
    for outcome in outcomes:
        cells: list[str | Text] = [
            Text(outcome.optimizer),
            outcome.shapes.name,
            str(len(outcome.shapes.shapes)),
            f"{outcome.shapes.elements / 1e6:.2f}",
            _milliseconds(outcome.times.milliseconds),
        ]
        for kind in kinds:
            cells += _peer_cells(outcome.peers[kind])
        cells.append(f"{outcome.bandwidth:.1f}")
        for kind in outcome.passes:
            cells += [f"{outcome.pass_bandwidth(kind):.1f}", f"{outcome.fraction(kind):.0%}"]
        table.add_row(*cells)
    return Group(table, *(Text(line) for line in _remarks(outcomes)))


def _table(kinds: Sequence[str], settings: dict[str, Any]) -> Table:
    table = plain_table(
        f"One step, median of {settings['steps']} interleaved turns, {settings['threads']} threads, "
        "float32, PyNative, decay and loss scale on",
        caption=_CAPTION,
    )
    table.add_column("optimizer", no_wrap=True)
    table.add_column("shapes", no_wrap=True)
    for heading in ("tensors", "million\nelements", "tinyms\nms"):
        table.add_column(heading, justify="right")
    for kind in kinds:
        table.add_column(f"{_HEADINGS[kind]}\nms", justify="right")
        table.add_column(f"{_HEADINGS[kind]}\n/ tinyms", justify="right")
    for heading in ("step\nGB/s", "copy\nGB/s", "step\n/ copy", "in place\nGB/s", "step\n/ in place"):
        table.add_column(heading, justify="right")
    return table


def _peer_cells(peer: PeerTime) -> list[str | Text]:
    if peer.times is None or peer.ratio is None:
        return [_ABSENT, _ABSENT]
    return [_milliseconds(peer.times.milliseconds), f"{peer.ratio:.2f}x"]


def _milliseconds(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def _remarks(outcomes: Sequence[Outcome]) -> list[str]:
    remarks = []
    for outcome in outcomes:
        for peer in outcome.peers.values():
            text = peer.peer.reason or peer.peer.note
            if text:
                remarks.append(f"{outcome.optimizer}: {peer.peer.label}: {text}")
    return list(dict.fromkeys(remarks))

"""Timing one optimizer's step with one set of shapes, against its peers and what the memory allows."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import inf
from typing import Any

import mindspore

from tinyms_core.cli.around import DEFAULT, together
from tinyms_core.cli.bench.arguments import bench_arguments
from tinyms_core.cli.bench.numbers import Numbers
from tinyms_core.cli.bench.order import Order, Row
from tinyms_core.cli.bench.peers import Peer, find_peers
from tinyms_core.cli.bench.room import require_room
from tinyms_core.cli.bench.setting import Setting
from tinyms_core.cli.bench.shapes import ShapeSet
from tinyms_core.cli.bench.steps import CellStep
from tinyms_core.cli.bench.timing import Ratio, Step, Times, race, steps_of_a_turn
from tinyms_core.cli.bench.walk import Walk
from tinyms_core.optimizer.modes import execution_mode
from tinyms_core.optimizer.tensor_reader import tensor_reader
from tinyms_core.optimizer.work import Work, step_work
from tinyms_core.registry.api import optimizer_info
from tinyms_core.registry.probe import resolve
from tinyms_core.registry.specs import OptimizerSpec

_OURS = "tinyms"
_POSSIBLE = "possible"


@dataclass(frozen=True)
class PeerTime:
    """A peer's times, or why there are none.

    Attributes:
        peer: who it is.
        times: its times; None where it cannot run.
        ratio: its time over ours.
    """

    peer: Peer
    times: Times | None = None
    ratio: Ratio | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict that ``json.dumps`` takes."""
        return {
            "label": self.peer.label,
            **(self.times.to_dict() if self.times else {"median_ms": None}),
            "ratio_to_ours": self.ratio.to_dict() if self.ratio else None,
            "reason": self.peer.reason,
            "note": self.peer.note,
        }


@dataclass(frozen=True)
class Outcome:
    """What the steps of one optimizer with one set of shapes took.

    Attributes:
        name: the name that was asked for.
        optimizer: the same, with what it is built around where it is built so.
        shapes: the set.
        setting: mode, dtype and preprocessing.
        arguments: what the optimizer was built with.
        times: its times.
        peers: by kind.
        work: what a step has to do.
        possible: the times of the same reads and writes without arithmetic; None where nobody says what they are.
        possible_bytes: bytes of these.
    """

    name: str
    optimizer: str
    shapes: ShapeSet
    setting: Setting
    arguments: Mapping[str, Any]
    times: Times
    peers: Mapping[str, PeerTime]
    work: Work
    possible: Times | None

    @property
    def bandwidth(self) -> float | None:
        """Bytes that the step moves at least, in GB/s."""
        return self.work.bytes / self.times.milliseconds / 1e6 if self.work.bytes else None

    @property
    def possible_bandwidth(self) -> float | None:
        """What the memory does with the same reads and writes, in GB/s."""
        if self.possible is None or not self.work.bytes:
            return None
        return self.work.bytes / self.possible.milliseconds / 1e6

    @property
    def fraction(self) -> Ratio | None:
        """The time of the same reads and writes over the step's."""
        return None if self.possible is None else self.possible.ratio_to(self.times)

    @property
    def gigaflops(self) -> float | None:
        """Billions of operations of matrix products in a second; None for a step without."""
        return self.work.flops / self.times.milliseconds / 1e6 if self.work.flops else None

    @property
    def microseconds_per_tensor(self) -> float:
        """The step's time over the number of tensors."""
        return self.times.milliseconds * 1e3 / len(self.shapes.shapes)

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict that ``json.dumps`` takes."""
        return {
            "optimizer": self.optimizer,
            "shapes": self.shapes.name,
            "mode": self.setting.mode,
            "dtype": self.setting.dtype,
            "centralize": self.setting.centralize,
            "tensors": len(self.shapes.shapes),
            "elements": self.shapes.elements,
            "arguments": dict(self.arguments),
            **self.times.to_dict(),
            "microseconds_per_tensor": self.microseconds_per_tensor,
            "peers": {kind: peer.to_dict() for kind, peer in self.peers.items()},
            "flops": self.work.flops,
            "gflop_per_s": self.gigaflops,
            "roofline": self._roofline(),
        }

    def _roofline(self) -> dict[str, Any] | None:
        if self.possible is None or self.fraction is None:
            return None
        return {
            "bytes": self.work.bytes,
            "passes": [
                {"reads": one.reads, "writes": one.writes} for part in self.work.traffic or () for one in part.passes
            ],
            "gb_per_s": self.bandwidth,
            "possible_gb_per_s": self.possible_bandwidth,
            "of_possible": self.fraction.to_dict(),
            "possible": self.possible.to_dict(),
        }


def peers_of(name: str, against: tuple[str, ...], setting: Setting, around: str = DEFAULT) -> dict[str, Peer]:
    """Find an optimizer's peers, and try each.

    Args:
        name: The optimizer's name.
        against: Kinds of peers.
        setting: Mode, dtype and preprocessing.
        around: What it is built around, where it is built so.

    Returns:
        The peers by kind, those that cannot run among them, with the reason.
    """
    spec = together(name, around)
    return find_peers(against, optimizer_info(name), spec, bench_arguments(spec), setting)


def measure_rows(
    order: Order, rows: Sequence[Row], began: Callable[[Row], None], finished: Callable[[], None]
) -> list[Outcome]:
    """Time rows in this process, one after the other.

    Args:
        order: What was asked for.
        rows: The rows.
        began: Called before each row.
        finished: Called after each round, those that warm up included.

    Returns:
        What each took.

    Raises:
        CommandError: If a row cannot be timed.
    """
    peers: dict[tuple[str, Setting], dict[str, Peer]] = {}
    outcomes = []
    for row in rows:
        began(row)
        key = row.name, row.setting
        if key not in peers:
            peers = {key: peers_of(row.name, order.against, row.setting, order.around)}
        outcomes.append(
            measure(row.name, row.shapes, order.steps, peers[key], finished, order.around, row.setting, order.limit)
        )
    return outcomes


def limit_peers(threads: int) -> None:
    """Let MindSpore and PyTorch use so many threads."""
    mindspore.set_context(runtime_num_threads=threads)
    if find_spec("torch") is not None:
        import torch

        torch.set_num_threads(threads)


def measure(
    name: str,
    shapes: ShapeSet,
    rounds: int,
    peers: Mapping[str, Peer],
    finished: Callable[[], None],
    around: str = DEFAULT,
    setting: Setting = Setting(),  # noqa: B008
    limit: float = inf,
) -> Outcome:
    """Time an optimizer's step.

    Args:
        name: The optimizer's name.
        shapes: The parameters' shapes.
        rounds: How many interleaved rounds count.
        peers: The peers, by kind.
        finished: Called after each round, those that warm up included.
        around: What it is built around, where it is built so.
        setting: Mode, dtype and preprocessing.
        limit: Seconds after which no further round begins.

    Returns:
        What it took. All memory that was needed is free again.

    Raises:
        CommandError: If the memory does not suffice.
    """
    spec = together(name, around)
    arguments = bench_arguments(spec)
    running_peers = {kind: peer for kind, peer in peers.items() if peer.build is not None}
    require_room(spec, arguments, shapes, setting, contestants=1 + len(running_peers))
    # Compiled in the background it would take a processor for some seconds, and change what a step costs.
    tensor_reader(wait=True)
    with execution_mode(setting.mode):
        ours = _ours(spec, arguments, shapes, setting)
        # What a first step does is not what steps do.
        ours()
        work = step_work(ours.optimizer, ours.gradients)
        contestants: dict[str, Step] = {_OURS: ours}
        if work.traffic:
            contestants[_POSSIBLE] = Walk(work.traffic)
        for kind, peer in running_peers.items():
            assert peer.build is not None
            contestants[kind] = peer.build(Numbers(shapes, 0), Numbers(shapes, 1))
        times = race(contestants, rounds, finished, steps_of_a_turn(shapes.elements), limit)
        for step in contestants.values():
            if isinstance(step, CellStep):
                step.release()
    del contestants, ours
    gc.collect()
    return Outcome(
        name=name,
        optimizer=f"{name} around {around}" if spec.capabilities.wraps_optimizer else name,
        shapes=shapes,
        setting=setting,
        arguments=arguments,
        times=times[_OURS],
        peers={kind: _peer_time(peer, times.get(kind), times[_OURS]) for kind, peer in peers.items()},
        work=work,
        possible=times.get(_POSSIBLE),
    )


def _ours(spec: OptimizerSpec, arguments: Mapping[str, Any], shapes: ShapeSet, setting: Setting) -> CellStep:
    return CellStep(resolve(spec.implementation), arguments, Numbers(shapes, 0), Numbers(shapes, 1), setting)


def _peer_time(peer: Peer, times: Times | None, ours: Times) -> PeerTime:
    return PeerTime(peer) if times is None else PeerTime(peer, times, times.ratio_to(ours))

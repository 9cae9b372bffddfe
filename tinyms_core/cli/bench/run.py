"""Timing one optimizer's step with one set of shapes, against its peers and the memory's speed."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import mindspore
import numpy as np

from tinyms_core.cli.around import DEFAULT, together
from tinyms_core.cli.bench.arguments import bench_arguments
from tinyms_core.cli.bench.peers import CellStep, Peer, mindspore_peer, torch_peer
from tinyms_core.cli.bench.shapes import ShapeSet
from tinyms_core.cli.bench.timing import Step, Times, race, steps_of_a_turn
from tinyms_core.cli.bench.traffic import Passes, step_bytes
from tinyms_core.registry.api import optimizer_info
from tinyms_core.registry.probe import resolve

_OURS = "tinyms"
_COPY = "copy"
_REWRITE = "in place"
# Of the random values, which are repeated: making as many as the largest set has would take longer than its steps.
_PERIOD = 2**20


@dataclass(frozen=True)
class PeerTime:
    """A peer's times, or why there are none.

    Attributes:
        peer: who it is.
        times: its times; None where it cannot run.
        ratio: its time over ours, the median over rounds.
    """

    peer: Peer
    times: Times | None
    ratio: float | None

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict that ``json.dumps`` takes."""
        times = self.times.to_dict() if self.times else {"median_ms": None}
        return {
            "label": self.peer.label,
            **times,
            "ratio_to_ours": self.ratio,
            "reason": self.peer.reason,
            "note": self.peer.note,
        }


@dataclass(frozen=True)
class Outcome:
    """What the steps of one optimizer with one set of shapes took.

    Attributes:
        optimizer: the name that was asked for.
        shapes: the set.
        arguments: what the optimizer was built with.
        times: its times.
        peers: by kind, ``"mindspore"`` and ``"torch"``; empty without peers.
        traffic: bytes that the step reads and writes at least.
        pass_bytes: bytes that a plain pass over memory reads and writes.
        passes: the times of such passes: ``"copy"`` and ``"in place"``.
    """

    optimizer: str
    shapes: ShapeSet
    arguments: Mapping[str, Any]
    times: Times
    peers: Mapping[str, PeerTime]
    traffic: int
    pass_bytes: int
    passes: Mapping[str, Times]

    @property
    def bandwidth(self) -> float:
        """Bytes that the step moves, in GB/s."""
        return self.traffic / self.times.milliseconds / 1e6

    def pass_bandwidth(self, kind: str) -> float:
        """Return the bytes that a pass moves, in GB/s."""
        return self.pass_bytes / self.passes[kind].milliseconds / 1e6

    def fraction(self, kind: str) -> float:
        """Return the step's speed as a fraction of a pass's, the median over rounds."""
        return self.passes[kind].ratio_to(self.times) * self.traffic / self.pass_bytes

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict that ``json.dumps`` takes."""
        passes = {
            kind: {
                **times.to_dict(),
                "bytes": self.pass_bytes,
                "gb_per_s": self.pass_bandwidth(kind),
                "step_fraction": self.fraction(kind),
            }
            for kind, times in self.passes.items()
        }
        return {
            "optimizer": self.optimizer,
            "shapes": self.shapes.name,
            "tensors": len(self.shapes.shapes),
            "elements": self.shapes.elements,
            "arguments": dict(self.arguments),
            **self.times.to_dict(),
            "peers": {kind: peer.to_dict() for kind, peer in self.peers.items()},
            "traffic_bytes": self.traffic,
            "gb_per_s": self.bandwidth,
            "memory": passes,
        }


@contextmanager
def pynative() -> Iterator[None]:
    """Run in PyNative mode inside the ``with`` block, and in the mode of before after it."""
    before = mindspore.get_context("mode")
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    try:
        yield
    finally:
        mindspore.set_context(mode=before)


def find_peers(name: str, around: str = DEFAULT) -> dict[str, Peer]:
    """Find an optimizer's peers, and try each.

    Args:
        name: The optimizer's name.
        around: What it is built around, where it is built so.

    Returns:
        The peers by kind, those that cannot run among them, with the reason.
    """
    own, spec = optimizer_info(name), together(name, around)
    arguments = bench_arguments(spec)
    class_name = resolve(own.implementation).__name__
    if own.capabilities.wraps_optimizer:
        reason = "not built from parameters, but around another optimizer"
        return {"mindspore": Peer(f"mindspore.nn.{class_name}", None, reason), "torch": torch_peer(own.name, arguments)}
    with pynative():
        return {
            "mindspore": mindspore_peer(class_name, arguments),
            "torch": torch_peer(spec.name, arguments),
        }


def measure(
    name: str,
    shapes: ShapeSet,
    rounds: int,
    peers: Mapping[str, Peer],
    finished: Callable[[], None],
    around: str = DEFAULT,
) -> Outcome:
    """Time an optimizer's step.

    Args:
        name: The optimizer's name.
        shapes: The parameters' shapes.
        rounds: How many interleaved rounds count.
        peers: The peers, by kind.
        finished: Called after each round, those that warm up included.
        around: What it is built around, where it is built so.

    Returns:
        What it took. All memory that was needed is free again.
    """
    spec = together(name, around)
    arguments = bench_arguments(spec)
    traffic = step_bytes(spec, shapes.elements)
    passes = Passes(traffic, shapes.elements)
    with pynative():
        contestants = _contestants(resolve(spec.implementation), arguments, shapes, peers)
        contestants |= {_COPY: passes.copy, _REWRITE: passes.rewrite}
        times = race(contestants, rounds, finished, steps_of_a_turn(shapes.elements))
    outcome = Outcome(
        optimizer=f"{name} around {around}" if spec.capabilities.wraps_optimizer else name,
        shapes=shapes,
        arguments=arguments,
        times=times[_OURS],
        peers={kind: _peer_time(peer, times.get(kind), times[_OURS]) for kind, peer in peers.items()},
        traffic=traffic,
        pass_bytes=passes.bytes,
        passes={kind: times[kind] for kind in (_COPY, _REWRITE)},
    )
    for step in contestants.values():
        if isinstance(step, CellStep):
            step.release()
    del contestants, passes
    gc.collect()
    return outcome


def _contestants(
    cls: type[Any], arguments: Mapping[str, Any], shapes: ShapeSet, peers: Mapping[str, Peer]
) -> dict[str, Step]:
    values = list(_random(shapes, seed=0))
    # Every contestant reads the same gradients; none writes to them.
    gradients = list(_random(shapes, seed=1))
    contestants: dict[str, Step] = {_OURS: CellStep(cls, arguments, values, gradients)}
    for kind, peer in peers.items():
        if peer.build is not None:
            contestants[kind] = peer.build(values, gradients)
    return contestants


def _random(shapes: ShapeSet, seed: int) -> Iterator[Any]:
    numbers = np.random.default_rng(seed).standard_normal(_PERIOD).astype(np.float32)
    for shape in shapes.shapes:
        # np.resize would keep a whole period alive behind each small array.
        array = np.empty(prod(shape), np.float32)
        for first in range(0, array.size, _PERIOD):
            part = array[first : first + _PERIOD]
            part[:] = numbers[: part.size]
        yield array.reshape(shape)


def _peer_time(peer: Peer, times: Times | None, ours: Times) -> PeerTime:
    return PeerTime(peer, times, None if times is None else times.ratio_to(ours))

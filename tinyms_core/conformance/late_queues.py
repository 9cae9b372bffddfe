"""Queues of an offloaded step that do what is queued as late as the waiting allows, or at once, stream by stream.

On a GPU streams run beside each other, and work that waits for nothing may be done at any time. Numba's simulator does
everything when it is queued, and would never show that a wait was forgotten. These queues do show it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tinyms_core.kernels.gpu_device import synchronize
from tinyms_core.kernels.gpu_queues import Queues, Staging


@dataclass
class _Stream:
    """What was queued in a stream, and how much of it is done; each is a kind and what does it."""

    queued: list[tuple[str, Callable[[], None]]] = field(default_factory=list)
    done: int = 0


@dataclass
class _Event:
    """A mark: the stream that it was last set in, and behind how many."""

    stream: int = 0
    place: int = 0


class LateQueues(Queues):
    """Queues whose work is done when somebody waits for it.

    Arguments:
        at_once: the streams whose work is done as soon as what it waits for is, by the order in which they were made.

    Attributes:
        waiting: for each time that the host had waited, the kinds of work that were not done yet.
    """

    def __init__(self, at_once: tuple[int, ...] = ()) -> None:
        super().__init__()
        self._at_once = at_once
        self._made: list[int] = []
        self._queues: dict[int, _Stream] = {}
        self._alive: list[Any] = []
        self.waiting: list[list[str]] = []

    def stream(self) -> int:
        """The handle of a new stream."""
        self._made.append(super().stream())
        return self._made[-1]

    def event(self) -> Any:
        """A new mark."""
        return _Event()

    def record(self, event: Any, stream: int) -> None:
        """Set a mark."""
        event.stream, event.place = stream, len(self._queue(stream).queued)

    def wait(self, event: Any, stream: int) -> None:
        """Let a stream wait for a mark where it is set now."""
        at, place = event.stream, event.place
        self._add("wait", stream, lambda: self._reach(at, place))

    def finish(self, event: Any) -> None:
        """Let the host wait for a mark."""
        self._reach(event.stream, event.place)
        left = [queue.queued[queue.done :] for queue in self._queues.values()]
        self.waiting.append(sorted(kind for own in left for kind, _ in own))

    def launch(self, run: Any, *arguments: Any) -> None:
        """Queue a kernel."""
        right = super().launch
        kind = run.py_func.__name__ if hasattr(run, "py_func") else run.__name__
        self._add(kind, arguments[2], lambda: right(run, *arguments))

    def write(self, array: Any, values: Any, stream: int) -> None:
        """Queue new numbers for an array."""
        right, copied = super().write, values.copy()
        # What waits knows addresses alone.
        self._alive.append(array)
        self._add("write", stream, lambda: right(array, copied, 0))

    def to_host(self, staging: Staging, first: int, last: int, stream: int) -> None:
        """Queue a copy to the host."""
        right = super().to_host
        self._add("to host", stream, lambda: right(staging, first, last, stream))

    def to_device(self, staging: Staging, first: int, last: int, stream: int) -> None:
        """Queue a copy to the GPU."""
        right = super().to_device
        self._add("to device", stream, lambda: right(staging, first, last, stream))

    def settle(self, stream: int) -> None:
        """Do what was queued in one stream, and what it waits for, but nothing else."""
        self._reach(stream, len(self._queue(stream).queued))

    def _queue(self, stream: int) -> _Stream:
        return self._queues.setdefault(stream, _Stream())

    def _add(self, kind: str, stream: int, work: Callable[[], None]) -> None:
        self._queue(stream).queued.append((kind, work))
        if stream in self._made and self._made.index(stream) in self._at_once:
            self.settle(stream)

    def _reach(self, stream: int, place: int) -> None:
        queue = self._queue(stream)
        while queue.done < place:
            work = queue.queued[queue.done][1]
            queue.done += 1
            work()
            # On a GPU the work itself is queued once more, in streams that nobody waits for.
            synchronize()

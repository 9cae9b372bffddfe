"""What an offloaded step queues on the GPU: copies between the host and the GPU, launches, and who waits for whom.

All of it goes through one object, so that a test can see the order, or queue the same work and do it as late as the
waiting allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numba import cuda

from tinyms_core.kernels.gpu import launch_blocks
from tinyms_core.kernels.gpu_device import DeviceArray, Shape, address_of, stream_of
from tinyms_core.kernels.gpu_memory import SIMULATED

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


class Staging:
    """As much memory on the GPU as on the host, where it is pinned, for what is on its way between them.

    Arguments:
        size: bytes on either side.

    Attributes:
        size: the same.
        host: the host's part.
        address: where the GPU's part begins.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.host: Bytes = cuda.pinned_array(max(1, size), np.uint8)
        self.memory = cuda.device_array(max(1, size), np.uint8)
        self.address = address_of(self.memory)


class Queues:
    """Streams of the GPU by their handles, and what is done in them in order."""

    def __init__(self) -> None:
        self._streams: dict[int, Any] = {}

    def stream(self) -> int:
        """The handle of a new stream."""
        made = cuda.stream()
        # The simulator has one order for all, and streams without handles.
        handle = -1 - len(self._streams) if SIMULATED else int(made)
        self._streams[handle] = made
        return handle

    def event(self) -> Any:
        """A new mark that can be set in a stream."""
        return cuda.event() if SIMULATED else cuda.event(timing=False)

    def record(self, event: Any, stream: int) -> None:
        """Set a mark behind all that is queued in a stream."""
        event.record(self._of(stream))

    def wait(self, event: Any, stream: int) -> None:
        """Let what is queued in a stream from now on wait for a mark where it is set now."""
        event.wait(self._of(stream))

    def finish(self, event: Any) -> None:
        """Let the host wait for a mark."""
        event.synchronize()

    def launch(self, run: Any, shape: Shape, items: int, stream: int, arguments: tuple[int, ...]) -> None:
        """Queue a kernel whose blocks take items in turn."""
        launch_blocks(run, shape, items, stream, arguments)

    def write(self, array: DeviceArray, values: Any, stream: int) -> None:
        """Queue new numbers for an array; they are copied from where they are at once."""
        array.write(values, self._of(stream))

    def to_host(self, staging: Staging, first: int, last: int, stream: int) -> None:
        """Queue a copy of some bytes to the host."""
        staging.memory[first:last].copy_to_host(staging.host[first:last], stream=self._of(stream))

    def to_device(self, staging: Staging, first: int, last: int, stream: int) -> None:
        """Queue a copy of some bytes to the GPU."""
        staging.memory[first:last].copy_to_device(staging.host[first:last], stream=self._of(stream))

    def _of(self, stream: int) -> Any:
        return self._streams[stream] if stream in self._streams else stream_of(stream)


_make: Callable[[], Queues] = Queues


def new_queues() -> Queues:
    """The queues of an optimizer that offloads."""
    return _make()


@contextmanager
def queues_made_by(make: Callable[[], Queues]) -> Iterator[None]:
    """Give optimizers that are made inside the ``with`` block queues of another kind.

    Arguments:
        make: gives queues.
    """
    global _make
    before, _make = _make, make
    try:
        yield
    finally:
        _make = before

"""An exchange of ranges of memory: every process has some ranges, and afterwards all have all."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinyms_core.ranks.group import Pending, start_gather
from tinyms_core.ranks.memory import BUCKET_BYTES, LEAST_BYTES, WORD, words_for


@dataclass(frozen=True)
class Range:
    """Bytes of a tensor that a process has.

    Attributes:
        item: which tensor.
        start: the first byte.
        stop: the byte after the last one.
    """

    item: int
    start: int
    stop: int


@dataclass(frozen=True)
class Copy:
    """Bytes of a range, and where they are in an exchanged buffer.

    Attributes:
        item: which tensor.
        start: the first byte in the tensor.
        size: the number of bytes.
        place: the first byte in the buffer.
    """

    item: int
    start: int
    size: int
    place: int


class Exchange:
    """Exchanges the ranges that processes have, through buffers of bounded size.

    Arguments:
        what: what is exchanged, for errors.
        ranges: for each process its ranges, in a fixed order.
        own: the number of this process.
        bucket_bytes: bytes that a process receives at a time, from all together.
    """

    def __init__(
        self, what: str, ranges: Sequence[Sequence[Range]], own: int, bucket_bytes: int = BUCKET_BYTES
    ) -> None:
        self._what = what
        self._own = own
        # What processes send has one size, that of the largest.
        share = max(bucket_bytes // len(ranges), LEAST_BYTES)
        length = max((sum(r.stop - r.start for r in each) for each in ranges), default=0)
        self._buckets = [
            (words_for(min(share, length - begin)), [within(each, begin, share) for each in ranges])
            for begin in range(0, length, share)
        ]
        self._has = {r.item: r.start for r in ranges[own]}

    def run(self, source: Sequence[int], target: Sequence[int]) -> None:
        """Exchange.

        Arguments:
            source: by item, the address of the range that this process has; read where it has one.
            target: by item, the address of the whole tensor, whose other ranges are written; 0 to leave them.

        Raises:
            LostRankError: another process did not take part in time; some ranges may have been written.
        """
        last: tuple[Pending, int, list[list[Copy]]] | None = None
        for words, copies in self._buckets:
            # Filled while the one before is under way.
            pending = self._send(words, copies[self._own], source)
            if last is not None:
                self._receive(*last, target)
            last = pending, words, copies
        if last is not None:
            self._receive(*last, target)

    def _send(self, words: int, copies: list[Copy], source: Sequence[int]) -> Pending:
        buffer = np.zeros(words, np.uint32)
        for copy in copies:
            begin = source[copy.item] + copy.start - self._has[copy.item]
            ctypes.memmove(buffer.ctypes.data + copy.place, begin, copy.size)
        return start_gather(self._what, buffer)

    def _receive(self, pending: Pending, words: int, copies: list[list[Copy]], target: Sequence[int]) -> None:
        found = pending.wait()
        address = found.ctypes.data
        for rank, own in enumerate(copies):
            if rank == self._own:
                continue
            for copy in own:
                if target[copy.item]:
                    begin = address + rank * words * WORD + copy.place
                    ctypes.memmove(target[copy.item] + copy.start, begin, copy.size)


def within(ranges: Sequence[Range], begin: int, size: int) -> list[Copy]:
    """What of a process's ranges, one after the other, lies in ``size`` bytes from ``begin``."""
    copies, place, end = [], 0, begin + size
    for own in ranges:
        size = own.stop - own.start
        first, last = max(place, begin), min(place + size, end)
        if first < last:
            copies.append(Copy(own.item, own.start + first - place, last - first, first - begin))
        place += size
    return copies

"""How many threads a step uses, and the pool that they wait in.

Kernels release the GIL and are called for a range of chunks, so ordinary threads serve: they start
once, survive any thread layer that the process may also use, are made anew in a forked child, and
let several Python threads step their own optimizers at once.
"""

from __future__ import annotations

import functools
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

# More ranges than threads, so that a thread that is held up by the system delays only its own range.
_RANGES_PER_THREAD = 4
VARIABLES: Final = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS")
"""The environment variables that limit the number of threads."""

_pool: ThreadPoolExecutor | None = None
_pool_lock = threading.Lock()
_limit: int | None = None


@functools.cache
def _available() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_count() -> int:
    """The number of threads that a large step uses.

    The smallest of: the processors that this process may run on, ``NUMBA_NUM_THREADS`` and
    ``OMP_NUM_THREADS`` where they are set, and the limit of `thread_limit`.
    """
    if _limit is not None:
        return _limit
    counts = [_available()]
    for variable in VARIABLES:
        value = os.environ.get(variable, "")
        if value.isdecimal() and int(value) > 0:
            counts.append(int(value))
    return min(counts)


@contextmanager
def thread_limit(count: int) -> Iterator[None]:
    """Use exactly ``count`` threads for large steps inside the ``with`` block.

    Arguments:
        count: threads, at least 1; more than the machine has is allowed.

    Raises:
        ValueError: ``count`` is less than 1.
    """
    global _limit
    if count < 1:
        raise ValueError(f"thread_limit: 'count' must be at least 1, got {count}")
    before, _limit = _limit, count
    try:
        yield
    finally:
        _limit = before


def _forget_pool() -> None:
    global _pool, _pool_lock
    _pool = None
    _pool_lock = threading.Lock()
    _available.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def _get_pool() -> ThreadPoolExecutor:
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max_workers=max(os.cpu_count() or 1, 16), thread_name_prefix="tinyms-kernel")
        return _pool


def run_ranges(work: Callable[[int, int], None], count: int, threads: int) -> None:
    """Call ``work(first, last)`` for consecutive ranges that cover ``0 … count``.

    Arguments:
        work: releases the GIL; ranges must be independent of each other.
        count: how many items there are.
        threads: how many threads take part, this one among them.
    """
    if threads <= 1 or count <= 1:
        work(0, count)
        return
    parts = min(count, threads * _RANGES_PER_THREAD)
    bounds = [count * part // parts for part in range(parts + 1)]
    turn = itertools.count()

    def take() -> None:
        while (part := next(turn)) < parts:
            work(bounds[part], bounds[part + 1])

    pool = _get_pool()
    helpers = [pool.submit(take) for _ in range(threads - 1)]
    try:
        take()
    finally:
        for helper in helpers:
            helper.result()

"""Threads: how many, and that they survive a fork and concurrent callers."""

from __future__ import annotations

import os
import threading

import pytest

from tinyms_core.kernels.threads import run_ranges, thread_count, thread_limit


def covered(count, threads):
    seen = [0] * count
    lock = threading.Lock()

    def work(first, last):
        with lock:
            for index in range(first, last):
                seen[index] += 1

    run_ranges(work, count, threads)
    return seen


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
@pytest.mark.parametrize("count", [0, 1, 2, 5, 1000])
def test_every_item_is_worked_on_once(count, threads):
    assert covered(count, threads) == [1] * count


@pytest.mark.parametrize("variable", ["NUMBA_NUM_THREADS", "OMP_NUM_THREADS"])
def test_environment_limits_threads(monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    assert thread_count() == 1


def test_a_limit_holds_inside_its_block_only():
    before = thread_count()
    with thread_limit(5):
        assert thread_count() == 5
    assert thread_count() == before
    with pytest.raises(ValueError, match="'count' must be at least 1"), thread_limit(0):
        pass


def test_an_error_in_a_range_reaches_the_caller():
    def work(first, last):
        raise RuntimeError("a range failed")

    with pytest.raises(RuntimeError, match="a range failed"):
        run_ranges(work, 100, 3)


def test_several_threads_may_run_ranges_at_once():
    results = []
    callers = [threading.Thread(target=lambda: results.append(covered(500, 3))) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert results == [[1] * 500] * 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_threads_of_its_own():
    covered(100, 4)
    child = os.fork()
    if child == 0:
        os._exit(0 if covered(100, 4) == [1] * 100 else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0

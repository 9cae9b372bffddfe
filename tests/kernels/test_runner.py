"""The passes of kernels: on the threads of the C library and on Python's, from several callers, and after a fork."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

from tinyms_core.kernels import runner
from tinyms_core.kernels.generated import load_generated
from tinyms_core.kernels.runner import Passes, frame_of

SOURCE = """
from numba import cfunc

from tinyms_core.kernels.memory import integers_at


@cfunc("void(int64, int64, CPointer(int64))", cache=True)
def count(begin, end, frame):
    seen = integers_at(frame[0])
    for c in range(begin, end):
        seen[c] += 1


@cfunc("void(int64, int64, CPointer(int64))", cache=True)
def multiply(begin, end, frame):
    seen, total = integers_at(frame[0]), integers_at(frame[1])
    for c in range(begin, end):
        seen[c] *= total[0]


@cfunc("void(CPointer(int64))", cache=True)
def add(frame):
    seen, total = integers_at(frame[0]), integers_at(frame[1])
    for c in range(frame[2]):
        total[0] += seen[c]
"""


@pytest.fixture(scope="module")
def module():
    return load_generated("runner_test", SOURCE)


@pytest.fixture(params=["library", "python"])
def way(request):
    """Both ways to run passes."""
    if request.param == "python":
        with runner.withheld():
            assert runner.unavailable() == "it is withheld"
            yield request.param
    else:
        if runner.unavailable():
            pytest.skip(f"no C library: {runner.unavailable()}")
        yield request.param


class Numbers:
    """What the passes work on."""

    def __init__(self, count: int) -> None:
        self.seen, self.total = np.zeros(count, np.int64), np.zeros(1, np.int64)
        self._frame = np.array([*frame_of(self.seen, self.total), count], dtype=np.int64)
        self.frame = self._frame.ctypes.data


def status_of_a_child(passes: Passes) -> int:
    """Run passes in a forked child; 0 where they did what they should."""
    child = os.fork()
    if child == 0:
        numbers = Numbers(1000)
        passes(numbers.frame, 0, 1000, 4)
        os._exit(0 if (numbers.seen == 1).all() else 1)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
@pytest.mark.parametrize("count", [0, 1, 2, 5, 1000, 100_000])
def test_every_chunk_is_done_once(module, way, count, threads):
    passes, numbers = Passes([module.count]), Numbers(count)
    for done in (1, 2, 3):
        passes(numbers.frame, 0, count, threads)
        assert (numbers.seen == done).all()


def test_a_range_is_done_alone(module, way):
    numbers = Numbers(100)
    Passes([module.count])(numbers.frame, 30, 77, 3)
    assert numbers.seen.tolist() == [0] * 30 + [1] * 47 + [0] * 23


@pytest.mark.parametrize("threads", [1, 4])
def test_a_pass_begins_when_the_one_before_is_done_and_put_together(module, way, threads):
    passes = Passes([module.count, module.multiply], module.add)
    for _ in range(50):
        numbers = Numbers(3000)
        passes(numbers.frame, 0, 3000, threads)
        assert numbers.total[0] == 3000
        assert (numbers.seen == 3000).all()


def test_the_first_of_two_passes_alone_is_put_together_too(module, way):
    numbers = Numbers(500)
    Passes([module.count, module.multiply], module.add)(numbers.frame, 0, 500, 2, stages=1)
    assert numbers.total[0] == 500
    assert (numbers.seen == 1).all()


def test_several_threads_may_run_passes_at_once(module, way):
    passes, results = Passes([module.count, module.multiply], module.add), []

    def work() -> None:
        for _ in range(40):
            numbers = Numbers(2000)
            passes(numbers.frame, 0, 2000, 3)
            results.append(bool((numbers.seen == 2000).all()))

    callers = [threading.Thread(target=work) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert results == [True] * 240


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_threads_of_its_own(module, way):
    passes, before = Passes([module.count]), Numbers(1000)
    passes(before.frame, 0, 1000, 4)
    assert status_of_a_child(passes) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_while_passes_run_harms_neither(module, way):
    passes, ended, wrong = Passes([module.count]), threading.Event(), []

    def work() -> None:
        while not ended.is_set():
            numbers = Numbers(50_000)
            passes(numbers.frame, 0, 50_000, 3)
            if (numbers.seen != 1).any():
                wrong.append(numbers.seen)

    busy = threading.Thread(target=work)
    busy.start()
    try:
        for _ in range(5):
            assert status_of_a_child(passes) == 0
    finally:
        ended.set()
        busy.join()
    assert not wrong


def test_no_more_threads_are_started_than_were_asked_for(module):
    if runner.unavailable() or not os.path.isdir("/proc/self/task"):
        pytest.skip("it counts the threads of the C library")
    passes = Passes([module.count])
    child = os.fork()
    if child == 0:
        before = len(os.listdir("/proc/self/task"))
        numbers = Numbers(1000)
        for _ in range(20):
            passes(numbers.frame, 0, 1000, 3)
        os._exit(len(os.listdir("/proc/self/task")) - before)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 2


def test_without_a_compiler_python_runs_the_passes(module, monkeypatch, tmp_path):
    monkeypatch.setenv("TINYMS_OPTIM_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    runner.LIBRARY.forget()
    try:
        assert runner.unavailable() == "there is no C compiler: cc, gcc, clang not found"
        numbers = Numbers(100)
        Passes([module.count])(numbers.frame, 0, 100, 2)
        assert (numbers.seen == 1).all()
        monkeypatch.setenv("TINYMS_OPTIM_RUNNER", "0")
        assert runner.unavailable() == "TINYMS_OPTIM_RUNNER is 0"
    finally:
        runner.LIBRARY.forget()

"""Cases in several processes: this one, and others that take what is waiting as well.

MindSpore cannot be forked, so the others are started anew; each imports it once, and is worth it from a number of
compiled cases on. Cases that share runs stay together.
"""

from __future__ import annotations

import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import sysconfig
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any, Final

from tinyms_core.conformance.catalog import Case
from tinyms_core.conformance.results import ANY, CheckResult
from tinyms_core.kernels.threads import VARIABLES
from tinyms_core.registry import api
from tinyms_core.registry.errors import TinymsOptimError, describe
from tinyms_core.registry.specs import OptimizerSpec

# About how many seconds a case takes. Only the order of work and the number of processes depend on it.
_SECONDS: Final[Mapping[str, float]] = {"graph": 0.6, "jit": 0.8, "pynative": 0.1, ANY: 0.1}
_WORTH_A_PROCESS: Final = 15.0
_MOST: Final = 4
# Fewer threads would leave the part of a kernel that divides the work unused.
_FEWEST_THREADS: Final = 2
# Subjects whose checks share no runs with those of others.
_APART: Final = frozenset({"Sparse"})
_KIT: Final = f"{__package__}."
_BEGIN: Final = (
    f"import json, sys; sys.path[:] = json.loads(sys.argv.pop()); from {__package__}.worker import main; main()"
)

Indices = tuple[int, ...]


def _search_path() -> list[str]:
    """This process's path, the standard library first.

    What MindSpore's mixed precision puts before it has a ``math`` of its own, which no new interpreter starts with.
    """
    library = sysconfig.get_path("platstdlib")
    standard = {sysconfig.get_path("stdlib"), library, os.path.join(library, "lib-dynload")}
    return sorted(sys.path, key=lambda folder: folder not in standard)


def usual_jobs(cases: Sequence[Case]) -> int:
    """How many processes are worth it: one more than there are processors, and fewer for few cases.

    After an error in a graph MindSpore waits for three seconds, in which another process has the processor.
    """
    processors = _processors()
    most = min(processors + 1, _MOST) if processors > 1 else 1
    return max(1, min(most, int(_seconds(cases) / _WORTH_A_PROCESS)))


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _seconds(cases: Sequence[Case]) -> float:
    return sum(_SECONDS[case.mode] for case in cases if not case.skip)


def batches(cases: Sequence[Case]) -> list[Indices]:
    """Places of the cases that share runs, those that take longest first."""
    found: dict[tuple[str, str, bool], list[int]] = {}
    for index, case in enumerate(cases):
        found.setdefault((case.mode, case.dtype, case.check.subject in _APART), []).append(index)
    by_weight = sorted(found.values(), key=lambda batch: _seconds([cases[index] for index in batch]), reverse=True)
    return [tuple(batch) for batch in by_weight]


def run_in_processes(
    spec: OptimizerSpec,
    cases: Sequence[Case],
    expected: Mapping[str, str],
    jobs: int,
    run: Callable[[Case], CheckResult],
    report: Callable[[CheckResult], object],
) -> list[CheckResult]:
    """Run cases in this process and in others.

    Arguments:
        spec: the optimizer. Where another process cannot have it, such as a class of ``__main__`` or one that only
            this process has registered, all cases run in this one, and a warning says why.
        cases: the cases.
        expected: reasons for expected failures, as for `run_checks`.
        jobs: how many processes, this one among them.
        run: runs a case in this process.
        report: called with each result as it comes, from this thread.

    Returns:
        The results in the order of the cases. A case that ends another process is a failure that says so.
    """
    own = {index for index, case in enumerate(cases) if case.skip or not _is_of_the_kit(case)}
    results: dict[int, CheckResult] = {}

    def keep(index: int, result: CheckResult) -> None:
        results[index] = result
        report(result)

    board = Board([b for batch in batches(cases) if (b := tuple(i for i in batch if i not in own))])
    with ExitStack() as stack:
        share = max(_FEWEST_THREADS, _processors() // jobs)
        stack.enter_context(_at_most_threads(share))
        for request in _requests(spec, expected, min(jobs, len(board)) - 1):
            stack.enter_context(_Helper(request, spec, cases, board, share))
        for index in sorted(own):
            keep(index, run(cases[index]))
        while len(results) < len(cases):
            batch = board.take()
            for index in batch:
                keep(index, run(cases[index]))
                board.collect(keep)
            if not batch:
                board.collect(keep, wait=True)
    return [results[index] for index in range(len(cases))]


def _is_of_the_kit(case: Case) -> bool:
    """Whether another process has the check too; one that somebody has added here it does not know."""
    return case.check.function.__module__.startswith(_KIT)


def known(name: str) -> list[Any]:
    """What this process's registry says of an optimizer, such that another process can compare it with its own."""
    try:
        spec = api.optimizer_info(name)
    except TinymsOptimError:
        return []
    kernels = [(status.spec.device, status.spec.implementation_name, status.available) for status in spec.kernels]
    return [spec.implementation_name, spec.distribution, *kernels]


def _requests(spec: OptimizerSpec, expected: Mapping[str, str], count: int) -> list[bytes]:
    """What other processes are told first, one for each; none where the optimizer cannot be told."""
    if count < 1:
        return []
    import mindspore

    try:
        packed = pickle.dumps(spec)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        _warn(describe(error))
        return []
    device = mindspore.get_context("device_target")
    told = {"spec": packed, "expected": dict(expected), "known": known(spec.name), "device": device}
    return [pickle.dumps(told)] * count


def _warn(reason: str) -> None:
    warnings.warn(f"all checks run in one process: another one cannot have the optimizer: {reason}", stacklevel=2)


@contextmanager
def _at_most_threads(share: int) -> Iterator[None]:
    from tinyms_core.kernels.threads import thread_count, thread_limit

    with thread_limit(min(share, thread_count())):
        yield


@dataclass(frozen=True)
class _Returned:
    """Cases that a process did not run, and why where that concerns all of its kind."""

    batch: Indices
    reason: str = ""


class Board:
    """What is waiting, and what others have found; used from several threads.

    Arguments:
        waiting: places of cases, in batches.
    """

    def __init__(self, waiting: Sequence[Indices]) -> None:
        self._waiting = deque(waiting)
        self._found: queue.SimpleQueue[tuple[int, CheckResult] | _Returned] = queue.SimpleQueue()
        self._warned = False

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self) -> Indices:
        """The next batch; an empty one where none is waiting."""
        try:
            return self._waiting.popleft()
        except IndexError:
            return ()

    def found(self, index: int, result: CheckResult) -> None:
        """Hand in a result."""
        self._found.put((index, result))

    def give_back(self, batch: Indices, reason: str = "") -> None:
        """Hand back cases that were not run; with a reason, nobody else will be able to either."""
        self._found.put(_Returned(batch, reason))

    def collect(self, keep: Callable[[int, CheckResult], None], wait: bool = False) -> None:
        """Keep the results that were handed in; with ``wait``, there will be something."""
        with suppress(queue.Empty):
            while True:
                item = self._found.get(block=wait)
                wait = False
                if not isinstance(item, _Returned):
                    keep(*item)
                    continue
                if item.batch:
                    self._waiting.append(item.batch)
                if item.reason and not self._warned:
                    self._warned = True
                    _warn(item.reason)


class _Helper:
    """Another process, and a thread that hands it batches and takes its results, inside a ``with`` block."""

    def __init__(self, request: bytes, spec: OptimizerSpec, cases: Sequence[Case], board: Board, threads: int) -> None:
        self._spec = spec
        self._cases = cases
        self._board = board
        environment = dict(os.environ)
        for variable in VARIABLES:
            environment.setdefault(variable, str(threads))
        # In a session of its own Ctrl-C reaches this process alone, which ends the other one.
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BEGIN, json.dumps(_search_path())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        self._thread = threading.Thread(target=self._drive, args=(request,), name="tinyms-checks", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()

    def _drive(self, request: bytes) -> None:
        left: Indices = ()
        asking, answers = self._process.stdin, self._process.stdout
        assert asking is not None
        assert answers is not None
        try:
            _send(asking, request)
            refused = pickle.load(answers)
            if refused:
                self._board.give_back((), refused)
                return
            while left := self._board.take():
                _send(asking, pickle.dumps([_identity(self._cases[index]) for index in left]))
                while left:
                    result = pickle.load(answers)
                    index, *rest = left
                    left = tuple(rest)
                    self._board.found(index, result)
        except (EOFError, OSError, pickle.UnpicklingError):
            if left:
                self._board.found(left[0], self._ended(self._cases[left[0]]))
                left = left[1:]
            else:
                self._board.give_back((), f"it ended at its start: {_end(self._process.wait())}")
        finally:
            self._board.give_back(left)

    def _ended(self, case: Case) -> CheckResult:
        reason = f"it ended the process: {_end(self._process.wait())}"
        entry, spec = case.check, self._spec
        return CheckResult(entry.name, entry.subject, spec.name, "CPU", case.mode, case.dtype, "failed", reason, 0.0)


def _identity(case: Case) -> tuple[str, str, str]:
    return case.check.name, case.mode, case.dtype


def _send(stream: IO[bytes], message: bytes) -> None:
    stream.write(message)
    stream.flush()


def _end(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"

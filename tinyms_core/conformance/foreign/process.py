"""Cases in a process of their own, since MindSpore can end, or hang, the one that it is in."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import BinaryIO

from tinyms_core.conformance.catalog import Case
from tinyms_core.conformance.foreign.cases import ForeignCases, request_for
from tinyms_core.conformance.results import CheckResult

WORKER = ("-m", f"{__package__}.worker")
"""What Python is to run; the request comes after it."""

_START = 120.0
"""Seconds that a process may take to start, beside those of its first case: MindSpore is slow to import."""


def run_in_process(
    every: ForeignCases,
    cases: Sequence[Case],
    failed: Collection[str],
    seconds: float,
    report: Callable[[CheckResult], None],
) -> None:
    """Run cases in another process; a new one where it was ended, for the cases that are left.

    Arguments:
        every: what the cases are some of.
        cases: the cases, which share a process as long as it lives.
        failed: names of the probes that have failed.
        seconds: how long a case may take.
        report: called with each result as it comes; that of a case which ended its process, or was too slow, says so.
    """
    done = 0
    while done < len(cases):
        for found in _attempt(every, cases[done:], failed, seconds):
            done += 1
            report(found)


def _attempt(
    every: ForeignCases, cases: Sequence[Case], failed: Collection[str], seconds: float
) -> Iterator[CheckResult]:
    """The results of one process; the last one is a failure where it did not come to its end."""
    label = every.peer.label
    reading, writing = os.pipe()
    request = request_for(every, cases, failed, writing)
    command = [sys.executable, *WORKER, json.dumps(request)]
    # A file, since a pipe that nobody reads would stop whoever writes much into it.
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(command, pass_fds=(writing,), stdout=subprocess.DEVNULL, stderr=errors)
        os.close(writing)
        done = 0
        try:
            for line in _lines(reading, seconds):
                if line is None:
                    yield _broken(label, cases[done], f"it took longer than {seconds:g} s", seconds)
                    return
                yield CheckResult(**json.loads(line))
                done += 1
            if done < len(cases):
                yield _broken(label, cases[done], f"it ended the process: {_end(child.wait(), errors)}", 0.0)
        finally:
            os.close(reading)
            child.kill()
            child.wait()


def _lines(descriptor: int, seconds: float) -> Iterator[bytes | None]:
    """The lines that another process writes; None where the next one does not come in time."""
    held, until = b"", time.monotonic() + _START + seconds
    while True:
        while b"\n" not in held:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                yield None
                return
            part = os.read(descriptor, 1 << 16)
            if not part:
                return
            held += part
        line, _, held = held.partition(b"\n")
        yield line
        until = time.monotonic() + seconds


def _end(status: int, errors: BinaryIO) -> str:
    """How a process ended, in words."""
    if status < 0:
        return signal.Signals(-status).name
    errors.seek(0)
    last = errors.read().decode(errors="replace").strip().splitlines()[-1:]
    return f"exit status {status}{': ' if last else ''}{''.join(last)}"


def _broken(label: str, case: Case, reason: str, seconds: float) -> CheckResult:
    return CheckResult(
        case.check.name, case.check.subject, label, "CPU", case.mode, case.dtype, "failed", reason, seconds
    )

"""The other side of `jobs`: a process that runs cases which it is told, until nobody tells it any more.

It is told on the standard input, and answers on what was the standard output; what others write there goes to the
standard error, since MindSpore writes what it likes.
"""

from __future__ import annotations

import os
import pickle
import queue
import sys
import threading
from typing import IO, Any

from tinyms_core.conformance.jobs import known
from tinyms_core.registry.errors import describe
from tinyms_core.registry.probe import resolve
from tinyms_core.registry.specs import OptimizerSpec


def main() -> None:
    """Read the request and answer whether it can be met; then run each batch of cases that comes."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    told = sys.stdin.buffer
    request = pickle.load(told)
    spec, refused = _accept(request)
    _answer(answers, refused)
    if spec is None or refused:
        return
    waiting: queue.SimpleQueue[list[tuple[str, str, str]]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(told, waiting), daemon=True).start()
    _work(spec, request["expected"], waiting, answers)


def _accept(request: dict[str, Any]) -> tuple[OptimizerSpec | None, str]:
    """The optimizer, and why it cannot be checked here; empty where it can."""
    try:
        spec: OptimizerSpec = pickle.loads(request["spec"])
        if known(spec.name) != request["known"]:
            return None, f"{spec.name!r}, or a kernel of it, is registered in one process alone"
        resolve(spec.implementation)
        import mindspore

        if mindspore.get_context("device_target") != request["device"]:
            mindspore.set_context(device_target=request["device"])
    except Exception as error:
        # Whatever it takes to have the optimizer, the process that asked has it.
        return None, describe(error)
    return spec, ""


def _answer(answers: IO[bytes], message: object) -> None:
    pickle.dump(message, answers)
    answers.flush()


def _listen(told: IO[bytes], waiting: queue.SimpleQueue[list[tuple[str, str, str]]]) -> None:
    """Take what comes; without the process that asked there is nothing left to do, not even the present case."""
    try:
        while True:
            waiting.put(pickle.load(told))
    finally:
        os._exit(0)


def _work(
    spec: OptimizerSpec,
    expected: dict[str, str],
    waiting: queue.SimpleQueue[list[tuple[str, str, str]]],
    answers: IO[bytes],
) -> None:
    from tinyms_core.conformance.catalog import cases_for
    from tinyms_core.conformance.runner import expectation, run_case
    from tinyms_core.conformance.runs import Runs

    cases = {(case.check.name, case.mode, case.dtype): case for case in cases_for(spec.capabilities)}
    with Runs() as runs:
        while True:
            for identity in waiting.get():
                case = cases[identity]
                result, _ = run_case(spec, case, expectation(case, expected), runs)
                _answer(answers, result)

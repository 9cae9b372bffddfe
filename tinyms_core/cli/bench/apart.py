"""Timing optimizers in processes of their own.

What one optimizer leaves behind in a process, compiled graphs and memory in pieces, makes small steps of those that
come after it several times as slow, and takes memory that the largest ones need. So of several each has its own
process.
"""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tinyms_core.cli.bench.order import Order
from tinyms_core.cli.errors import CommandError
from tinyms_core.kernels.threads import VARIABLES

if TYPE_CHECKING:
    from tinyms_core.cli.bench.order import Row
    from tinyms_core.cli.bench.run import Outcome

_TOLD: Final = "told"
_DONE: Final = "done"
_FAILED: Final = "failed"

Result = TypeVar("Result")


def run_apart(
    work: Callable[[Callable[[Any], None]], Result], about: str, threads: int | None, told: Callable[[Any], None]
) -> Result:
    """Do work in a new process, and wait for it.

    Args:
        work: What is done there. Its argument is a function that sends what is told; it can be pickled, and so can what
            it tells and returns.
        about: What it times, for the message of a process that ends before its time.
        threads: Threads of large steps; None for as many as in training.
        told: Called with whatever the work tells.

    Returns:
        What the work returns.

    Raises:
        CommandError: If the process ends before its time, or the work raises it.
        Exception: What else went wrong there, with the place where it did as its cause.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, work, threads), daemon=True)
    _forget_variables()
    process.start()
    # Otherwise nobody would see that the process has ended.
    sender.close()
    try:
        while True:
            try:
                word, content = receiver.recv()
            except EOFError:
                process.join()
                raise CommandError(
                    f"bench: the process that timed {about!r} ended with {process.exitcode} before it was done"
                ) from None
            if word == _TOLD:
                told(content)
            elif word == _FAILED:
                error, trace = content
                raise error from _RemoteError(trace)
            else:
                result: Result = content
                return result
    finally:
        receiver.close()
        process.terminate()
        process.join()


def measure_apart(
    order: Order, rows: Sequence[Row], threads: int | None, began: Callable[[Row], None], finished: Callable[[], None]
) -> list[Outcome]:
    """Time rows in a new process, one after the other.

    Args:
        order: What was asked for.
        rows: The rows.
        threads: Threads of large steps; None for as many as in training.
        began: Called before each row.
        finished: Called after each round.

    Returns:
        What each took; their peers cannot be run once more.

    Raises:
        CommandError: If a row cannot be timed, or the process ends before its time.
        Exception: What else went wrong there, with the place where it did as its cause.
    """

    def told(index: int | None) -> None:
        if index is None:
            finished()
        else:
            began(rows[index])

    return run_apart(partial(_measure_rows, order, tuple(rows)), rows[0].name, threads, told)


def _forget_variables() -> None:
    """Let a new process have the numbers of threads that Python knows of, and no others.

    MindSpore's import sets ``OMP_NUM_THREADS`` to 1 behind Python's back, which is nothing to this process any more,
    but would leave all that a new one times with one thread.
    """
    for variable in VARIABLES:
        if variable in os.environ:
            os.putenv(variable, os.environ[variable])
        else:
            os.unsetenv(variable)


class _RemoteError(Exception):
    """Where in the other process an error came from, as text."""

    def __str__(self) -> str:
        return f"in the process that timed:\n{self.args[0]}"


def _sendable(error: Exception) -> Exception:
    """The error itself; one of the same words where it does not survive the way."""
    try:
        arrived = pickle.loads(pickle.dumps(error))
    except Exception:
        arrived = None
    return error if type(arrived) is type(error) else RuntimeError(f"{type(error).__name__}: {error}")


def _child(sender: Any, work: Callable[[Callable[[Any], None]], Any], threads: int | None) -> None:
    from tinyms_core.cli.bench.run import limit_peers
    from tinyms_core.kernels.threads import thread_limit

    with thread_limit(threads) if threads else nullcontext():
        if threads:
            limit_peers(threads)
        try:
            result = work(lambda content: sender.send((_TOLD, content)))
        except Exception as error:
            sender.send((_FAILED, (_sendable(error), traceback.format_exc())))
        else:
            sender.send((_DONE, result))


def _measure_rows(order: Order, rows: Sequence[Row], tell: Callable[[int | None], None]) -> list[Outcome]:
    """Time rows, and tell the index of each before it and None after each round."""
    from tinyms_core.cli.bench.run import measure_rows

    outcomes = measure_rows(order, rows, lambda row: tell(rows.index(row)), lambda: tell(None))
    return [_without_peers(outcome) for outcome in outcomes]


def _without_peers(outcome: Outcome) -> Outcome:
    """The same without functions, which cannot be sent."""
    peers = {kind: replace(time, peer=replace(time.peer, build=None)) for kind, time in outcome.peers.items()}
    return replace(outcome, arguments=dict(outcome.arguments), peers=peers)

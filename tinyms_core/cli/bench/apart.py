"""Timing optimizers in processes of their own.

What one optimizer leaves behind in a process, compiled graphs and memory in pieces, makes small steps of those that
come after it several times as slow. So of several each has its own process.
"""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Final

from tinyms_core.cli.bench.order import Order
from tinyms_core.cli.errors import CommandError
from tinyms_core.kernels.threads import VARIABLES

if TYPE_CHECKING:
    from tinyms_core.cli.bench.order import Row
    from tinyms_core.cli.bench.run import Outcome

_BEGAN: Final = "began"
_FINISHED: Final = "finished"
_DONE: Final = "done"
_FAILED: Final = "failed"


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
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, order, tuple(rows), threads), daemon=True)
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
                    f"bench: the process that timed {rows[0].name!r} ended with {process.exitcode} before it was done"
                ) from None
            if word == _BEGAN:
                began(rows[content])
            elif word == _FINISHED:
                finished()
            elif word == _FAILED:
                error, told = content
                raise error from _RemoteError(told)
            else:
                outcomes: list[Outcome] = content
                return outcomes
    finally:
        receiver.close()
        process.terminate()
        process.join()


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


def _child(sender: Any, order: Order, rows: Sequence[Row], threads: int | None) -> None:
    from tinyms_core.cli.bench.run import limit_peers, measure_rows
    from tinyms_core.kernels.threads import thread_limit

    with thread_limit(threads) if threads else nullcontext():
        if threads:
            limit_peers(threads)
        try:
            outcomes = measure_rows(
                order,
                rows,
                lambda row: sender.send((_BEGAN, rows.index(row))),
                lambda: sender.send((_FINISHED, None)),
            )
        except Exception as error:
            sender.send((_FAILED, (_sendable(error), traceback.format_exc())))
        else:
            sender.send((_DONE, [_without_peers(outcome) for outcome in outcomes]))


def _without_peers(outcome: Outcome) -> Outcome:
    """The same without functions, which cannot be sent."""
    peers = {kind: replace(time, peer=replace(time.peer, build=None)) for kind, time in outcome.peers.items()}
    return replace(outcome, arguments=dict(outcome.arguments), peers=peers)

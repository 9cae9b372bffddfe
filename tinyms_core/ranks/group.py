"""The processes that train together: how many there are, which one this is, and what passes between them.

Only what MindSpore's communication gets right on every device is used, CPU included: a sum in float32, a gather of
32-bit words, which are moved and never computed with, and a broadcast of a single tensor.

MindSpore matches what processes send by its order alone, and an exchange that ran out of time in one process can
succeed in another. What was sent for it then stays in a queue and would be taken for a part of a later exchange. So a
process whose exchange has failed takes part in none any more, and the others run out of time at their next one.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from mindspore import Tensor, ops
from mindspore.communication import GlobalComm, get_group_size, get_rank

from tinyms_core.registry.errors import TinymsOptimError

# What the environment variable below is where it is not set, as MindSpore has it.
_DEFAULT_SECONDS = "30"
_TIMEOUT = "MS_CPU_COMM_OP_TIMEOUT"
# What a process can be asked to have alike with the others in one agreement: agreements are of one size.
_MOST_ALIKE = 2


class LostRankError(TinymsOptimError, RuntimeError):
    """Another process did not take part in an exchange, or raised an error: it has ended, failed, or is elsewhere."""


class _History:
    """What this process has exchanged.

    Attributes:
        count: how many exchanges it has begun.
        failure: why it takes part in no more of them; empty while it does.
    """

    def __init__(self) -> None:
        self.count = 0
        self.failure = ""

    def begin(self, what: str) -> None:
        """Count an exchange.

        Raises:
            LostRankError: an earlier one failed.
        """
        if self.failure:
            raise LostRankError(
                f"rank {own_rank()} of {rank_count()}: {what} was not begun, because an earlier exchange failed and "
                "the processes may be out of step. End all processes and go on from the last checkpoint. The failure "
                f"was: {self.failure}"
            )
        self.count += 1

    def lost(self, what: str, reason: str) -> LostRankError:
        """Take part in no more exchanges; the error to raise."""
        said = f"rank {own_rank()} of {rank_count()}: {what} failed, because {reason}"
        self.failure = self.failure or said
        return LostRankError(f"{said}. End all processes and go on from the last checkpoint")


_history = _History()


def rank_count() -> int:
    """The number of processes.

    Returns:
        How many train together; 1 without communication.

    Example:
        >>> from tinyms_core.distributed import rank_count
        >>> rank_count()
        1
    """
    return int(get_group_size()) if GlobalComm.INITED else 1


def own_rank() -> int:
    """The number of this process, from 0."""
    return int(get_rank()) if GlobalComm.INITED else 0


class Pending:
    """An exchange that is under way.

    Arguments:
        what: what is exchanged, for the error.
        sent: what is sent, which must live until the end.
        result: the tensor that will hold the result.
    """

    def __init__(self, what: str, sent: Any, result: Tensor) -> None:
        self._what = what
        self._sent = sent
        self._result = result

    def wait(self) -> Any:
        """The result, an array that lives in the tensor's memory.

        Raises:
            LostRankError: another process did not take part in time.
        """
        try:
            # Operators are queued; their errors come to light where a value is read.
            return self._result.asnumpy()
        except RuntimeError as error:
            raise _late(self._what) from error


def start_sum(what: str, values: Any) -> Pending:
    """Begin to add an array over all processes.

    Arguments:
        what: what it is, for errors.
        values: a contiguous float32 array of one dimension, of the same size in all processes.
    """
    return _start(what, values, ops.AllReduce())


def start_gather(what: str, words: Any) -> Pending:
    """Begin to gather an array of all processes, bit for bit, one after the other in the order of their numbers.

    Arguments:
        what: what it is, for errors.
        words: a contiguous array of 32-bit numbers of one dimension, of the same size in all processes.
    """
    return _start(what, words.view(np.float32), ops.AllGather())


def start_broadcast(what: str, words: Any, root: int) -> Pending:
    """Begin to send an array from one process to all, bit for bit; something else has to be exchanged after it.

    Arguments:
        what: what it is, for errors.
        words: a contiguous array of 32-bit numbers of one dimension, of the same size in all processes.
        root: the process whose array is sent.
    """
    broadcast = ops.Broadcast(root)
    return _start(what, words.view(np.float32), lambda sent: broadcast((sent,))[0])


def _start(what: str, values: Any, operator: Callable[[Tensor], Tensor]) -> Pending:
    _history.begin(what)
    sent = Tensor.from_numpy(values)
    try:
        return Pending(what, (values, sent), operator(sent))
    except RuntimeError as error:
        raise _late(what) from error


def all_ranks(value: bool) -> bool:
    """Say whether something is true in every process, with the same answer in all of them.

    Every process has to call it, as often as the others. It also makes them wait for each other.

    Arguments:
        value: what is true in this process.

    Returns:
        Whether it is true in all; with one process, the value.

    Raises:
        LostRankError: another process did not take part in time.

    Example:
        >>> from tinyms_core.distributed import all_ranks
        >>> all_ranks(True)
        True
    """
    if rank_count() == 1:
        return bool(value)
    return bool(_agreed("an agreement", value, {})[0].all())


def raise_together(what: str, error: BaseException | None, alike: Mapping[str, bytes] | None = None) -> None:
    """Raise in every process if one of them has an error, or if they are not alike; otherwise do nothing.

    Every process has to call it, as often as the others, so that all are at the same exchange afterwards, error or not.

    Arguments:
        what: what the processes are about to do together, the same in all, for the other processes' error.
        error: this process's error, or None.
        alike: at most two things that have to be the same in all processes, by what they are; the same ones in all.

    Raises:
        BaseException: this process's error.
        LostRankError: another process has an error, and this one has none; the processes are not alike; or another one
            did not take part in time.

    Example:
        >>> from tinyms_core.distributed import raise_together
        >>> raise_together("a step of training", None)
    """
    alike = alike or {}
    if rank_count() == 1:
        if error is not None:
            raise error
        return
    try:
        fine, *same = _agreed(what, error is None, alike)
    except LostRankError as lost:
        if error is None:
            raise
        # What went wrong here explains more than that others were not there.
        raise error from lost
    if error is not None:
        raise error
    refused = f"rank {own_rank()} of {rank_count()}: {what} was refused, because"
    if not fine.all():
        raise LostRankError(f"{refused} another process raised an error; see there. Nothing was changed")
    for name, found in zip(alike, same, strict=False):
        if (found != found[0]).any():
            raise LostRankError(f"{refused} {name} are not the same in all processes. Nothing was changed")


def leave(what: str, error: BaseException) -> None:
    """Take part in no more exchanges, because of an error in the middle of what all do together.

    Arguments:
        what: what was done.
        error: the error.
    """
    if rank_count() > 1:
        _history.lost(what, f"this process raised {type(error).__name__}: {error}")


def _agreed(what: str, value: bool, alike: Mapping[str, bytes]) -> Any:
    """Gather some numbers of each process, with what shows that all are at the same exchange.

    Returns:
        An array with a row for the value, and one for each thing that is to be alike, with a column for each process.
    """
    # A sum of so few numbers goes another way in MindSpore, in which the first process succeeds where others fail.
    numbers = [zlib.crc32(content) for content in alike.values()]
    numbers += [0] * (_MOST_ALIKE - len(numbers))
    own = np.array([_history.count % 2**32, zlib.crc32(what.encode()), int(value), *numbers], np.uint32)
    found = start_gather(what, own).wait().view(np.uint32).reshape(rank_count(), -1)
    if (found[:, :2] != own[:2]).any():
        raise _history.lost(
            what,
            f"the processes are out of step: they have begun {found[:, 0].tolist()} exchange(s) before, or are at "
            "different ones. All processes have to make the same calls in the same order",
        )
    return found[:, 2:].T


def _late(what: str) -> LostRankError:
    seconds = os.environ.get(_TIMEOUT, _DEFAULT_SECONDS)
    return _history.lost(
        what,
        f"another process has ended, raised an error, or did not come within {seconds} s (on a CPU {_TIMEOUT} in the "
        "environment says how long to wait)",
    )

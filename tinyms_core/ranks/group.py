"""The processes that train together: how many there are, which one this is, and what passes between them.

Only what MindSpore's communication gets right on every device is used, CPU included: a sum in float32, a gather of
32-bit words, which are moved and never computed with, and a broadcast of a single tensor.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from mindspore import Tensor, ops
from mindspore.communication import GlobalComm, get_group_size, get_rank

from tinyms_core.registry.errors import TinymsOptimError

# What the environment variable below is where it is not set, as MindSpore has it.
_DEFAULT_SECONDS = "30"
_TIMEOUT = "MS_CPU_COMM_OP_TIMEOUT"


class LostRankError(TinymsOptimError, RuntimeError):
    """Another process did not take part in an exchange in time: it has ended, failed, or is far behind."""


def rank_count() -> int:
    """The number of processes; 1 without communication."""
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
            raise _lost(self._what) from error


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
    sent = Tensor.from_numpy(values)
    try:
        return Pending(what, (values, sent), operator(sent))
    except RuntimeError as error:
        raise _lost(what) from error


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
    refusals = start_sum("an agreement", np.array([0.0 if value else 1.0], np.float32)).wait()
    return float(refusals[0]) == 0.0


def _lost(what: str) -> LostRankError:
    seconds = os.environ.get(_TIMEOUT, _DEFAULT_SECONDS)
    return LostRankError(
        f"rank {own_rank()} of {rank_count()}: {what} failed, because another process has ended, raised an error, or "
        f"did not come within {seconds} s (on a CPU {_TIMEOUT} in the environment says how long to wait). End all "
        "processes and go on from the last checkpoint"
    )

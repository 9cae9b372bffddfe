"""`equalize_ranks`: all processes begin with the same numbers."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Any

import numpy as np
from mindspore import Parameter, nn

from tinyms_core.optimizer.addresses import ParameterAddresses, address_of, wait_for_queued_work
from tinyms_core.ranks.exchange import Copy, Range, within
from tinyms_core.ranks.group import all_ranks, own_rank, raise_together, rank_count, start_broadcast
from tinyms_core.ranks.memory import BUCKET_BYTES, words_for


def equalize_ranks(cell_or_parameters: nn.Cell | Iterable[Parameter], root: int = 0) -> None:
    """Give every process the parameters of one of them, bit for bit.

    Networks that are initialised at random differ from process to process; call this once before the first step, on
    the network or on its parameters. Every process has to call it. Parameters of every dtype are sent.

    Arguments:
        cell_or_parameters: a Cell, whose Parameters are all taken, or Parameters; the same in all processes.
        root: the process whose parameters are taken, an int in [0, number of processes).

    Raises:
        TypeError: something else than Parameters.
        ValueError: there is no process ``root``.
        LostRankError: another process did not take part in time.

    Example:
        >>> from mindspore import nn
        >>> from tinyms_core.distributed import equalize_ranks
        >>> equalize_ranks(nn.Dense(4, 2))
    """
    parameters: list[Any] = list(
        cell_or_parameters.get_parameters() if isinstance(cell_or_parameters, nn.Cell) else cell_or_parameters
    )
    raise_together("making ranks equal", _error(parameters, root))
    if rank_count() == 1:
        return
    wait_for_queued_work()
    addresses = ParameterAddresses(parameters, {id(p): address_of(p) for p in parameters}).current().tolist()
    ranges = [Range(index, 0, parameter.nbytes) for index, parameter in enumerate(parameters)]
    for begin in range(0, sum(own.stop for own in ranges), BUCKET_BYTES):
        _broadcast(within(ranges, begin, BUCKET_BYTES), addresses, root)
    # A broadcast that is a process's last exchange can fail.
    all_ranks(True)


def _error(parameters: list[Any], root: int) -> BaseException | None:
    for index, parameter in enumerate(parameters):
        if not isinstance(parameter, Parameter):
            return TypeError(
                f"equalize_ranks: 'cell_or_parameters' must be a Cell or Parameters, got {type(parameter).__name__} "
                f"at {index}"
            )
    ranks = rank_count()
    if not 0 <= root < ranks:
        return ValueError(f"equalize_ranks: 'root' must be in [0, {ranks}), got {root!r}")
    return None


def _broadcast(copies: list[Copy], addresses: list[int], root: int) -> None:
    buffer = np.zeros(words_for(sum(copy.size for copy in copies)), np.uint32)
    if own_rank() == root:
        for copy in copies:
            ctypes.memmove(buffer.ctypes.data + copy.place, addresses[copy.item] + copy.start, copy.size)
    found = start_broadcast("the root's parameters", buffer, root).wait()
    if own_rank() != root:
        for copy in copies:
            ctypes.memmove(addresses[copy.item] + copy.start, found.ctypes.data + copy.place, copy.size)

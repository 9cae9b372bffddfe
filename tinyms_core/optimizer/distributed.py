"""The optimizer's part when several processes train together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mindspore import Parameter, nn, ops
from mindspore.ops import constexpr

from tinyms_core.optimizer.addresses import ParameterAddresses, address_of, wait_for_queued_work
from tinyms_core.ranks.exchange import Exchange, Range
from tinyms_core.ranks.group import own_rank, rank_count


@constexpr(check=False)
def _processes() -> int:
    """The number of processes, a constant of a graph."""
    return rank_count()


class ParameterBroadcast(nn.Cell):
    """Gives every process the parameters of their owners; parameter i belongs to process i modulo their number.

    Called from Python it gathers them in flat buffers, in every dtype; in a graph it is a broadcast for each.
    """

    def __call__(self, parameters: Sequence[Parameter], optim_result: Any) -> bool:
        """Exchange the parameters.

        Arguments:
            parameters: in the order of the update.
            optim_result: what the update returned; the exchange comes after it.

        Returns:
            True.
        """
        ranks = rank_count()
        if ranks > 1:
            wait_for_queued_work()
            held = list(parameters)
            addresses = ParameterAddresses(held, {id(p): address_of(p) for p in held}).current().tolist()
            ranges = [[Range(i, 0, p.nbytes) for i, p in enumerate(held) if i % ranks == rank] for rank in range(ranks)]
            Exchange("the broadcast of parameters", ranges, own_rank()).run(addresses, addresses)
        return True

    def construct(self, parameters: Any, optim_result: Any) -> bool:
        processes = _processes()
        if processes == 1:
            return True
        done = optim_result
        for index in range(len(parameters)):
            # One tensor a call, each after the one before: all processes exchange in the same order.
            received = ops.Broadcast(index % processes)((ops.depend(parameters[index], done),))
            done = ops.assign(parameters[index], received[0])
        return ops.depend(True, done)  # type: ignore[no-any-return]


broadcast_parameters = ParameterBroadcast()

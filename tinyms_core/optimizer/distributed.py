"""The optimizer's part when several processes train together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mindspore import Parameter, ops
from mindspore.communication import GlobalComm, get_group_size


def broadcast_parameters(parameters: Sequence[Parameter], optim_result: Any) -> bool:
    """Give every process the parameters of their owners; parameter i belongs to process i modulo their number.

    Arguments:
        parameters: in the order of the update.
        optim_result: what the update returned; the broadcasts come after it.

    Returns:
        True.
    """
    if not GlobalComm.INITED:
        return True
    processes = get_group_size()
    for index, parameter in enumerate(parameters):
        # One tensor a call: an eager Broadcast of several returns garbage for all but the first.
        received = ops.Broadcast(index % processes)((ops.depend(parameter, optim_result),))
        ops.assign(parameter, received[0])
    return True

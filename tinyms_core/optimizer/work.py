"""What one step of an optimizer has to do at least: bytes to move, products of matrices to compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinyms_core.kernels.traffic import Traffic

if TYPE_CHECKING:
    from tinyms_core.optimizer.step import HostStep


@dataclass(frozen=True)
class Work:
    """A step's work.

    Attributes:
        traffic: what its kernel calls move, one after the other; None where a kernel does not say.
        flops: operations of matrix products, which decide the time where there are any.
    """

    traffic: tuple[Traffic, ...] | None
    flops: int = 0

    @property
    def bytes(self) -> int | None:
        """Bytes that are read and written at least; None where that is not known."""
        return None if self.traffic is None else sum(traffic.bytes for traffic in self.traffic)


def done_on_return(optimizer: Any) -> bool:
    """Whether a step in PyNative leaves nothing queued: it runs in kernels on the host, on the gradients as they are.

    Arguments:
        optimizer: any optimizer.
    """
    step = _host_step(optimizer)
    return step is not None and not step.preconditions


def step_work(optimizer: Any, gradients: Sequence[Any]) -> Work:
    """Ask an optimizer's kernels what a step has to do.

    Arguments:
        optimizer: an optimizer with kernels on the host, or one around such an optimizer.
        gradients: dense gradients of a step.

    Returns:
        The work; without traffic for an optimizer whose steps are made of MindSpore's operators.
    """
    step = _host_step(optimizer)
    if step is None:
        return Work(None)
    calls = step.calls(gradients)
    flops = sum(call.flops() for call in calls)
    moved = [call.traffic() for call in calls]
    if flops or None in moved:
        return Work(None, flops)
    return Work(tuple(traffic for found in moved for traffic in found or ()))


def _host_step(optimizer: Any) -> HostStep | None:
    ready = getattr(optimizer, "_ready_host_step", None)
    return ready() if ready is not None else None

"""Who an optimizer is compared with: MindSpore's own class of the same name, and PyTorch's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from textwrap import shorten
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from mindspore import Parameter, Tensor, nn
from mindspore.graph.api import _pynative_executor

from tinyms_core.cli.bench.timing import Step

# Small tensors on which a peer shows whether it runs here at all.
_PROBE_SHAPES: Final = ((4, 4), (4,))
_LONGEST_REASON: Final = 120

Arrays = Sequence[np.ndarray[Any, np.dtype[np.float32]]]


@dataclass(frozen=True)
class TorchPeer:
    """PyTorch's optimizer of the same algorithm.

    Attributes:
        name: its class in ``torch.optim``.
        arguments: its names of our arguments.
        fixed: arguments that are always given.
    """

    name: str
    arguments: Mapping[str, str]
    fixed: Mapping[str, Any] = field(default_factory=lambda: {"fused": True})


_RATE_AND_DECAY: Final = {"learning_rate": "lr", "weight_decay": "weight_decay"}
TORCH_PEERS: Final[Mapping[str, TorchPeer]] = MappingProxyType(
    {
        "adam": TorchPeer("Adam", _RATE_AND_DECAY),
        "adamw": TorchPeer("AdamW", _RATE_AND_DECAY),
        "adagrad": TorchPeer("Adagrad", _RATE_AND_DECAY),
        "momentum": TorchPeer("SGD", {**_RATE_AND_DECAY, "momentum": "momentum"}),
        "sgd": TorchPeer("SGD", {**_RATE_AND_DECAY, "momentum": "momentum"}),
    }
)


@dataclass(frozen=True)
class Peer:
    """Somebody to be compared with.

    Attributes:
        label: who it is.
        build: makes its step for initial values and gradients; None where it cannot run here.
        reason: why it cannot run; empty where it can.
        note: in what its step differs from ours.
    """

    label: str
    build: Callable[[Arrays, Arrays], Step] | None
    reason: str = ""
    note: str = ""


class CellStep:
    """The step of an optimizer of MindSpore's interface, with the wait for the work that it queues.

    Args:
        make: The optimizer's class.
        arguments: Its arguments beside the parameters.
        values: The parameters' initial values.
        gradients: The gradients, whose memory is shared.
    """

    def __init__(
        self, make: Callable[..., Any], arguments: Mapping[str, Any], values: Arrays, gradients: Arrays
    ) -> None:
        parameters = [Parameter(Tensor(value), name=f"parameter_{i}") for i, value in enumerate(values)]
        self._optimizer = make(parameters, **arguments)
        self._gradients = tuple(Tensor.from_numpy(array) for array in gradients)

    def __call__(self) -> None:
        """Do one step."""
        self._optimizer(self._gradients)
        _pynative_executor.sync()

    def release(self) -> None:
        """Give the memory of parameters and state back; no step can follow.

        MindSpore 2.10 keeps an optimizer of its own alive once it has done a step in PyNative.
        """
        for parameter in self._optimizer.get_parameters():
            if parameter.size > 1:
                nothing = Tensor(np.zeros((1,) * parameter.ndim, np.float32))
                parameter.set_data(nothing.astype(parameter.dtype), slice_shape=True)


def mindspore_peer(class_name: str, arguments: Mapping[str, Any]) -> Peer:
    """Find ``mindspore.nn``'s optimizer of the same class, and try one step of it.

    Args:
        class_name: The name of our class.
        arguments: What ours is built with; MindSpore's has the same names.

    Returns:
        The peer, or why there is none.
    """
    label = f"mindspore.nn.{class_name}"
    found = getattr(nn, class_name, None)
    if not (isinstance(found, type) and issubclass(found, nn.Optimizer)):
        return Peer(label, None, reason="mindspore.nn has no such optimizer")
    return _probed(Peer(label, lambda values, gradients: CellStep(found, arguments, values, gradients)))


def torch_peer(name: str, arguments: Mapping[str, Any]) -> Peer:
    """Find PyTorch's optimizer of the same algorithm, and try one step of it.

    Args:
        name: Our optimizer's name.
        arguments: What ours is built with.

    Returns:
        The peer, or why there is none.
    """
    known = TORCH_PEERS.get(name)
    if known is None:
        return Peer("torch", None, reason="torch has no optimizer of this algorithm with a fused kernel")
    shown = ", ".join(f"{key}={value}" for key, value in known.fixed.items())
    label = f"torch.optim.{known.name}({shown})"
    if find_spec("torch") is None:
        return Peer(label, None, reason="torch is not installed")
    translated = {theirs: arguments[ours] for ours, theirs in known.arguments.items() if ours in arguments}
    note = "without loss scale, which is not a torch optimizer's task" if "loss_scale" in arguments else ""
    peer = Peer(
        label,
        lambda values, gradients: _torch_step(known, translated, values, gradients),
        note=note,
    )
    return _probed(peer)


def _torch_step(known: TorchPeer, arguments: Mapping[str, Any], values: Arrays, gradients: Arrays) -> Step:
    import torch

    parameters = [torch.from_numpy(value.copy()).requires_grad_() for value in values]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = torch.from_numpy(gradient)
    optimizer = getattr(torch.optim, known.name)(parameters, **arguments, **known.fixed)
    step: Step = optimizer.step
    return step


def _probed(peer: Peer) -> Peer:
    assert peer.build is not None
    values = [np.ones(shape, np.float32) for shape in _PROBE_SHAPES]
    try:
        peer.build(values, [value.copy() for value in values])()
    except Exception as error:
        # A peer may fail in whatever way; that it does is a result, and its reason stands in the table.
        return Peer(peer.label, None, reason=_first_words(error))
    return peer


def _first_words(error: Exception) -> str:
    # MindSpore's messages are long, and framed with lines of dashes and headings that begin with one.
    lines = [line.strip() for line in str(error).splitlines()]
    line = next((line for line in lines if line and not line.startswith("-")), "")
    return shorten(f"{type(error).__name__}: {line}", _LONGEST_REASON, placeholder=" …")

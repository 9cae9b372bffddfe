"""Who an optimizer is compared with: MindSpore's own class of the same name, and PyTorch's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from textwrap import shorten
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from mindspore import nn

from tinyms_core.cli.bench.setting import Setting
from tinyms_core.cli.bench.steps import Arrays, CellStep, torch_step
from tinyms_core.cli.bench.timing import Step
from tinyms_core.optimizer.modes import execution_mode
from tinyms_core.registry.probe import resolve
from tinyms_core.registry.specs import OptimizerSpec

# Small tensors on which a peer shows whether it runs here at all.
_PROBE_SHAPES: Final = ((4, 2, 1, 1), (4, 4), (4,))
_LONGEST_REASON: Final = 120


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


def find_peers(
    against: tuple[str, ...], own: OptimizerSpec, spec: OptimizerSpec, arguments: Mapping[str, Any], setting: Setting
) -> dict[str, Peer]:
    """Find an optimizer's peers, and try each.

    Args:
        against: Kinds of peers, of `PEERS`.
        own: The optimizer.
        spec: The same, together with what it is built around where it is built so.
        arguments: What it is built with.
        setting: Mode, dtype and preprocessing.

    Returns:
        The peers by kind, those that cannot run among them, with the reason.
    """
    with execution_mode(setting.mode):
        return {kind: PEERS[kind](own, spec, arguments, setting) for kind in against}


def mindspore_peer(own: OptimizerSpec, spec: OptimizerSpec, arguments: Mapping[str, Any], setting: Setting) -> Peer:
    """Find ``mindspore.nn``'s optimizer of the class of ours, and try one step of it.

    Args:
        own: Ours.
        spec: Ours, together with what it is built around.
        arguments: What ours is built with; MindSpore's has the same names.
        setting: Mode, dtype and preprocessing.

    Returns:
        The peer, or why there is none.
    """
    class_name = resolve(own.implementation).__name__
    label = f"mindspore.nn.{class_name}"
    if own.capabilities.wraps_optimizer:
        return Peer(label, None, reason="not built from parameters, but around another optimizer")
    found = getattr(nn, class_name, None)
    if not (isinstance(found, type) and issubclass(found, nn.Optimizer)):
        return Peer(label, None, reason="mindspore.nn has no such optimizer")
    return _probed(Peer(label, lambda values, gradients: CellStep(found, arguments, values, gradients, setting)))


def torch_peer(own: OptimizerSpec, spec: OptimizerSpec, arguments: Mapping[str, Any], setting: Setting) -> Peer:
    """Find PyTorch's optimizer of the same algorithm, and try one step of it.

    Args:
        own: Ours.
        spec: Ours, together with what it is built around.
        arguments: What ours is built with.
        setting: Dtype and preprocessing; PyTorch's steps are eager in every mode.

    Returns:
        The peer, or why there is none.
    """
    if find_spec("torch") is None:
        return Peer("torch", None, reason="torch is not installed; pip install torch, or leave it out of --against")
    known = TORCH_PEERS.get(own.name)
    if known is None:
        return Peer("torch", None, reason="torch has no optimizer of this algorithm with a fused kernel")
    shown = ", ".join(f"{key}={value}" for key, value in known.fixed.items())
    label = f"torch.optim.{known.name}({shown})"
    if setting.centralize:
        return Peer(label, None, reason="torch's optimizers do not centralize gradients")
    translated = {theirs: arguments[ours] for ours, theirs in known.arguments.items() if ours in arguments}
    notes = ["without loss scale, which is not a torch optimizer's task"] if "loss_scale" in arguments else []
    notes += ["eager, as torch's optimizers are"] if setting.mode != "pynative" else []

    def build(values: Arrays, gradients: Arrays) -> Step:
        return torch_step(known.name, {**translated, **known.fixed}, values, gradients, setting)

    return _probed(Peer(label, build, note="; ".join(notes)))


Find = Callable[[OptimizerSpec, OptimizerSpec, Mapping[str, Any], Setting], Peer]
PEERS: Final[Mapping[str, Find]] = MappingProxyType({"mindspore": mindspore_peer, "torch": torch_peer})


def _probed(peer: Peer) -> Peer:
    assert peer.build is not None
    values = [np.ones(shape, np.float32) for shape in _PROBE_SHAPES]
    try:
        peer.build(values, values)()
    except Exception as error:
        # A peer may fail in whatever way; that it does is a result, and its reason stands in the table.
        return Peer(peer.label, None, reason=_first_words(error))
    return peer


def _first_words(error: Exception) -> str:
    # MindSpore's messages are long, and framed with lines of dashes and headings that begin with one.
    lines = [line.strip() for line in str(error).splitlines()]
    line = next((line for line in lines if line and not line.startswith("-")), "")
    return shorten(f"{type(error).__name__}: {line}", _LONGEST_REASON, placeholder=" …")

"""Which layers of a network have curvature that is seen, and how each kind is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mindspore import Parameter, nn

from tinyms_thor.capture import Place, SeenGather, SeenProduct
from tinyms_thor.patches import Window
from tinyms_thor.statistics import ConvolutionKind, DenseKind, EmbeddingKind, Kind


@dataclass(frozen=True)
class Layer:
    """A layer whose curvature is seen.

    Arguments:
        name: the layer's name in the network.
        weight: the Parameter whose gradient is preconditioned.
        kind: what is computed.
        place: where to look.
    """

    name: str
    weight: Parameter
    kind: Kind
    place: Place


def _dense(name: str, cell: Any) -> Layer:
    kind = DenseKind(*cell.weight.shape)
    return Layer(name, cell.weight, kind, Place(cell, "matmul", SeenProduct))


def _convolution(name: str, cell: Any) -> Layer:
    padding = cell.padding if isinstance(cell.padding, tuple) else (cell.padding,) * 4
    window = Window(cell.kernel_size, cell.stride, cell.dilation, cell.pad_mode, padding)
    kind = ConvolutionKind(cell.weight.shape, cell.group, window)
    return Layer(name, cell.weight, kind, Place(cell, "conv2d", SeenProduct))


def _embedding(name: str, cell: Any) -> Layer:
    place = Place(cell, "array_mul", SeenProduct) if cell.use_one_hot else Place(cell, "gather", SeenGather)
    return Layer(name, cell.embedding_table, EmbeddingKind(*cell.embedding_table.shape), place)


_READERS: Mapping[type, Callable[[str, Any], Layer]] = {
    nn.Dense: _dense,
    nn.Conv2d: _convolution,
    nn.Embedding: _embedding,
}

# What MindSpore's conversion for its own thor makes of layers.
_CONVERTED = (nn.DenseThor, nn.Conv2dThor, nn.EmbeddingThor, nn.EmbeddingLookupThor)


def find_layers(owner: str, network: nn.Cell) -> list[Layer]:
    """The layers of a network whose curvature is seen: Dense, Conv2d and Embedding whose weight is trained.

    A subclass counts where it computes as its class does; with a ``construct`` of its own it does not.

    Raises:
        ValueError: two layers share a weight, an optimizer looks at the network already, or MindSpore has converted it
            for its own thor.
    """
    found: list[Layer] = []
    owners: dict[int, str] = {}
    for name, cell in network.cells_and_names():
        if isinstance(cell, _CONVERTED):
            made = type(cell).__name__
            raise ValueError(
                f"{owner}: the layer {name!r} is a {made} of mindspore.nn, as convert_to_thor_net makes them; this "
                f"{owner} takes layers as they are: leave the conversion out, and build the network with "
                f"nn.{made.removesuffix('Thor')}"
            )
        reader = next((read for kind, read in _READERS.items() if _computes_as(cell, kind)), None)
        if reader is None:
            continue
        layer = reader(name, cell)
        if not layer.weight.requires_grad:
            continue
        other = owners.setdefault(id(layer.weight), name)
        if other != name:
            raise ValueError(
                f"{owner}: the layers {other!r} and {name!r} share the weight {layer.weight.name!r}; there is no one "
                "curvature for it. Give them weights of their own, or use another optimizer"
            )
        if layer.place.occupied:
            raise ValueError(
                f"{owner}: another {owner} looks at the layer {name!r} already; call its detach() before building a "
                "new one"
            )
        found.append(layer)
    return found


def _computes_as(cell: nn.Cell, kind: Any) -> bool:
    return isinstance(cell, kind) and type(cell).construct is kind.construct


def find_normalized(network: nn.Cell) -> set[int]:
    """Identities of the scales and shifts of layer normalizations."""
    return {
        id(parameter)
        for _, cell in network.cells_and_names()
        if isinstance(cell, nn.LayerNorm)
        for parameter in (cell.gamma, cell.beta)
        if parameter is not None
    }

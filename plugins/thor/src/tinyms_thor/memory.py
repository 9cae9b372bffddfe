"""What the curvature of a network takes in memory, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tinyms_thor.curvature import Options
from tinyms_thor.layers import Layer

_BYTES = 4


@dataclass(frozen=True)
class LayerMemory:
    """What is kept of one layer; ``print`` shows it in a line.

    Arguments:
        layer: the layer's name in the network; empty where it is the network.
        kind: its class.
        inputs: shape in which the factor of its inputs, A, is held: (blocks, edge, edge), or (ids,) of an Embedding.
        outputs: shape in which the factor of its outputs, G, is held.
        blocks: of both together; a diagonal is one.
        bytes: of all Parameters that are kept of the layer.
    """

    layer: str
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    blocks: int
    bytes: int

    def __str__(self) -> str:
        shapes = " and ".join(" x ".join(map(str, shape)) for shape in (self.inputs, self.outputs))
        return f"{self.layer or 'the network'}: {self.kind}, {shapes}, {self.blocks} blocks, {self.bytes} bytes"


def memory_of(layers: Sequence[Layer], options: Options) -> tuple[LayerMemory, ...]:
    """What is kept of each layer, by the shapes of its factors, all in float32."""
    copies = 1 if options.factor_decay is None else 2
    traces = 0 if options.trace_thresholds is None else 2
    rows = []
    for layer in layers:
        inputs, outputs = layer.kind.inputs.shape, layer.kind.outputs.shape
        size = _BYTES * (copies * (math.prod(inputs) + math.prod(outputs)) + traces)
        blocks = sum(shape[0] if len(shape) > 1 else 1 for shape in (inputs, outputs))
        rows.append(LayerMemory(layer.name, type(layer.place.layer).__name__, inputs, outputs, blocks, size))
    return tuple(rows)

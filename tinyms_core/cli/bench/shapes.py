"""The shapes of the parameters that steps are timed with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Final

Shape = tuple[int, ...]


@dataclass(frozen=True)
class ShapeSet:
    """A list of parameters' shapes.

    Attributes:
        name: the set's name.
        shapes: one for each parameter.
    """

    name: str
    shapes: tuple[Shape, ...]

    @property
    def elements(self) -> int:
        """Elements of all parameters together."""
        return sum(prod(shape) for shape in self.shapes)


def large() -> ShapeSet:
    """16 matrices of 1 Mi elements: the memory's speed decides."""
    return ShapeSet("large", ((1024, 1024),) * 16)


def small() -> ShapeSet:
    """500 vectors of 100 elements: the cost of each tensor decides."""
    return ShapeSet("small", ((100,),) * 500)


def tiny() -> ShapeSet:
    """2,000 vectors of 64 elements: nothing but the cost of each tensor."""
    return ShapeSet("tiny", ((64,),) * 2000)


def conv() -> ShapeSet:
    """16 kernels of convolutions, of 1 Mi elements each: four dimensions, of which the last two are short."""
    return ShapeSet("conv", ((256, 256, 4, 4),) * 16)


def resnet50() -> ShapeSet:
    """The parameters of ResNet-50 for 1,000 classes (He et al., 2015)."""
    return ShapeSet("resnet50", tuple(_resnet((3, 4, 6, 3), classes=1000)))


def bert_base() -> ShapeSet:
    """The parameters of BERT-base, uncased, without a task's head (Devlin et al., 2018)."""
    return ShapeSet("bert-base", tuple(_bert(layers=12, width=768, vocabulary=30522, positions=512)))


def bert_large() -> ShapeSet:
    """The parameters of BERT-large, uncased, without a task's head (Devlin et al., 2018)."""
    return ShapeSet("bert-large", tuple(_bert(layers=24, width=1024, vocabulary=30522, positions=512)))


def decoder_1b() -> ShapeSet:
    """A decoder of 1.26 billion parameters: 22 layers of attention and a gated unit (Touvron et al., 2023)."""
    return ShapeSet("decoder-1b", tuple(_decoder(layers=22, width=2048, hidden=5632, vocabulary=32000)))


SHAPE_SETS: Final[dict[str, Callable[[], ShapeSet]]] = {
    "large": large,
    "small": small,
    "tiny": tiny,
    "conv": conv,
    "resnet50": resnet50,
    "bert-base": bert_base,
    "bert-large": bert_large,
}


def _resnet(depths: tuple[int, ...], classes: int) -> Iterator[Shape]:
    expansion = 4
    channels = 64
    yield from _convolution(3, channels, 7)
    for stage, depth in enumerate(depths):
        width = 64 * 2**stage
        for block in range(depth):
            yield from _convolution(channels, width, 1)
            yield from _convolution(width, width, 3)
            yield from _convolution(width, width * expansion, 1)
            if block == 0:
                # The shortcut of a stage's first block changes the number of channels.
                yield from _convolution(channels, width * expansion, 1)
            channels = width * expansion
    yield from _dense(channels, classes)


def _convolution(inputs: int, outputs: int, kernel: int) -> Iterator[Shape]:
    """A convolution without bias, and the batch normalization after it."""
    yield (outputs, inputs, kernel, kernel)
    yield from _normalization(outputs)


def _bert(layers: int, width: int, vocabulary: int, positions: int) -> Iterator[Shape]:
    token_types = 2
    for rows in (vocabulary, positions, token_types):
        yield (rows, width)
    yield from _normalization(width)
    for _ in range(layers):
        # Query, key, value and the attention's output.
        for _ in range(4):
            yield from _dense(width, width)
        yield from _normalization(width)
        yield from _dense(width, 4 * width)
        yield from _dense(4 * width, width)
        yield from _normalization(width)
    # The pooler.
    yield from _dense(width, width)


def _decoder(layers: int, width: int, hidden: int, vocabulary: int) -> Iterator[Shape]:
    yield (vocabulary, width)
    for _ in range(layers):
        # Query, key, value and the attention's output; then the gated unit; each after a scale of its input.
        yield (width,)
        for _ in range(4):
            yield (width, width)
        yield (width,)
        yield (hidden, width)
        yield (hidden, width)
        yield (width, hidden)
    yield (width,)
    yield (vocabulary, width)


def _dense(inputs: int, outputs: int) -> Iterator[Shape]:
    yield (outputs, inputs)
    yield (outputs,)


def _normalization(width: int) -> Iterator[Shape]:
    yield (width,)
    yield (width,)

"""Small MindSpore Cells that checks are made with: a schedule, a decay, a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mindspore import RowTensor, Tensor, nn, ops
from mindspore.nn.learning_rate_schedule import LearningRateSchedule


class TableSchedule(LearningRateSchedule):
    """A schedule that looks its rates up, so that they are exact.

    Arguments:
        values: the rates, one for each step.
    """

    def __init__(self, values: Sequence[float]) -> None:
        super().__init__()
        self.values = Tensor(np.asarray(values, np.float32))

    def construct(self, global_step: Any) -> Any:
        return ops.gather(self.values, global_step, 0).reshape(())


class ConstantSchedule(LearningRateSchedule):
    """A schedule with one rate for all steps.

    Arguments:
        value: the rate.
    """

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = Tensor(np.float32(value))

    def construct(self, global_step: Any) -> Any:
        return self.value + 0.0


class TableDecay(nn.Cell):
    """A weight decay that depends on the step, looked up.

    Arguments:
        values: the decays, one for each step.
    """

    def __init__(self, values: Sequence[float]) -> None:
        super().__init__()
        self.values = Tensor(np.asarray(values, np.float32))

    def construct(self, global_step: Any) -> Any:
        return ops.gather(self.values, global_step, 0).reshape(())


class Network(nn.Cell):
    """Two dense layers; the second one's bias may be frozen.

    Arguments:
        seed: of the first values.
        frozen: whether the second layer's bias is frozen.
    """

    def __init__(self, seed: int = 3, frozen: bool = False) -> None:
        super().__init__()
        generator = np.random.default_rng(seed)
        first, second = (Tensor(0.4 * generator.standard_normal(s).astype(np.float32)) for s in ((8, 4), (1, 8)))
        self.first = nn.Dense(4, 8, weight_init=first, bias_init="zeros")
        self.second = nn.Dense(8, 1, weight_init=second, bias_init="zeros")
        self.second.bias.requires_grad = not frozen

    def construct(self, features: Any) -> Any:
        return self.second(ops.tanh(self.first(features)))


class Pair(nn.Cell):
    """Two optimizers in one Cell, as a network with two losses has them.

    Arguments:
        one, other: the optimizers.
    """

    def __init__(self, one: Any, other: Any) -> None:
        super().__init__()
        self.one = one
        self.other = other

    def construct(self, gradients: Any, others: Any) -> Any:
        return self.one(gradients), self.other(others)


class RowStep(nn.Cell):
    """A step of an optimizer of one table, whose gradient becomes a RowTensor in the graph.

    Arguments:
        optimizer: the optimizer.
        shape: the table's shape.
    """

    def __init__(self, optimizer: Any, shape: tuple[int, ...]) -> None:
        super().__init__(auto_prefix=False)
        self.optimizer = optimizer
        self.shape = shape

    def construct(self, indices: Any, values: Any) -> Any:
        return self.optimizer((RowTensor(indices, values, self.shape),))


def regression(count: int = 32, seed: int = 5) -> tuple[Any, Any]:
    """Features and targets of a small regression that `Network` can learn.

    Returns:
        Two float32 arrays of ``count`` rows.
    """
    generator = np.random.default_rng(seed)
    features = generator.standard_normal((count, 4)).astype(np.float32)
    targets = np.tanh(features @ np.array([[0.8], [-0.5], [0.3], [0.1]], np.float32)) + np.float32(0.5)
    return features, targets

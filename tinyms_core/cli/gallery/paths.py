"""The way of an optimizer on a function of two numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from mindspore import Parameter, Tensor

from tinyms_core.cli.gallery.functions import Function
from tinyms_core.cli.gallery.rates import FINE, best
from tinyms_core.optimizer.create import create_optimizer

STEPS: Final = 200
# Of the last steps, whose mean value judges a rate: so that no lucky last step of a wild path does.
_LAST: Final = 20
# So far out no path comes back, and gradients are near the end of float32.
_LOST: Final = 1e3


@dataclass(frozen=True)
class Path:
    """A way.

    Attributes:
        function: the function's name.
        learning_rate: the rate.
        points: the start and where each step led; it ends early where numbers became too large.
        values: the function there.
    """

    function: str
    learning_rate: float
    points: tuple[tuple[float, float], ...]
    values: tuple[float, ...]

    @property
    def score(self) -> float:
        """Less is better: the mean value over the last steps; infinite for a path that was lost."""
        return float(np.mean(self.values[-_LAST:])) if len(self.points) == STEPS + 1 else float("inf")

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict that ``json.dumps`` takes."""
        return asdict(self)


def descend(function: Function, optimizer: str, rate: float, arguments: Mapping[str, Any]) -> Path:
    """Go down a function with a fixed rate.

    Both numbers are one parameter, a matrix of a row, so that optimizers of matrices do what they do with those.

    Args:
        function: The function.
        optimizer: The optimizer's name.
        rate: The learning rate.
        arguments: With what the optimizer is built besides.

    Returns:
        The way, of `STEPS` steps.
    """
    parameter = Parameter(Tensor(np.array([function.start], np.float32)), name="point")
    built = create_optimizer(optimizer, [parameter], learning_rate=rate, **arguments)
    points = [function.start]
    for _ in range(STEPS):
        built((Tensor(np.array([function.gradient(*points[-1])], np.float32)),))
        x, y = parameter.asnumpy()[0].tolist()
        if not (abs(x) < _LOST and abs(y) < _LOST):
            break
        points.append((x, y))
    return Path(function.name, rate, tuple(points), tuple(float(function.value(x, y)) for x, y in points))


def best_path(function: Function, optimizer: str, arguments: Mapping[str, Any]) -> Path:
    """The way with the best of a few fixed rates."""
    return best([descend(function, optimizer, rate, arguments) for rate in FINE], lambda path: path.score)

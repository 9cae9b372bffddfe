"""Where hyperparameters are looked for: a range or a few values for each, and trials spread over them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol

import numpy as np

from tinyms_core.cli.errors import CommandError
from tinyms_core.registry.specs import REQUIRED, OptimizerSpec


class Range(Protocol):
    """The values that one hyperparameter may take."""

    def at(self, position: float) -> Any:
        """The value at a position in [0, 1)."""

    def to_dict(self) -> dict[str, Any]:
        """What it is, as a dict that ``json.dumps`` takes."""


@dataclass(frozen=True)
class Decades:
    """Numbers whose logarithm is spread evenly.

    Attributes:
        low, high: the ends, both > 0.
    """

    low: float
    high: float

    def at(self, position: float) -> float:
        """The value at a position in [0, 1)."""
        return float(math.exp(math.log(self.low) + position * (math.log(self.high) - math.log(self.low))))

    def to_dict(self) -> dict[str, Any]:
        """What it is, as a dict that ``json.dumps`` takes."""
        return {"from": self.low, "to": self.high}


@dataclass(frozen=True)
class OneOf:
    """A few values, each as often as any other.

    Attributes:
        values: the values.
    """

    values: tuple[Any, ...]

    def at(self, position: float) -> Any:
        """The value at a position in [0, 1)."""
        return self.values[int(position * len(self.values))]

    def to_dict(self) -> dict[str, Any]:
        """What it is, as a dict that ``json.dumps`` takes."""
        return {"one of": list(self.values)}


Space = Mapping[str, Range]

_MOMENTA: Final = OneOf((0.8, 0.9, 0.95))
_BETAS: Final = MappingProxyType({"beta1": _MOMENTA, "beta2": OneOf((0.95, 0.99, 0.999))})

SPACES: Final[Mapping[str, Space]] = MappingProxyType(
    {
        "momentum": {"learning_rate": Decades(0.03, 0.5), "momentum": _MOMENTA, "use_nesterov": OneOf((False, True))},
        "sgd": {"learning_rate": Decades(0.03, 0.5), "momentum": _MOMENTA, "nesterov": OneOf((False, True))},
        "adam": {"learning_rate": Decades(0.002, 0.05), **_BETAS},
        "lamb": {"learning_rate": Decades(0.005, 0.1), **_BETAS},
        "thor": {
            "learning_rate": Decades(0.05, 0.6),
            "damping": Decades(1e-6, 0.03),
            "momentum": OneOf((0.0, 0.5, 0.8)),
            "frequency": OneOf((5, 10, 20)),
            "damping_balance": OneOf((False, True)),
            "enable_clip_grad": OneOf((True,)),
        },
    }
)
"""The spaces, by the optimizers' own names."""

# Of an optimizer without a space: how far from its default the rate is looked for, in each direction.
_FACTOR: Final = 30.0


def space_of(spec: OptimizerSpec, given: Mapping[str, Any]) -> Space:
    """The space of an optimizer: its own, else its learning rate around the default.

    Args:
        spec: The optimizer.
        given: Values that are not looked for.

    Returns:
        A range for each hyperparameter that is tuned.

    Raises:
        CommandError: If the optimizer has neither a space nor a default rate.
    """
    rate = spec.defaults.get("learning_rate")
    around = {"learning_rate": Decades(rate / _FACTOR, rate * _FACTOR)} if isinstance(rate, float) and rate > 0 else {}
    space = {name: values for name, values in SPACES.get(spec.name, around).items() if name not in given}
    missing = [n for n, value in spec.defaults.items() if value is REQUIRED and n not in space and n not in given]
    if missing:
        raise CommandError(
            f"{spec.name!r} has no default of {missing[0]!r}, and none is known for it: give --set {missing[0]}=VALUE"
        )
    if not space:
        raise CommandError(f"{spec.name!r}: nothing is left to look for; give --learning-rate to compare rates")
    return space


def spread(space: Space, trials: int, seed: int) -> list[dict[str, Any]]:
    """Choose trials at random, such that each hyperparameter by itself is spread evenly over its range.

    Args:
        space: The ranges.
        trials: How many.
        seed: Of the choice.

    Returns:
        A value of each hyperparameter, for each trial.

    Example:
        >>> [round(trial["learning_rate"], 4) for trial in spread({"learning_rate": Decades(0.001, 1.0)}, 3, 0)]
        [0.1099, 0.001, 0.0651]
    """
    generator = np.random.default_rng(seed)
    # A Latin hypercube: one value from each of as many equal parts as there are trials, in an order of its own.
    positions = {name: (generator.permutation(trials) + generator.random(trials)) / trials for name in space}
    return [{name: values.at(float(positions[name][k])) for name, values in space.items()} for k in range(trials)]

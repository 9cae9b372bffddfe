"""Functions of two numbers on which a path can be looked at, with their gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

Point = tuple[float, float]


@dataclass(frozen=True)
class Function:
    """A function of two numbers.

    Attributes:
        name: what the user calls it.
        title: its name in words.
        value: the function, of arrays too.
        gradient: its gradient at a point.
        start: where paths begin.
        minimum: where the function is least, 0.
        window: the part that is drawn: left, right, bottom, top.
    """

    name: str
    title: str
    value: Callable[[Any, Any], Any]
    gradient: Callable[[float, float], Point]
    start: Point
    minimum: Point
    window: tuple[float, float, float, float]


def rosenbrock(x: Any, y: Any) -> Any:
    """A curved valley with a flat floor: (1 - x)^2 + 100 (y - x^2)^2."""
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def rosenbrock_gradient(x: float, y: float) -> Point:
    """The gradient of `rosenbrock`."""
    return -2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)


_BEALE: Final = (1.5, 2.25, 2.625)


def beale(x: Any, y: Any) -> Any:
    """A plain that is steep at its corners: the sum of (a - x + x y^k)^2 over three pairs of a and k."""
    return sum((a - x + x * y**k) ** 2 for k, a in enumerate(_BEALE, 1))


def beale_gradient(x: float, y: float) -> Point:
    """The gradient of `beale`."""
    terms = [(2 * (a - x + x * y**k), k) for k, a in enumerate(_BEALE, 1)]
    return sum(t * (y**k - 1) for t, k in terms), sum(t * k * x * y ** (k - 1) for t, k in terms)


def rastrigin(x: Any, y: Any) -> Any:
    """A bowl with many dents: 20 + the sum of z^2 - 10 cos(2 pi z) over both numbers."""
    return 20 + sum(z**2 - 10 * np.cos(2 * np.pi * z) for z in (x, y))


def rastrigin_gradient(x: float, y: float) -> Point:
    """The gradient of `rastrigin`."""
    slope_x, slope_y = (float(2 * z + 20 * np.pi * np.sin(2 * np.pi * z)) for z in (x, y))
    return slope_x, slope_y


FUNCTIONS: Final = (
    Function(
        "rosenbrock",
        "Rosenbrock",
        rosenbrock,
        rosenbrock_gradient,
        start=(-1.5, 2.0),
        minimum=(1.0, 1.0),
        window=(-2.0, 2.0, -1.0, 3.0),
    ),
    Function(
        "beale",
        "Beale",
        beale,
        beale_gradient,
        start=(1.0, 1.5),
        minimum=(3.0, 0.5),
        window=(-0.5, 4.0, -1.5, 2.5),
    ),
    Function(
        "rastrigin",
        "Rastrigin",
        rastrigin,
        rastrigin_gradient,
        start=(2.3, -1.7),
        minimum=(0.0, 0.0),
        window=(-3.5, 3.5, -3.5, 3.5),
    ),
)

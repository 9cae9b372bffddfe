"""Learning: over hundreds of steps an optimizer gets as far as its algorithm does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from tinyms_core.conformance.catalog import check
from tinyms_core.conformance.combinations import fitting
from tinyms_core.conformance.compare import require
from tinyms_core.conformance.rounding import Array, rounded
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.trial import make_tensor, values_of
from tinyms_core.conformance.workload import Group, Member, Rate, Workload

_STEPS: Final = 250
_RATES: Final = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
# What is left of the first loss where an algorithm learns, and how much more of it than by the oracle may be left:
# where a rate is so high that steps go to and fro, rounding decides on which side the last one ends.
_LEFT: Final = 0.2
_MORE: Final = 0.01


@dataclass(frozen=True)
class Problem:
    """Something to learn, with its gradients written out.

    Attributes:
        name: what it is called.
        members: its parameters.
        start: their first values.
        loss: the loss, and its gradients by name.
    """

    name: str
    members: tuple[Member, ...]
    start: Mapping[str, Array]
    loss: Callable[[Mapping[str, Array]], tuple[float, dict[str, Array]]]


def _quadratic(values: Mapping[str, Array]) -> tuple[float, dict[str, Array]]:
    steepness = np.geomspace(0.2, 2.0, 12).reshape(4, 3)
    gradient = steepness * values["bowl.weight"]
    return float(0.5 * (gradient * values["bowl.weight"]).sum()), {"bowl.weight": gradient}


def _rosenbrock(values: Mapping[str, Array]) -> tuple[float, dict[str, Array]]:
    """Rosenbrock's valley, ten times less steep than usual, for three pairs of numbers."""
    x, y = values["valley.x"], values["valley.y"]
    away = y - x * x
    gradients = {"valley.x": -2.0 * (1.0 - x) - 40.0 * x * away, "valley.y": 20.0 * away}
    return float((np.square(1.0 - x) + 10.0 * np.square(away)).sum()), gradients


_PROBLEMS: Final = (
    Problem(
        "a quadratic",
        (Member("bowl.weight", (4, 3)),),
        {"bowl.weight": np.linspace(-2.0, 2.5, 12).reshape(4, 3)},
        _quadratic,
    ),
    Problem(
        "Rosenbrock's function",
        (Member("valley.x", (3,)), Member("valley.y", (3,))),
        {"valley.x": np.array([-1.0, -0.5, 0.5]), "valley.y": np.array([1.5, 1.0, -0.5])},
        _rosenbrock,
    ),
)


@check("Learning")
def check_converges(subject: Subject) -> None:
    """On a quadratic and on Rosenbrock's function, it learns in 250 steps as much as its oracle with the best rate."""
    for problem in _PROBLEMS:
        first, _ = problem.loss(problem.start)
        reached = {rate: _oracle_loss(subject, problem, rate) for rate in _RATES}
        rate = min(reached, key=lambda rate: reached[rate] if np.isfinite(reached[rate]) else np.inf)
        expected = reached[rate]
        what = f"{problem.name}, after {_STEPS} steps with the rate {rate:g}"
        require(expected <= _LEFT * first, f"{what}: by its oracle {expected / first:.3g} of the loss is left")
        found = _loss(subject, problem, rate)
        require(
            found <= expected + _MORE * first,
            f"{what}: {found / first:.3g} of the loss is left, by its oracle {expected / first:.3g}",
        )


def _workload(subject: Subject, problem: Problem, rate: float) -> Workload:
    workload = subject.plain(*problem.members, rate=Rate((rate,)), decay=(0.0,), hyperparameters=subject.defaults)
    return fitting(subject.spec, replace(workload, groups=(Group(problem.members),)))


def _oracle_loss(subject: Subject, problem: Problem, rate: float) -> float:
    oracle = subject.oracle(_workload(subject, problem, rate))
    oracle.parameters.update({name: rounded(value, "float32") for name, value in problem.start.items()})
    with np.errstate(all="ignore"):
        for _ in range(_STEPS):
            loss, gradients = problem.loss(oracle.parameters)
            if not np.isfinite(loss):
                return loss
            oracle.step(gradients)
        return problem.loss(oracle.parameters)[0]


def _loss(subject: Subject, problem: Problem, rate: float) -> float:
    trial = subject.trial(_workload(subject, problem, rate))
    for name, value in problem.start.items():
        trial.parameters[name].set_data(make_tensor(rounded(value, "float32"), "float32"))
    for _ in range(_STEPS):
        _, gradients = problem.loss(_values(trial.parameters))
        trial.step([make_tensor(rounded(gradients[name], "float32"), "float32") for name in trial.parameters])
    return problem.loss(_values(trial.parameters))[0]


def _values(parameters: Mapping[str, object]) -> dict[str, Array]:
    return {name: values_of(parameter) for name, parameter in parameters.items()}

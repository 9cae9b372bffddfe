"""Fair timing: every contestant takes its turn in every round, and what disturbed a round is written down."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import comb, inf
from statistics import median, quantiles
from typing import Any, Final

from tinyms_core.cli.bench.disturbance import Disturbance, Watch

WARM_UP: Final = 3
# Fewer rounds than this count in no case, however long a step takes.
FEWEST_ROUNDS: Final = 3
# Threads of libraries spin for some milliseconds after their work and would take processors from the next contestant:
# libgomp's took 6 ms of processor time where it was measured. The pause is busy, as a training program is: a processor
# that slept needs time to wake.
PAUSE_SECONDS: Final = 0.02
# How sure an interval is to hold the median that many rounds would have.
CONFIDENCE: Final = 0.95

# One step, with all the work that it queues.
Step = Callable[[], None]


@dataclass(frozen=True)
class Ratio:
    """The median over rounds of one contestant's time over another's in the same round.

    Neighbours in time see the same machine, so what slows the machine for a while does not count.

    Attributes:
        median: the median.
        low, high: bounds of it with a confidence of at least 95 %; None where there are too few rounds for that.
    """

    median: float
    low: float | None = None
    high: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict that ``json.dumps`` takes."""
        return {"median": self.median, "low": self.low, "high": self.high, "confidence": CONFIDENCE}


def median_ratio(values: Sequence[float]) -> Ratio:
    """Find the median of values, and bounds of it.

    The bounds are two of the sorted values: as many values lie beyond them as chance leaves there in no more
    than 5 % of cases, whatever the values' distribution.

    Args:
        values: One for each round.
    """
    ordered, n = sorted(values), len(values)
    beyond, below = 0.0, 0
    while below < n // 2 and beyond + comb(n, below) / 2**n <= (1 - CONFIDENCE) / 2:
        beyond += comb(n, below) / 2**n
        below += 1
    if not below:
        return Ratio(median(ordered))
    return Ratio(median(ordered), ordered[below - 1], ordered[n - below])


@dataclass(frozen=True)
class Times:
    """What a contestant took in each round.

    Attributes:
        seconds: one for each round.
        disturbances: what took processors away in a round; empty where nobody looked.
    """

    seconds: tuple[float, ...]
    disturbances: tuple[Disturbance, ...] = ()

    @property
    def milliseconds(self) -> float:
        """The median."""
        return median(self.seconds) * 1e3

    def ratio_to(self, other: Times) -> Ratio:
        """Return the ratio, paired by round, of this time over another's."""
        return median_ratio([own / others for own, others in zip(self.seconds, other.seconds, strict=True)])

    def to_dict(self) -> dict[str, Any]:
        """Median and quartiles in milliseconds, the time of each round, and the rounds that were disturbed."""
        milliseconds = [second * 1e3 for second in self.seconds]
        low, _, high = quantiles(milliseconds, n=4) if len(milliseconds) > 1 else milliseconds * 3
        return {
            "median_ms": self.milliseconds,
            "quartiles_ms": [low, high],
            "rounds": len(milliseconds),
            "rounds_ms": milliseconds,
            "disturbed_rounds": [
                {"round": number, **found.to_dict()} for number, found in enumerate(self.disturbances) if found
            ],
        }


# Below this many elements, where a step is a matter of caches, a turn is a run of several steps: the first
# finds the caches as another contestant left them, the others as a loop of steps does.
FEW_ELEMENTS: Final = 1_000_000
STEPS_OF_A_TURN: Final = 10
TURN_SECONDS: Final = 0.05


def steps_of_a_turn(elements: int) -> int:
    """How many steps a turn takes for so many elements of parameters."""
    return STEPS_OF_A_TURN if elements < FEW_ELEMENTS else 1


def _pause() -> None:
    until = time.perf_counter() + PAUSE_SECONDS
    while time.perf_counter() < until:
        pass


def race(
    contestants: Mapping[str, Step],
    rounds: int,
    finished: Callable[[], None] = lambda: None,
    steps: int = 1,
    limit: float = inf,
) -> dict[str, Times]:
    """Time contestants in interleaved rounds.

    Args:
        contestants: The steps, by name; in each round all are timed, in this order.
        rounds: How many rounds count, after those that warm up.
        finished: Called after each round.
        steps: Steps of a contestant's turn, fewer where it would take longer than `TURN_SECONDS`; the time of a step
            is their mean.
        limit: Seconds after the first round, which compiles, until no further round begins; `FEWEST_ROUNDS` count in
            any case.

    Returns:
        The times of a step, by name.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    disturbances: dict[str, list[Disturbance]] = {name: [] for name in contestants}
    watch = Watch()
    turns = dict.fromkeys(contestants, steps)
    started = inf
    for turn in range(WARM_UP + rounds):
        counts = turn >= WARM_UP
        if turn >= WARM_UP + FEWEST_ROUNDS and time.perf_counter() - started > limit:
            break
        if not counts and turn and time.perf_counter() - started > limit / 2:
            # So slow that one round has warmed up whatever there is.
            finished()
            continue
        for name, step in contestants.items():
            _pause()
            watch.start()
            began = time.perf_counter()
            for _ in range(turns[name]):
                step()
            took = (time.perf_counter() - began) / turns[name]
            if turn:
                # What takes long needs no run of steps to be measured; the first round compiles.
                turns[name] = max(1, min(turns[name], int(TURN_SECONDS / took)))
            if counts:
                seconds[name].append(took)
                disturbances[name].append(watch.stop())
        if turn == 0:
            # The first round compiles.
            started = time.perf_counter()
        finished()
    return {name: Times(tuple(values), tuple(disturbances[name])) for name, values in seconds.items()}

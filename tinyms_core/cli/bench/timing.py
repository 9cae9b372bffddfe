"""Fair timing: every contestant takes its turn in every round."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any, Final

WARM_UP: Final = 3

# One step, with all the work that it queues.
Step = Callable[[], None]


@dataclass(frozen=True)
class Times:
    """What a contestant took in each round.

    Attributes:
        seconds: one for each round.
    """

    seconds: tuple[float, ...]

    @property
    def milliseconds(self) -> float:
        """The median."""
        return median(self.seconds) * 1e3

    def ratio_to(self, other: Times) -> float:
        """Return the median, over rounds, of this time over another's in the same round.

        Neighbours in time see the same machine, so what slows the machine for a while does not count.
        """
        return median(own / others for own, others in zip(self.seconds, other.seconds, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """The median and quartiles in milliseconds, and the number of rounds."""
        milliseconds = [second * 1e3 for second in self.seconds]
        low, _, high = quantiles(milliseconds, n=4) if len(milliseconds) > 1 else milliseconds * 3
        return {"median_ms": self.milliseconds, "quartiles_ms": [low, high], "rounds": len(milliseconds)}


# Below this many elements, where a step is a matter of caches, a turn is a run of several steps: the first
# finds the caches as another contestant left them, the others as a loop of steps does.
FEW_ELEMENTS: Final = 1_000_000
STEPS_OF_A_TURN: Final = 10


def steps_of_a_turn(elements: int) -> int:
    """How many steps a turn takes for so many elements of parameters."""
    return STEPS_OF_A_TURN if elements < FEW_ELEMENTS else 1


def race(
    contestants: Mapping[str, Step], rounds: int, finished: Callable[[], None] = lambda: None, steps: int = 1
) -> dict[str, Times]:
    """Time contestants in interleaved rounds.

    Args:
        contestants: The steps, by name; in each round all are timed, in this order.
        rounds: How many rounds count, after those that warm up.
        finished: Called after each round.
        steps: Steps of a contestant's turn; the time of a step is their mean.

    Returns:
        The times of a step, by name.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(WARM_UP + rounds):
        for name, step in contestants.items():
            began = time.perf_counter()
            for _ in range(steps):
                step()
            took = (time.perf_counter() - began) / steps
            if turn >= WARM_UP:
                seconds[name].append(took)
        finished()
    return {name: Times(tuple(values)) for name, values in seconds.items()}

"""What a training step with thor takes against one with momentum; run it as ``python -m tests.benchmarks.thor_step``.

Both train the network of ``tinyms-optim train`` on generated images. They take turns, each of as many steps as lie
between two refreshes of thor's inverses, so that each turn has one refresh, and a load on the machine is shared by
both of a pair.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import mindspore
import numpy as np
from mindspore import Tensor, nn
from mindspore.graph.api import _pynative_executor

import tinyms_core
from tinyms_core.cli.train.network import SmallLeNet

MODES = {"pynative": mindspore.PYNATIVE_MODE, "graph": mindspore.GRAPH_MODE}
BATCH = 32


def make_thor(network: nn.Cell, frequency: int) -> Any:
    """The optimizer that is measured."""
    return tinyms_core.get_optimizer("thor")(
        network, Tensor(0.03), Tensor(0.1), 0.9, weight_decay=1e-4, batch_size=BATCH, frequency=frequency
    )


def make_momentum(network: nn.Cell, frequency: int) -> Any:
    """What it is measured against."""
    return tinyms_core.get_optimizer("momentum")(network.trainable_params(), 0.03, 0.9, weight_decay=1e-4)


def make_turn(make: Callable[[nn.Cell, int], Any], frequency: int) -> Callable[[], float]:
    """A function that trains for as many steps as lie between refreshes, and returns the mean seconds of a step."""
    generator = np.random.default_rng(0)
    images = Tensor(generator.normal(size=(BATCH, 1, 8, 8)).astype(np.float32))
    labels = Tensor(generator.integers(0, 10, BATCH).astype(np.int32))
    mindspore.set_seed(1)
    network = SmallLeNet()
    optimizer = make(network, frequency)
    loss = nn.SoftmaxCrossEntropyWithLogits(sparse=True, reduction="mean")
    step = nn.TrainOneStepCell(nn.WithLossCell(network, loss), optimizer).set_train()

    def turn() -> float:
        began = time.perf_counter()
        for _ in range(frequency):
            step(images, labels)
        _pynative_executor.sync()
        # A graph's launch may return before it is done; the step number is what it writes last.
        optimizer.global_step.asnumpy()
        return (time.perf_counter() - began) / frequency

    return turn


def measure(mode: str, frequency: int, turns: int) -> tuple[list[float], list[float]]:
    """Mean seconds of a step in each turn, of momentum and of thor."""
    mindspore.set_context(mode=MODES[mode])
    pair = [make_turn(make, frequency) for make in (make_momentum, make_thor)]
    # The first turns compile and warm up.
    for turn in pair:
        turn()
    times = [(first(), second()) for first, second in [pair] * turns]
    return [a for a, _ in times], [b for _, b in times]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frequency", type=int, default=100, help="steps from one refresh to the next")
    parser.add_argument("--turns", type=int, default=9, help="turns of each, after one to warm up")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    asked = parser.parse_args()
    # As the train command does.
    mindspore.runtime.launch_blocking()
    print(f"Mean training step over {asked.frequency} steps with one refresh; median of {asked.turns} turns.\n")
    print("| mode | momentum, ms | thor, ms | thor / momentum | ratios from | to | fastest momentum | fastest thor |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for mode in asked.modes:
        momentum, thor = measure(mode, asked.frequency, asked.turns)
        ratios = [b / a for a, b in zip(momentum, thor, strict=True)]
        cells = [1e3 * median(momentum), 1e3 * median(thor), median(ratios), min(ratios), max(ratios)]
        # What other work on the machine disturbs least.
        cells += [1e3 * min(momentum), 1e3 * min(thor)]
        print(f"| {mode} | " + " | ".join(f"{number:.2f}" for number in cells) + " |", flush=True)


if __name__ == "__main__":
    main()

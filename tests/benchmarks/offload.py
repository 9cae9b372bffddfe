"""What an offloaded step takes where parameters are on the host; run it as ``python -m tests.benchmarks.offload``.

There it is the plain step, so the ratio of the two is what asking for it costs. Both are timed in the same rounds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

SHAPES = {"16 of 1 Mi elements": ((1024, 1024),) * 16, "500 of 100 elements": ((100,),) * 500}
ROUNDS = 15
REPEATS = {"16 of 1 Mi elements": 3, "500 of 100 elements": 100}


def main() -> int:
    """Measure and print the ratios."""
    from tinyms_core.cli.bench.timing import race

    for what, shapes in SHAPES.items():
        for where, sides in (("plain arrays", arrays(shapes)), ("MindSpore", parameters(shapes))):
            times = race(dict(zip(("plain", "offloaded"), sides, strict=True)), ROUNDS, steps=REPEATS[what])
            milliseconds = times["plain"].milliseconds
            ratio = times["offloaded"].ratio_to(times["plain"]).median
            print(f"{what:20} {where:12} {milliseconds:8.3f} ms, offloaded {ratio:.2f} times that", flush=True)
    return 0


def arrays(shapes: tuple[tuple[int, ...], ...]) -> list[Callable[[], Any]]:
    """Steps of Adam on numpy's arrays, plain and offloaded."""
    from tinyms_core.kernels import ArrayOptimizer

    gradients = [np.full(shape, 0.01, np.float32) for shape in shapes]
    made = [
        ArrayOptimizer("adam", [np.ones(shape, np.float32) for shape in shapes], offload=offload)
        for offload in (False, True)
    ]
    return [_step(optimizer.step, gradients) for optimizer in made]


def parameters(shapes: tuple[tuple[int, ...], ...]) -> list[Callable[[], Any]]:
    """Steps of Adam and of AdamOffload on MindSpore's Parameters."""
    from mindspore import Parameter, Tensor

    import tinyms_core

    gradients = tuple(Tensor(np.full(shape, 0.01, np.float32)) for shape in shapes)
    steps = []
    for name in ("adam", "adam_offload"):
        owned = [Parameter(Tensor(np.ones(shape, np.float32)), name=f"w{i}") for i, shape in enumerate(shapes)]
        steps.append(_step(tinyms_core.get_optimizer(name)(owned), gradients))
    return steps


def _step(run: Callable[[Any], Any], gradients: Any) -> Callable[[], Any]:
    return lambda: run(gradients)


if __name__ == "__main__":
    sys.exit(main())

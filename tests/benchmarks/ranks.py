"""What exchanges and divided steps cost: prints a table from process 0.

Run it with ``msrun --worker_num=2 --local_worker_num=2 --join=True tests/benchmarks/ranks.py``, and in one process
with ``python tests/benchmarks/ranks.py``.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import mindspore
import numpy as np
from mindspore import Tensor
from mindspore.communication import init

import tinyms_core
from tinyms_core.distributed import GradientAverage, all_ranks, shard_state
from tinyms_core.examples import parameter
from tinyms_core.ranks.group import own_rank, rank_count, start_gather, start_sum

TENSORS, ELEMENTS, TRIES = 64, 1 << 16, 7


def median_ms(call: Callable[[], Any]) -> float:
    """The median time of a call that all processes begin together, after one that does not count."""
    found = []
    for _ in range(TRIES + 1):
        all_ranks(True)
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return 1000 * statistics.median(found[1:])


def main() -> None:
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE, device_target="CPU")
    if "MS_ROLE" in os.environ:
        init()
    ranks = rank_count()
    own = [parameter(f"w{index}", np.zeros(ELEMENTS)) for index in range(TENSORS)]
    gradients = tuple(Tensor(np.full(p.shape, 0.5, np.float32)) for p in own)
    average, whole, divided = GradientAverage(own), tinyms_core.get_optimizer("adam")(own), shard_state("adam", own)
    one, all_words = np.ones(1, np.float32), np.ones(TENSORS * ELEMENTS, np.float32)
    share = all_words[: all_words.size // ranks].copy()
    rows = {
        "sum of 1 number": lambda: start_sum("one", one).wait() if ranks > 1 else None,
        "sum of 16 MiB": lambda: start_sum("all", all_words).wait() if ranks > 1 else None,
        "gather of 16 MiB": lambda: start_gather("shares", share).wait() if ranks > 1 else None,
        "average of gradients": lambda: average(gradients),
        "undivided step": lambda: whole(gradients),
        "divided step": lambda: divided(gradients),
        "average and undivided step": lambda: whole(average(gradients)),
        "average and divided step": lambda: divided(average(gradients)),
    }
    table = [f"{name}: {median_ms(call):.1f} ms" for name, call in rows.items()]
    if own_rank() == 0:
        print(
            f"{ranks} process(es), {TENSORS} tensors of {ELEMENTS} elements, state {divided.state_bytes()} bytes here"
        )
        print("\n".join(table), flush=True)


if __name__ == "__main__":
    main()

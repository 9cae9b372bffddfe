"""What exchanges and divided steps cost, beside what a model of the communication says: prints tables from process 0.

Run it with ``msrun --worker_num=2 --local_worker_num=2 --join=True tests/benchmarks/ranks.py``, and in one process
with ``python tests/benchmarks/ranks.py``.
"""

from __future__ import annotations

import hashlib
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
from tinyms_core.ranks.memory import BUCKET_BYTES

TENSORS, ELEMENTS, TRIES = 64, 1 << 16, 7
BYTES = TENSORS * ELEMENTS * 4


def median_ms(call: Callable[[], Any]) -> float:
    """The median time of a call that all processes begin together, after one that does not count."""
    found = []
    for _ in range(TRIES + 1):
        all_ranks(True)
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return 1000 * statistics.median(found[1:])


def exchange_ms(ranks: int, passes: int, agreements: int, agreement_ms: float, ms_per_byte: float) -> float:
    """The time of exchanges on one machine, where the bytes of all processes go through the same memory.

    Arguments:
        ranks: the number of processes.
        passes: 2 for a sum, 1 for a gather, added up.
        agreements: how often all agree before they go on.
        agreement_ms: the time of an agreement, which is all messages and no bytes.
        ms_per_byte: the time of a byte.
    """
    buckets = -(-BYTES // BUCKET_BYTES)
    return passes * (ranks - 1) * BYTES * ms_per_byte + (agreements + passes * buckets) * agreement_ms


def digest(tensors: Any) -> str:
    """A hash of all bits of tensors."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(tensor.asnumpy().tobytes())
    return found.hexdigest()[:16]


def hashes_of_all(own: str) -> list[str]:
    """The hash of each process."""
    words = np.frombuffer(bytes.fromhex(own), np.uint32).copy()
    found = start_gather("hashes", words).wait() if rank_count() > 1 else words
    return [each.tobytes().hex() for each in found.view(np.uint32).reshape(rank_count(), -1)]


def main() -> None:
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE, device_target="CPU")
    if "MS_ROLE" in os.environ:
        init()
    ranks = rank_count()
    own = [parameter(f"w{index}", np.zeros(ELEMENTS)) for index in range(TENSORS)]
    large = [parameter("large", np.ones(TENSORS * ELEMENTS))]
    gradients = tuple(Tensor(np.full(p.shape, 0.5, np.float32)) for p in own)
    gradient = (Tensor(np.full(large[0].shape, 0.5, np.float32)),)
    average, whole, divided = GradientAverage(own), tinyms_core.get_optimizer("adam")(own), shard_state("adam", own)
    lamb = shard_state("lamb", large, learning_rate=1e-3)
    all_words = np.ones(TENSORS * ELEMENTS, np.float32)
    share = all_words[: all_words.size // ranks].copy()
    # Each with what it exchanges: passes of all bytes, and agreements; None where that is what the model is made from.
    rows: dict[str, tuple[Callable[[], Any], tuple[int, int] | None]] = {
        "agreement": (lambda: all_ranks(True), None),
        "sum of 16 MiB": (lambda: start_sum("all", all_words).wait() if ranks > 1 else None, None),
        "gather of 16 MiB": (lambda: start_gather("shares", share).wait() if ranks > 1 else None, (1, 0)),
        "undivided step": (lambda: whole(gradients), None),
        "average of gradients": (lambda: average(gradients), (2, 1)),
        "divided step": (lambda: divided(gradients), (1, 1)),
        "average and undivided step": (lambda: whole(average(gradients)), (2, 1)),
        "average and divided step": (lambda: divided(average(gradients)), (3, 2)),
        "divided step of Lamb, one tensor": (lambda: lamb(gradient), (1, 2)),
    }
    found = {name: median_ms(call) for name, (call, _) in rows.items()}
    hashes = hashes_of_all(digest([*own, *large]))
    sizes = [divided.state_bytes(), lamb.state_bytes()]
    if own_rank() == 0:
        print(f"{ranks} process(es), {TENSORS} tensors of {ELEMENTS} elements; bytes of state here {sizes}")
        print(f"hashes of the parameters: {hashes}")
        agreement = found["agreement"]
        per_byte = max(found["sum of 16 MiB"] - 2 * agreement, 0.0) / (2 * max(ranks - 1, 1) * BYTES)
        for name, (_, exchanged) in rows.items():
            model = ""
            if exchanged is not None and ranks > 1:
                model = f", {exchange_ms(ranks, *exchanged, agreement, per_byte):.1f} ms of exchanges by the model"
            print(f"{name}: {found[name]:.1f} ms{model}", flush=True)


if __name__ == "__main__":
    main()

"""What four processes check together, with shares of another size than two have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mindspore.communication import get_rank

from tests.distributed import shared_arrays, thor_ranks
from tests.distributed.problems import arguments, digest, gradients, parameters
from tests.distributed.two_ranks import (
    compare_with_undivided,
    gradients_are_averaged,
    large_tensors_are_divided_between_chunks,
    one_overflow_skips_the_step_of_all,
)
from tinyms_core.distributed import shard_state
from tinyms_core.examples import parameter, tensor


def divided_equals_undivided(folder: Path) -> Any:
    """Some optimizers of each kind."""
    return compare_with_undivided(("adafactor", "adam", "ftrl", "lars", "muon", "sgd"))


def checkpoints_are_whole(folder: Path) -> Any:
    """Go on from what two processes saved, saving once more."""
    hashes = {}
    for name in ("adam", "lamb", "adafactor", "lars", "sgd"):
        own = parameters(seed=7 + get_rank())
        sharded = shard_state(name, own, **arguments(name))
        sharded.load_checkpoint(folder / f"{name}.two.safetensors")
        sharded.save_checkpoint(folder / f"{name}.four.safetensors")
        for step in (5, 6):
            sharded(gradients(own, step))
        hashes[name] = digest(own)
    return hashes


def ranks_without_elements_take_part(folder: Path) -> Any:
    own = [parameter("w", [1.0]), parameter("v", [2.0])]
    sharded = shard_state("lion", own, learning_rate=0.25)
    sharded((tensor([1.0]), tensor([-1.0])))
    assert [p.asnumpy().tolist() for p in own] == [[0.75], [2.25]]
    return digest(own)


CHECKS = (
    gradients_are_averaged,
    one_overflow_skips_the_step_of_all,
    divided_equals_undivided,
    large_tensors_are_divided_between_chunks,
    checkpoints_are_whole,
    ranks_without_elements_take_part,
    *shared_arrays.CHECKS,
    *thor_ranks.OF_MORE,
)

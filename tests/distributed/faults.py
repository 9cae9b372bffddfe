"""Trainings in which a process is killed; each is one process of two."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mindspore
from mindspore.communication import get_rank

from tests.distributed.problems import digest, gradients, parameters
from tests.distributed.thor_ranks import here, part, replaced
from tinyms_core.distributed import GradientAverage, LostRankError, ShardedOptimizer, all_ranks, arrays, shard_state

STEPS = 20
SAVED_EVERY = 5
KILLED_AT = 12
FILE = "last.safetensors"


def build() -> tuple[list[Any], ShardedOptimizer]:
    own = parameters()
    return own, shard_state("adam", own, learning_rate=0.01, weight_decay=0.01)


def train(own: list[Any], optimizer: ShardedOptimizer, path: Path, until: int) -> None:
    """Go on from where the optimizer is, saving now and then."""
    average = GradientAverage(own)
    while (step := int(optimizer.global_step.asnumpy()[0])) < until:
        optimizer(average(gradients(own, step, get_rank())))
        if (step + 1) % SAVED_EVERY == 0:
            optimizer.save_checkpoint(path)


class _Killed:
    """Stands where an exchange would: the process is killed before it begins."""

    def run(self, *arguments: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def _lost(call: Callable[[], Any]) -> tuple[float, str]:
    """How long a call took to raise, and what it said."""
    began = time.monotonic()
    try:
        call()
    except LostRankError as error:
        return time.monotonic() - began, str(error)
    raise AssertionError("no LostRankError")


def a_rank_is_killed_between_its_update_and_the_exchange(folder: Path) -> Any:
    own, optimizer = build()
    path = folder / FILE
    train(own, optimizer, path, KILLED_AT)
    if get_rank() == 1:
        optimizer._exchange = _Killed()  # type: ignore[assignment]
    seconds, said = _lost(lambda: train(own, optimizer, path, STEPS))
    before = digest(optimizer.optimizer.get_parameters())
    later = [
        _lost(lambda: optimizer(gradients(own, 0))),
        _lost(lambda: optimizer.save_checkpoint(path)),
        _lost(lambda: optimizer.load_checkpoint(path)),
        _lost(lambda: all_ranks(True)),
    ]
    assert digest(optimizer.optimizer.get_parameters()) == before
    saved = mindspore.load_checkpoint(str(path), format="safetensors")
    return {
        "seconds": seconds,
        "said": said,
        "later": later,
        "step in the checkpoint": int(saved["global_step"].asnumpy()[0]),
    }


def training_goes_on_from_the_checkpoint(folder: Path) -> Any:
    own, optimizer = build()
    optimizer.load_checkpoint(folder / FILE)
    began = int(optimizer.global_step.asnumpy()[0])
    train(own, optimizer, folder / FILE, STEPS)
    whole, undisturbed = build()
    train(whole, undisturbed, folder / "undisturbed.safetensors", STEPS)
    return {"began": began, "restarted": digest(own), "undisturbed": digest(whole)}


def a_rank_is_killed_while_a_checkpoint_is_saved(folder: Path) -> Any:
    own, optimizer = build()
    optimizer.load_checkpoint(folder / FILE)
    optimizer(GradientAverage(own)(gradients(own, STEPS, get_rank())))
    before = (folder / FILE).read_bytes()
    if get_rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    seconds, said = _lost(lambda: optimizer.save_checkpoint(folder / FILE))
    return {
        "seconds": seconds,
        "said": said,
        "unchanged": (folder / FILE).read_bytes() == before,
        "left": sorted(path.name for path in folder.glob(".*")),
    }


def a_rank_is_killed_before_it_adds_its_factors(folder: Path) -> Any:
    training = here().run(3)
    gradients_of_all = training.average(training.gradient(*part(3, training.ranks, training.rank)))
    before = digest(training.everything())

    def kill(*arguments: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with replaced(arrays, "start_sum", kill if get_rank() == 1 else arrays.start_sum):
        seconds, said = _lost(lambda: training.optimizer(gradients_of_all))
    later, refused = _lost(lambda: training.optimizer(gradients_of_all))
    return {
        "seconds": seconds,
        "said": said,
        "unchanged": digest(training.everything()) == before,
        "later": later,
        "refused": refused,
    }


def a_rank_is_late(folder: Path) -> Any:
    """One rank comes when the other waits no more; what it sent then must not be taken for anything later."""
    own, optimizer = build()
    train(own, optimizer, folder / FILE, SAVED_EVERY)
    if get_rank() == 1:
        time.sleep(1.5 * int(os.environ["MS_CPU_COMM_OP_TIMEOUT"]))
    errors, agreements = [], 0
    began = time.monotonic()
    for _ in range(3):
        try:
            agreements += all_ranks(get_rank() == 0)
        except LostRankError as error:
            errors.append(str(error))
    exchanging = time.monotonic() - began
    refused_in, refused = _lost(lambda: optimizer(gradients(own, 0)))
    return {
        "errors": errors,
        "agreements": agreements,
        "seconds": exchanging,
        "refused in": refused_in,
        "refused": refused,
    }


CHECKS = {
    "late": (a_rank_is_late,),
    "thor": (a_rank_is_killed_before_it_adds_its_factors,),
    "killed": (a_rank_is_killed_between_its_update_and_the_exchange,),
    "restarted": (training_goes_on_from_the_checkpoint, a_rank_is_killed_while_a_checkpoint_is_saved),
}

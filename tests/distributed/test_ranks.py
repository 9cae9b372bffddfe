"""Several processes train as one does."""

from __future__ import annotations

from pathlib import Path

import mindspore
import pytest

import tinyms_core
from tests.distributed import four_ranks, thor_ranks, two_ranks
from tests.distributed.launch import Session
from tests.distributed.problems import SHAPES, arguments, digest, gradients, parameters

SAVED = ("adam", "lamb", "adafactor", "lars", "sgd")


def save_undivided(folder: Path) -> dict[str, str]:
    """Train three steps in this process, save, go on, and return the hashes at the end."""
    hashes = {}
    for name in SAVED:
        own = parameters()
        optimizer = tinyms_core.create_optimizer(name, own, **arguments(name))
        for step in range(7):
            if step == 3:
                tinyms_core.save_checkpoint(optimizer, folder / f"{name}.one.safetensors")
            optimizer(gradients(own, step))
        hashes[name] = digest(own)
    return hashes


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    """Results of two processes, then of four, with one folder; the second go on from what the first saved."""
    folder = tmp_path_factory.mktemp("ranks")
    alone = save_undivided(folder)
    thor_ranks.save_alone(folder)
    found = {"alone": alone, "folder": folder}
    for module, ranks in (("two_ranks", 2), ("four_ranks", 4)):
        session = Session(module, ranks, folder, seconds=480)
        try:
            found[module] = session.results()
            found[f"{module} ended"] = session.wait(), session.processes()
        finally:
            session.close()
        for path in folder.glob("rank*.json"):
            path.unlink()
    return found


def results(sessions, module, check):
    own = [result[check] for result in sessions[module]]
    for rank, found in enumerate(own):
        assert "failed" not in found, f"in rank {rank}: {found['failed']}"
    return [found["gave"] for found in own]


@pytest.mark.parametrize("check", [c.__name__ for c in two_ranks.CHECKS])
def test_two_ranks(sessions, check):
    found = results(sessions, "two_ranks", check)
    if check not in ("ranks_begin_equal", "divided_equals_undivided"):
        assert found[0] == found[1]


@pytest.mark.parametrize("check", [c.__name__ for c in four_ranks.CHECKS])
def test_four_ranks(sessions, check):
    found = results(sessions, "four_ranks", check)
    if check != "divided_equals_undivided":
        assert all(other == found[0] for other in found)


def test_ranks_that_began_differently_begin_equal(sessions):
    first, second = results(sessions, "two_ranks", "ranks_begin_equal")
    assert first["before"] != second["before"]
    assert (first["after"], first["network"]) == (second["after"], second["network"])


@pytest.mark.parametrize("module", ["two_ranks", "four_ranks"])
def test_shares_of_the_state_make_the_whole(sessions, module):
    found = results(sessions, module, "divided_equals_undivided")
    assert len(found[0]) > 5
    for name, (_, total) in found[0].items():
        # What does not apply to a shape is a placeholder of four bytes in every process.
        slots = [slot for slot in tinyms_core.optimizer_info(name).state if slot.per_parameter and slot.shape != "like"]
        placeholders = 4 * len(found) * len(slots) * len(SHAPES)
        assert total <= sum(each[name][0] for each in found) <= total + placeholders


@pytest.mark.parametrize("module", ["two_ranks", "four_ranks"])
def test_checkpoints_continue_alike_whatever_the_number_of_ranks(sessions, module):
    for found in results(sessions, module, "checkpoints_are_whole"):
        assert found == sessions["alone"]


@pytest.mark.parametrize("name", SAVED)
@pytest.mark.parametrize("saved_by", ["two", "four"])
def test_a_checkpoint_of_many_ranks_is_that_of_one(sessions, name, saved_by):
    results(sessions, "two_ranks", "checkpoints_are_whole")
    results(sessions, "four_ranks", "checkpoints_are_whole")
    path = str(sessions["folder"] / f"{name}.{saved_by}.safetensors")
    loaded = mindspore.load_checkpoint(path, format="safetensors")
    own = parameters(seed=3)
    optimizer = tinyms_core.create_optimizer(name, own, **arguments(name))
    names = [p.name for p in optimizer.get_parameters()]
    assert sorted(loaded) == sorted([*names, *(["epoch"] if saved_by == "two" else [])])
    mindspore.load_param_into_net(optimizer, loaded, strict_load=True)
    for step in (5, 6):
        optimizer(gradients(own, step))
    assert digest(own) == sessions["alone"][name]


def test_one_process_goes_on_from_what_four_saved_of_thor(sessions):
    results(sessions, "four_ranks", "thor_goes_on_from_checkpoints")
    thor_ranks.to_the_end(sessions["folder"], thor_ranks.go_on(sessions["folder"], 4, 1, 0))


@pytest.mark.parametrize("module", ["two_ranks", "four_ranks"])
def test_all_processes_end_by_themselves(sessions, module):
    assert sessions[f"{module} ended"] == (0, [])

"""A killed process is an error for the others within a bounded time, and costs no checkpoint."""

from __future__ import annotations

import mindspore
import pytest

from tests.distributed.faults import FILE, KILLED_AT, SAVED_EVERY, STEPS
from tests.distributed.launch import Session

# Seconds that a process waits for another in an exchange; MindSpore's default is 30. Less is too little for a busy
# machine: processes that start together come to their first exchange at different times.
WAIT = 15
# What an error may come later than that, on a busy machine.
LATER = 15


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    """Two processes of which one is killed, then two that go on from the checkpoint, of which one is killed again."""
    folder = tmp_path_factory.mktemp("faults")
    found = {"folder": folder}
    for table in ("killed", "restarted"):
        # On one machine msrun ends all workers when one fails. Without it they are as on several machines.
        session = Session(f"faults:{table}", 2, folder, seconds=240, wait=WAIT, joined=False)
        try:
            (results,) = session.results(0)
        finally:
            session.close()
        found["left over"] = session.processes()
        (folder / "rank0.json").unlink()
        for check, result in results.items():
            assert "failed" not in result, result["failed"]
            found[check] = result["gave"]
    return found


def show(fault, seconds):
    """Print how long a fault took to become an error of the others; pytest shows it with -rP."""
    print(f"{fault}: {seconds:.2f} s, where processes wait {WAIT} s")


def test_a_late_rank_is_an_error_in_both_and_nothing_is_exchanged_afterwards(tmp_path):
    session = Session("faults:late", 2, tmp_path, seconds=240, wait=WAIT, joined=False)
    try:
        both = [result["a_rank_is_late"] for result in session.results()]
    finally:
        session.close()
    assert session.processes() == []
    for rank, found in enumerate(both):
        assert "failed" not in found, f"in rank {rank}: {found['failed']}"
        gave = found["gave"]
        # Rank 1 may find what rank 0 sent in time, and see its next exchange fail.
        assert len(gave["errors"]) >= 3 - rank
        assert "an agreement failed, because another process has ended, raised an error, or" in gave["errors"][0]
        assert "was not begun, because an earlier exchange failed" in gave["errors"][-1]
        assert gave["agreements"] == 0
        assert gave["seconds"] < WAIT + LATER
        show(f"rank {rank}, of which one is late", gave["seconds"])
        assert gave["refused in"] < WAIT / 2
        assert "a divided step was not begun" in gave["refused"]


def test_a_rank_killed_at_a_refresh_of_thor_is_an_error_and_changes_nothing(tmp_path):
    session = Session("faults:thor", 2, tmp_path, seconds=240, wait=WAIT, joined=False)
    try:
        (found,) = session.results(0)
    finally:
        session.close()
    assert session.processes() == []
    (check,) = found.values()
    assert "failed" not in check, check["failed"]
    gave = check["gave"]
    assert gave["seconds"] < WAIT + LATER
    assert gave["said"].startswith("rank 0 of 2: thor's average of factors at step 3 failed")
    assert gave["unchanged"]
    assert gave["later"] < WAIT / 2
    assert "was not begun, because an earlier exchange failed" in gave["refused"]


def test_a_rank_killed_in_a_step_is_an_error_within_the_time(sessions):
    gave = sessions["a_rank_is_killed_between_its_update_and_the_exchange"]
    show("a process is killed in the middle of a divided step", gave["seconds"])
    assert gave["seconds"] < WAIT + LATER
    assert "rank 0 of 2: the update of parameters failed" in gave["said"]
    assert f"within {WAIT} s" in gave["said"]
    assert gave["step in the checkpoint"] == KILLED_AT // SAVED_EVERY * SAVED_EVERY


def test_nothing_is_exchanged_after_a_failure(sessions):
    later = sessions["a_rank_is_killed_between_its_update_and_the_exchange"]["later"]
    show("each later call", max(seconds for seconds, _ in later))
    # Without another wait for the process that is gone.
    assert max(seconds for seconds, _ in later) < WAIT / 2
    for what, (_, said) in zip(
        ("a divided step", "saving a checkpoint", "loading", "an agreement"), later, strict=True
    ):
        assert said.startswith(f"rank 0 of 2: {what}")
        assert "was not begun, because an earlier exchange failed" in said
        assert "The failure was: rank 0 of 2: the update of parameters failed" in said


def test_a_restart_reproduces_the_trajectory(sessions):
    gave = sessions["training_goes_on_from_the_checkpoint"]
    assert gave["began"] == KILLED_AT // SAVED_EVERY * SAVED_EVERY
    assert gave["restarted"] == gave["undisturbed"]


def test_a_rank_killed_while_saving_leaves_the_old_checkpoint(sessions):
    gave = sessions["a_rank_is_killed_while_a_checkpoint_is_saved"]
    show("a process is killed while a checkpoint is saved", gave["seconds"])
    assert gave["seconds"] < WAIT + LATER
    assert "saving a checkpoint failed" in gave["said"]
    assert (gave["unchanged"], gave["left"]) == (True, [])
    loaded = mindspore.load_checkpoint(str(sessions["folder"] / FILE), format="safetensors")
    assert int(loaded["global_step"].asnumpy()[0]) == STEPS


def test_no_process_is_left(sessions):
    assert sessions["left over"] == []

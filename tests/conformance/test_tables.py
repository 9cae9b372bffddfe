"""The tables that plugins ship: there for every optimizer, read without MindSpore, refused where they say nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from mindspore import nn

import tinyms_core
from tests.conformance.defects import tables
from tests.conformance.defects.sound import SoundMomentum
from tinyms_core.conformance import PeerOptions, Refused, run_checks
from tinyms_core.conformance.peers import peer_class
from tinyms_core.conformance.runner import subject_of
from tinyms_core.registry import InvalidSpecError, OptimizerSpec, optimizer_info
from tinyms_core.registry.probe import resolve

FIELDS = ("refused", "accepted", "peers")
SPECS = [optimizer_info(name) for name in tinyms_core.list_optimizers()]


def has_peer(spec: OptimizerSpec) -> bool:
    """Whether `mindspore.nn` has an optimizer of the same name."""
    return hasattr(nn, resolve(spec.implementation).__name__)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_every_optimizer_has_its_tables(spec: OptimizerSpec) -> None:
    # What an optimizer around another one, or of a network, computes has no peer that runs.
    peerless = spec.capabilities.wraps_optimizer or spec.capabilities.consumes_network or not has_peer(spec)
    fields = FIELDS[:2] if peerless else FIELDS
    assert all(resolve(getattr(spec, field)) for field in fields)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_nothing_is_missing_for_which_the_kit_would_skip_a_check(spec: OptimizerSpec) -> None:
    if spec.capabilities.wraps_optimizer:
        pytest.skip("it has neither a peer nor a kernel for a whole step")
    if spec.capabilities.consumes_network:
        pytest.skip("the kit rules these checks out by that capability, since they build optimizers from parameters")
    subject = subject_of(spec, "pynative", "float32")
    assert not has_peer(spec) or issubclass(peer_class(subject), nn.Optimizer)
    assert subject.optimizer_class.rule or subject.optimizer_class.update.host
    assert spec.distribution


def test_tables_are_read_without_mindspore() -> None:
    modules = sorted({getattr(spec, field).partition(":")[0] for spec in SPECS for field in FIELDS} - {""})
    program = (
        f"import sys, {', '.join(modules)}; sys.exit(str([m for m in ('mindspore', 'numba') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("field", FIELDS)
def test_a_place_that_is_none_is_refused(field: str) -> None:
    changes: dict[str, Any] = {field: "tables.REFUSED"}
    with pytest.raises(InvalidSpecError, match=rf"OptimizerSpec\.{field} must be 'module:TABLE', or empty"):
        replace(SoundMomentum.spec, **changes)


@pytest.mark.parametrize(
    ("row", "error", "message"),
    [
        (lambda: Refused("momentum", 1, "TypeError", "momentum"), TypeError, "'error' must be a class of exceptions"),  # type: ignore[arg-type]
        (lambda: Refused("momentum", 1, TypeError, "[0, inf)"), ValueError, "'message' is no regular expression"),
        (lambda: Refused("momentum", 1, TypeError, ""), ValueError, "'message' is empty"),
        (lambda: PeerOptions({}, "torch", "why"), ValueError, "'oracle' must be one of"),  # type: ignore[arg-type]
        (lambda: PeerOptions({"momentum": 0.5}), ValueError, "'why' must say what the row is about"),
        (lambda: PeerOptions({}, why="why", grouped="torch"), ValueError, "'grouped' must be 'reference', or empty"),  # type: ignore[arg-type]
        (lambda: PeerOptions({}, "reference", "why", "mindspore.nn"), ValueError, "'grouped' must be 'reference'"),
    ],
)
def test_a_row_that_says_nothing_is_refused(row: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        row()


def test_a_sound_optimizer_keeps_its_tables() -> None:
    spec = replace(SoundMomentum.spec, refused=f"{tables.__name__}:REFUSED", accepted=f"{tables.__name__}:ACCEPTED")
    results = run_checks(spec, checks=["declared_*"])
    assert [result.status for result in results] == ["passed", "passed"]


def test_without_tables_the_checks_say_which_to_declare() -> None:
    results = run_checks(SoundMomentum.spec, checks=["declared_*", "peer_trajectories"])
    assert {result.status for result in results} == {"skipped"}
    assert {result.reason.rpartition(".")[2] for result in results} == set(FIELDS)


def test_a_table_of_other_things_is_a_failure() -> None:
    spec = replace(SoundMomentum.spec, refused=f"{tables.__name__}:PEERS", accepted=f"{tables.__name__}:__name__")
    reasons = [result.reason for result in run_checks(spec, checks=["declared_*"])]
    assert "has a row that is no Refused" in reasons[0]
    assert "must be a tuple with rows in it" in reasons[1]


def test_options_that_are_no_arguments_are_a_failure() -> None:
    spec = replace(optimizer_info("sgd"), name="misspelled", peers=f"{__name__}:MISSPELLED")
    (result,) = run_checks(spec, checks=["peer_trajectories"])
    assert "the table of options has ['momentun']" in result.reason


MISSPELLED = (PeerOptions({"momentun": 0.5}, why="misspelled"),)


def test_groups_that_mindspore_has_right_are_not_the_references() -> None:
    spec = replace(optimizer_info("sgd"), name="accused", peers=f"{__name__}:ACCUSED_WITH_GROUPS")
    (result,) = run_checks(spec, checks=["peer_trajectories"])
    assert re.search(r"mindspore\.nn is right, .* \(momentum=0\.9, grouped\)", result.reason)


ACCUSED_WITH_GROUPS = (PeerOptions({"momentum": 0.9}, why="momentum", grouped="reference"),)


class AdamWeightDecay(SoundMomentum):
    """Of the same name as an optimizer of ``mindspore.nn`` that has other arguments."""


def test_an_option_that_mindspore_has_not_is_no_row_of_its() -> None:
    spec = replace(SoundMomentum.spec, name="strange", implementation=AdamWeightDecay, peers=f"{tables.__name__}:PEERS")
    (result,) = run_checks(spec, checks=["peer_trajectories"])
    assert "mindspore.nn's cannot be built (learning_rate=0.1, momentum=0.8): TypeError" in result.reason


@pytest.mark.parametrize(
    ("argument", "left_out", "message"),
    [
        ("eps", ValueError, r"no row for 'eps' with a number outside \(0, inf\) \(ValueError\)"),
        ("eps", TypeError, r"no row for 'eps' with a value of a wrong type \(TypeError\)"),
        ("learning_rate", ValueError, r"no row for 'learning_rate' with a number outside \[0, inf\) \(ValueError\)"),
        ("learning_rate", TypeError, r"no row for 'learning_rate' with a value of a wrong type \(TypeError\)"),
    ],
)
def test_several_numbers_and_a_rate_that_needs_a_flag_are_not_left_out(
    argument: str, left_out: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = optimizer_info("adafactor")
    rows = [row for row in resolve(spec.refused) if row.argument != argument or row.error is not left_out]
    # NaN is outside of nothing, and that a flag rules a rate out says nothing about which rates there are.
    rows.append(Refused("eps", (1e-30, float("nan")), ValueError, "eps"))
    rows.append(Refused("learning_rate", 0.1, ValueError, "relative_step=True"))
    monkeypatch.setitem(globals(), "INCOMPLETE", tuple(rows))
    (result,) = run_checks(replace(spec, refused=f"{__name__}:INCOMPLETE"), checks=["declared_refusals"])
    assert re.search(message, result.reason)

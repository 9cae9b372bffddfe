"""Random scenarios: every optimizer follows its oracle through them, and planted defects are found.

``TINYMS_FUZZ_EXAMPLES=500`` plays as many of each optimizer in PyNative, other ones in each run.
"""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

import tinyms_core
from tests.conformance.defects import DEFECTS, TWINS
from tinyms_core.conformance import fuzz
from tinyms_core.registry import optimizer_info

ASKED = int(os.environ.get("TINYMS_FUZZ_EXAMPLES", "0"))
EXAMPLES = ASKED or 8
SEED = random.randrange(2**32) if ASKED else None

SPECS = [optimizer_info(name) for name in tinyms_core.list_optimizers()]
COMPARED = [spec for spec in SPECS if spec.oracle and not spec.capabilities.consumes_network]

# Of each kind of thing that a scenario does, one defect that shows in it; with a seed where what it takes is rare, such
# that the first scenarios have it.
FOUND = {
    "eps_inside": None, "negative_state": None, "group_rate_ignored": None, "order_permutes_rates": 4,
    "late_schedule": 1, "cached_rate": None, "centralizes_nothing": 1, "counts_before_checking": None,
    "stale_buffers": None, "unsaved_step": None, "last_row_wins": None,
}  # fmt: skip


@pytest.mark.parametrize("spec", COMPARED, ids=lambda spec: spec.name)
def test_random_scenarios_hold(spec: Any) -> None:
    result = fuzz(spec, examples=EXAMPLES, seed=SEED)
    assert result.status == "passed", result.reason
    assert result.largest_errors


@pytest.mark.parametrize(("place", "spec"), list(enumerate(COMPARED)), ids=lambda value: getattr(value, "name", ""))
def test_random_scenarios_hold_in_a_graph(place: int, spec: Any) -> None:
    # A graph takes a second, so in each run without more examples each optimizer has one, in one of the modes.
    for mode in ("jit", "graph") if ASKED else (("jit", "graph")[place % 2],):
        result = fuzz(spec, examples=max(1, EXAMPLES // 20), mode=mode, seed=SEED)
        assert result.status == "passed", result.reason


def test_what_has_no_oracle_is_skipped_with_the_reason() -> None:
    spec = next(spec for spec in SPECS if spec not in COMPARED)
    result = fuzz(spec, examples=1)
    assert (result.status, bool(result.reason)) == ("skipped", True)


def test_bad_arguments_are_refused() -> None:
    spec = TWINS[0].spec
    with pytest.raises(ValueError, match="mode: one of"):
        fuzz(spec, mode="eager")
    with pytest.raises(ValueError, match="examples: must be at least 1"):
        fuzz(spec, examples=0)


@pytest.mark.parametrize("defect", [d for d in DEFECTS if d.name in FOUND], ids=lambda defect: defect.name)
def test_a_defect_is_found(defect: Any) -> None:
    result = fuzz(defect.spec, examples=300, shrink=False, seed=FOUND[defect.name])
    assert result.status == "failed"
    assert "scenario=Scenario(" in result.reason


def test_each_defect_to_find_exists() -> None:
    assert set(FOUND) <= {defect.name for defect in DEFECTS}


def test_scenarios_are_those_of_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinyms_core.conformance import scenario

    played: list[Any] = []
    monkeypatch.setattr(scenario, "play", lambda subject, drawn: played.append(drawn))
    for seed in (None, None, 3, 3, 4):
        fuzz(TWINS[0].spec, examples=5, seed=seed)
    runs = [played[first : first + 5] for first in range(0, 25, 5)]
    assert runs[0] == runs[1] != runs[2] == runs[3] != runs[4]

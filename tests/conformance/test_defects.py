"""The tests of the checks: each must notice the defects that were planted for it, and nothing in a sound optimizer."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from tests.conformance.defects import DEFECTS, TWINS, Defect
from tests.conformance.defects.page import PAGE, defects_page
from tinyms_core.conformance import list_checks, run_checks


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_defect_is_caught(defect: Defect) -> None:
    results = run_checks(defect.spec, checks=defect.caught_by, modes=defect.modes, dtypes=defect.dtypes)
    for name in defect.caught_by:
        own = [result for result in results if result.check == name]
        failed = [result for result in own if result.status == "failed"]
        assert failed, f"{name} does not notice that {defect.summary[0].lower()}{defect.summary[1:]} {own}"
        # An optimizer that merely falls over says nothing about the check, unless falling over is the defect.
        sign = defect.sign or r"^(?!it raised )"
        assert any(re.search(sign, result.reason) for result in failed), (
            f"{name} fails for another reason than the planted one: {[result.reason for result in failed]}"
        )


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.spec.name)
def test_sound_twin_passes(twin: Any) -> None:
    results = run_checks(twin.spec)
    wrong = [f"{r.check} ({r.mode}, {r.dtype}): {r.reason}" for r in results if r.status not in ("passed", "skipped")]
    assert not wrong, "\n".join(wrong)
    assert any(result.status == "passed" for result in results)


def test_each_check_has_a_defect() -> None:
    caught = {name for defect in DEFECTS for name in defect.caught_by}
    assert {check.name for check in list_checks()} - caught == set()


def test_each_named_check_exists() -> None:
    known = {check.name for check in list_checks()}
    assert {(defect.name, name) for defect in DEFECTS for name in defect.caught_by if name not in known} == set()


def test_defects_have_names_of_their_own() -> None:
    repeated = [name for name, count in Counter(defect.name for defect in DEFECTS).items() if count > 1]
    assert repeated == []


def test_page_lists_the_defects() -> None:
    assert PAGE.read_text(encoding="utf-8") == defects_page(), "write it anew: python -m tests.conformance.defects.page"

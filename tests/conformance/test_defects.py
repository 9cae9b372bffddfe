"""The tests of the checks: each must notice the defects that were planted for it, and nothing in a sound optimizer."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.defects import DEFECTS, TWINS, Defect
from tests.conformance.defects.page import PAGE, defects_page
from tinyms_core.conformance import list_checks, run_checks
from tinyms_core.registry import ENTRY_POINT_GROUP, register, unregister
from tinyms_core.registry.probe import resolve


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_defect_is_caught(
    defect: Defect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if defect.plugin:
        _install(defect, tmp_path)
        # What a new process sees; this one knows the optimizer by its specification.
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", ""))))
    if defect.kernels:
        register(defect.spec, kernels=defect.kernels)
        request.addfinalizer(lambda: unregister(defect.spec.name))
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


def _install(defect: Defect, folder: Path) -> None:
    """Write a plugin's module and its metadata to a folder."""
    distribution = defect.spec.distribution
    module = distribution.replace("-", "_")
    information = folder / f"{module}-1.0.dist-info"
    information.mkdir()
    information.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    information.joinpath("entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\n{module} = {module}\n")
    folder.joinpath(module).mkdir()
    folder.joinpath(module, "__init__.py").write_text(defect.plugin)


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.spec.name)
def test_sound_twin_passes(twin: Any) -> None:
    # In compiled modes only what is of those modes alone, and what defects of this very optimizer are planted for
    # there: a graph takes a second, and the kit's hundreds of them are run by the plugins' own tests.
    results = run_checks(twin.spec, modes=("pynative",))
    own = [d for d in DEFECTS if d.modes != ("pynative",) and _is_of(d, twin)]
    compiled = {name for defect in own for name in defect.caught_by}
    compiled |= {check.name for check in list_checks()} - {result.check for result in results}
    results += run_checks(twin.spec, checks=sorted(compiled), modes=("jit", "graph"))
    wrong = [f"{r.check} ({r.mode}, {r.dtype}): {r.reason}" for r in results if r.status not in ("passed", "skipped")]
    assert not wrong, "\n".join(wrong)
    assert {r.check for r in results} == {check.name for check in list_checks()}


def _is_of(defect: Defect, twin: type) -> bool:
    """Whether a defect is the twin with something wrong."""
    broken = resolve(defect.spec.implementation)
    return isinstance(broken, type) and issubclass(broken, twin)


def test_defects_in_compiled_modes_have_a_twin() -> None:
    compiled = [defect for defect in DEFECTS if defect.modes != ("pynative",)]
    assert [defect.name for defect in compiled if not any(_is_of(defect, twin) for twin in TWINS)] == []


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
    assert all(f"| `{defect.name}` |" in defects_page() for defect in DEFECTS)
    assert PAGE.read_text(encoding="utf-8") == defects_page(), "write it anew: python -m tests.conformance.defects.page"

"""What ``tinyms-optim new`` writes, installed far from this repository, and the tutorial that begins with it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "write-lion.md"
KINDS = ("elementwise", "layerwise", "custom")
# A part of the kit that is quick; the whole of it is in the tests that are written.
_PARTS = ("name_resolves", "metadata", "docstring", "listing", "declared", "golden", "group_rate", "touched_rows")
QUICK = ("--mode", "pynative", *(argument for part in _PARTS for argument in ("-k", part)))


@pytest.fixture(scope="module")
def programs(tmp_path_factory, core_wheel, make_environment):
    """The folder of the programs of an environment with the core's wheel in it, and nothing of this repository."""
    return make_environment(tmp_path_factory.mktemp("author") / "environment", core_wheel)


@pytest.fixture(scope="module")
def written(programs, run, install, tmp_path_factory):
    """A folder with a new distribution of each kind, which are installed from there."""
    folder = tmp_path_factory.mktemp("written")
    for kind in KINDS:
        run(programs / "tinyms-optim", "new", f"my_{kind}", "--kind", kind, cwd=folder)
    install(programs, *(part for kind in KINDS for part in ("-e", folder / f"my_{kind}")))
    return folder


def _checked(programs: Path, run, name: str, report: Path) -> set[str]:
    run(programs / "tinyms-optim", "check", name, *QUICK, "--json", report, GLOG_v="3")
    results = json.loads(report.read_text())["results"]
    assert len(results) > 18
    return {result["status"] for result in results}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_keeps_the_contract_as_it_is_written(programs, written, run, tmp_path, kind):
    assert _checked(programs, run, f"my_{kind}", tmp_path / "report.json") == {"passed", "skipped"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_tests_that_are_written_pass(programs, written, run, kind):
    arguments = ("-q", "tests/test_update.py", "--doctest-modules", "src")
    output = run(programs / "python", "-m", "pytest", *arguments, cwd=written / f"my_{kind}", GLOG_v="3")
    assert re.search(r"^[34] passed", output, re.MULTILINE), output


def test_the_kit_is_collected_whole(programs, written, run):
    output = run(
        programs / "python", "-m", "pytest", "--collect-only", "-q", cwd=written / "my_elementwise", GLOG_v="3"
    )
    assert output.count("test_conformance[") > 200


def test_the_tutorials_commands_run_and_its_diff_makes_lion(programs, run, install, tmp_path):
    page = PAGE.read_text(encoding="utf-8")
    diff = re.search(r"^```diff\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[1]
    added = [line for line in diff.splitlines() if line.startswith("+") and not line.startswith("+++")]
    assert len(added) <= 40
    assert f"{len(added)} lines" in page
    folder = tmp_path
    for command in re.findall(r"^\$ (.+)$", page, re.MULTILINE):
        program, *arguments = shlex.split(command)
        if program == "cd":
            folder = folder / arguments[0]
        elif program == "git":
            (folder / "lion.diff").write_text(diff, encoding="utf-8")
            subprocess.run([program, *arguments], cwd=folder, check=True)
        elif arguments[:3] == ["-m", "pip", "install"]:
            if "-e" in arguments:
                install(programs, "-e", f"{folder}/{arguments[-1]}")
        elif arguments[:2] == ["check", "lion_demo"] and len(arguments) == 2:
            assert _checked(programs, run, "lion_demo", tmp_path / "report.json") == {"passed", "skipped"}
        elif program != "source" and "venv" not in arguments:
            run(programs / program, *arguments, cwd=folder, GLOG_v="3")
    spec = json.loads(run(programs / "tinyms-optim", "info", "lion_demo", "--json"))
    assert [argument["name"] for argument in spec["hyperparameters"]][1:3] == ["beta1", "beta2"]

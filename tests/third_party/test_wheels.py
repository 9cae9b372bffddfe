"""Every wheel of this repository, installed by ``tinyms-core[all]`` where nothing else of it is."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.packaging.builds import FOLDERS, ROOT, build_all

# Small, without dependencies of its own, and elementwise: its checks of numbers, state and identity take seconds.
QUICK = "lion"
_PARTS = ("identity", "golden", "group_rate", "checkpoint_resume", "docstring")


@pytest.fixture(scope="module")
def environment(tmp_path_factory, make_environment) -> Path:
    """The folder of the programs of a fresh environment with all wheels in it."""
    folder = tmp_path_factory.mktemp("all")
    built = build_all(folder)
    core = built.pop("tinyms-core")[1]
    return make_environment(
        folder / "environment", f"tinyms-core[all] @ {core.as_uri()}", *(w for _, w in built.values())
    )


def test_all_optimizers_are_there_and_well(environment, run, tmp_path):
    report = json.loads(run(environment / "tinyms-optim", "doctor", "--json", cwd=tmp_path))
    assert report["healthy"]
    assert len(report["plugins"]) == len(FOLDERS) - 1
    for plugin in report["plugins"]:
        assert plugin["status"] == "ok"
        assert Path(plugin["location"]).is_relative_to(environment.parent)
        assert not Path(plugin["location"]).is_relative_to(ROOT)


def test_a_wheel_keeps_the_contract(environment, run, tmp_path):
    report = tmp_path / "report.json"
    chosen = [argument for part in _PARTS for argument in ("-k", part)]
    run(
        environment / "tinyms-optim", "check", QUICK, "--mode", "pynative", "--jobs", "1", *chosen, "--json", report,
        cwd=tmp_path, GLOG_v="3",
    )  # fmt: skip
    results = json.loads(report.read_text())["results"]
    assert len(results) > 15
    assert {result["status"] for result in results} <= {"passed", "skipped"}


def test_types_are_there_for_who_uses_it(environment, run, tmp_path):
    script = "import importlib.resources as r; print(*(r.files(n).joinpath('py.typed').is_file() for n in {names}))"
    names = [folder.name for folder in FOLDERS[1:]]
    packages = ["tinyms_core", *(f"tinyms_{name}" for name in names)]
    assert set(run(environment / "python", "-c", script.format(names=packages), cwd=tmp_path).split()) == {"True"}


def test_the_quick_start_is_as_it_is_written(environment, run, tmp_path):
    """Each command of the page, in the order of the page, in an empty folder; the program in it is the page's."""
    page = (ROOT / "docs" / "tutorials" / "quick-start.md").read_text(encoding="utf-8")
    (tmp_path / "train.py").write_text(re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[0])
    done = []
    for command in re.findall(r"^\$ (.+)$", page, re.MULTILINE):
        program, *arguments = shlex.split(command)
        if program == "tinyms-optim" or arguments == ["train.py"]:
            name = "python" if program.startswith("python") else program
            done.append(run(environment / name, *arguments, cwd=tmp_path, GLOG_v="3"))
    doctor, listed, info, trained, program = done
    assert "adamw" in doctor
    assert "lion" in listed
    assert "wₜ = wₜ₋₁ - η λ wₜ₋₁" in info
    assert "tinyms-train/loss-curves.png" in trained
    assert (tmp_path / "tinyms-train" / "loss-curves.png").is_file()
    assert [line.split()[0] for line in program.splitlines()] == ["0", "100", "200"]

"""`new`: what it writes, and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinyms_core.cli.new.templates import KINDS
from tinyms_core.registry import OptimizerRegistry, OptimizerSpec

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_LONGEST = "a_name_that_is_as_long_as_may_be"
_FILES = {
    ".github/workflows/tests.yml", ".gitignore", "CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml",
    "src/lion_demo_optimizer/__init__.py", "src/lion_demo_optimizer/contract.py",
    "src/lion_demo_optimizer/optimizer.py", "src/lion_demo_optimizer/py.typed",
    "src/lion_demo_optimizer/reference.py", "tests/test_conformance.py", "tests/test_update.py",
}  # fmt: skip


def _text(folder: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", KINDS)
def test_it_writes_a_whole_distribution(run, tmp_path, kind):
    result = run("new", "lion-demo", "--kind", kind, "--output", str(tmp_path), "--author", 'Jane "J" Doe')
    assert result.exit_code == 0, result.output
    folder = tmp_path / "lion_demo"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == _FILES
    assert [path.name for path in tmp_path.iterdir()] == ["lion_demo"]
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == "lion-demo-optimizer"
    assert project["authors"] == [{"name": 'Jane "J" Doe'}]
    assert project["entry-points"] == {"tinyms.optimizers": {"lion_demo": "lion_demo_optimizer"}}
    assert project["dependencies"] == ["tinyms-core>=0.1,<0.2"]
    assert 'Jane "J" Doe' in (folder / "LICENSE").read_text(encoding="utf-8")
    assert "${{ matrix.python }}" in (folder / ".github/workflows/tests.yml").read_text(encoding="utf-8")
    assert "class LionDemo(Optimizer)" in _text(folder)
    for step in (f"cd {folder}", "pip install -e", "tinyms-optim check lion_demo", "pytest"):
        assert step in result.stdout


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["x", _LONGEST])
def test_what_it_writes_is_clean_whatever_the_length_of_the_name(run, tmp_path, kind, name):
    assert len(name) in (1, 32)
    assert run("new", name, "--kind", kind, "--output", str(tmp_path)).exit_code == 0
    for command in (["check", "."], ["format", "--check", "."]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command], cwd=tmp_path / name, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_writes_is_typed(run, tmp_path_factory, tmp_path, kind):
    assert run("new", "lion_demo", "--kind", kind, "--output", str(tmp_path)).exit_code == 0
    cache = tmp_path_factory.getbasetemp() / "mypy_cache"
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(cache)],
        cwd=tmp_path / "lion_demo",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "cannot be an optimizer's name"),
        ("3d", "cannot be an optimizer's name"),
        ("LionDemo", "'lion_demo' would do"),
        ("lion demo!", "'lion_demo' would do"),
        ("_lion_", "'lion' would do"),
        ("lion__demo", "'lion_demo' would do"),
        ("é", "cannot be an optimizer's name"),
        ("../lion", "'lion' would do"),
        ("a" * 33, "at most 32"),
        ("lambda", "would make 'lambda' a name in Python"),
        ("none", "would make 'None' a name in Python"),
        ("math", "would make 'math' a name in Python"),
        ("optimizer", "would make 'Optimizer' a name in Python"),
        ("adam", "is the name of an optimizer that 'tinyms-adam' has installed"),
        ("Adam-Weight_decay".lower(), "that 'tinyms-adam-weight-decay' has installed"),
        ("lion", "is the name of an optimizer that 'tinyms-lion' has"),
    ],
)
def test_a_name_that_cannot_be_is_refused(run, tmp_path, name, message):
    result = run("new", name, "--output", str(tmp_path))
    assert result.exit_code == 2
    assert "NAME:" in result.stderr
    assert message in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_name_of_another_plugin_or_package_is_refused(run, use_registry, tmp_path, monkeypatch):
    registry = OptimizerRegistry(search_path=[], environment={})
    registry.register(OptimizerSpec("mine", "collections:OrderedDict", aliases=("my_own",)))
    with use_registry(registry):
        result = run("new", "my_own", "--output", str(tmp_path / "a"))
    assert result.exit_code == 2
    assert "'in-process' has installed" in result.stderr
    (tmp_path / "taken_optimizer.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    result = run("new", "taken", "--output", str(tmp_path / "a"))
    assert result.exit_code == 2
    assert "the package would be 'taken_optimizer', which is installed already" in result.stderr


def test_a_folder_that_exists_is_left_as_it_is(run, tmp_path):
    (tmp_path / "lion_demo").mkdir()
    result = run("new", "lion_demo", "--output", str(tmp_path))
    assert result.exit_code == 2
    assert "exists already" in result.stderr
    assert not list((tmp_path / "lion_demo").iterdir())


def test_a_folder_to_write_in_must_exist(run, tmp_path):
    result = run("new", "lion_demo", "--output", str(tmp_path / "absent"))
    assert result.exit_code == 2
    assert "is not a folder; make it first" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_nothing_behind(run, tmp_path, monkeypatch):
    def fail(self: Path, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", fail)
    result = run("new", "lion_demo", "--output", str(tmp_path))
    assert result.exit_code == 2
    assert "cannot be written: No space left on device" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("author", ["", "  ", "one\ntwo"])
def test_an_author_is_a_line_of_text(run, tmp_path, author):
    result = run("new", "lion_demo", "--output", str(tmp_path), "--author", author)
    assert result.exit_code == 2
    assert "--author must be a line of text" in result.stderr


def test_without_a_folder_it_writes_into_the_current_one(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("new", "lion_demo")
    assert result.exit_code == 0, result.output
    assert os.listdir(tmp_path) == ["lion_demo"]
    assert "The lion_demo developers" in _text(tmp_path / "lion_demo")

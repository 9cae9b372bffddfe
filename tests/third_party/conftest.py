"""Programs in environments of their own, outside of the repository and of its environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
Run = Callable[..., str]


def _uv() -> str | None:
    return os.environ.get("UV") or shutil.which("uv")


@pytest.fixture(scope="session")
def run() -> Run:
    """Run a program without what this process's own environment adds, and return its output."""

    def run_program(*command: object, **options: Any) -> str:
        variables = {key: options.pop(key) for key in list(options) if key.isupper() or key == "GLOG_v"}
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST", "VIRTUAL_ENV"))}
        done = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            env={**clean, **variables},
            check=False,
            **options,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run_program


@pytest.fixture(scope="session")
def build_wheel(run: Run) -> Callable[[Path, Path], Path]:
    """Build the wheel of a folder of sources into another folder."""

    def build(source: Path, target: Path) -> Path:
        before = set(target.glob("*.whl"))
        run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target, source)
        (wheel,) = set(target.glob("*.whl")) - before
        return wheel

    return build


@pytest.fixture(scope="session")
def core_wheel(build_wheel: Callable[[Path, Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The core's wheel."""
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="session")
def install(run: Run) -> Callable[..., None]:
    """Install into the environment that a folder of programs belongs to."""

    def install_there(programs: Path, *wanted: object) -> None:
        python, uv = programs / "python", _uv()
        run(*([uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]), *wanted)

    return install_there


@pytest.fixture(scope="session")
def make_environment(run: Run, install: Callable[..., None]) -> Callable[..., Path]:
    """Make an environment in a folder, with something installed; return the folder of its programs."""

    def make(folder: Path, *wanted: object) -> Path:
        uv = _uv()
        run(*([uv, "venv", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]), folder)
        install(folder / "bin", *wanted)
        return folder / "bin"

    return make

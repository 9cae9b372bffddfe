"""Distributions that are written to a folder, so that plugins of every kind can be installed and broken."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import dedent

import pytest

from tinyms_core.registry import ENTRY_POINT_GROUP, OptimizerRegistry

HEADER = "from tinyms_core.registry import Capabilities, KernelSpec, OptimizerSpec, StateSlot, hookimpl\n"


class Installation:
    """A folder of distributions on the import path."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def install(
        self,
        distribution: str,
        source: str,
        *,
        entries: Sequence[str] = (),
        module: str = "",
        folder: str = "",
        version: str = "1.0",
    ) -> None:
        """Write a distribution; its entry point is the distribution's name without its first part."""
        root = self.path / folder
        module = module or distribution.replace("-", "_")
        short_name = distribution.partition("-")[2]
        information = root / f"{distribution.replace('-', '_')}-{version}.dist-info"
        information.mkdir(parents=True)
        information.joinpath("METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        lines = "\n".join(entries or [f"{short_name} = {module}"])
        information.joinpath("entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\n{lines}\n")
        self.write(module, HEADER + dedent(source), folder)

    def install_good(self, distribution: str = "acme-good", name: str = "", **more: object) -> None:
        """Write a distribution with one sound optimizer, named as its entry point unless told."""
        module = distribution.replace("-", "_")
        name = name or distribution.partition("-")[2].replace("-", "_")
        self.write(f"{module}_classes", "class Sound:\n    pass\n")
        self.install(
            distribution,
            f"""
            @hookimpl
            def tinyms_optimizers():
                return [OptimizerSpec({name!r}, "{module}_classes:Sound")]
            """,
            **more,  # type: ignore[arg-type]
        )

    def write(self, module: str, source: str, folder: str = "") -> None:
        """Write a module."""
        (self.path / folder / f"{module}.py").write_text(dedent(source))
        importlib.invalidate_caches()

    def registry(self, *folders: str, **environment: str) -> OptimizerRegistry:
        """Return a registry that sees this folder alone."""
        paths = [str(self.path / folder) for folder in folders or [""]]
        return OptimizerRegistry(search_path=paths, environment=environment)


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """An empty folder of distributions, whose modules are forgotten afterwards."""
    path = tmp_path / "installed"
    path.mkdir()
    monkeypatch.syspath_prepend(str(path))
    before = set(sys.modules)
    yield Installation(path)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(path)):
            del sys.modules[name]

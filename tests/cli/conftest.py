"""A runner for commands, and a table of tiny shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tinyms_core.cli.bench.shapes import SHAPE_SETS, ShapeSet
from tinyms_core.cli.main import cli
from tinyms_core.registry import api
from tinyms_core.registry.registry import OptimizerRegistry

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Run ``tinyms-optim`` with arguments in this process."""
    # Wide, so that no cell of a table is folded.
    runner = CliRunner(env={"COLUMNS": "250"})

    def invoke(*arguments: str) -> Result:
        return runner.invoke(cli, list(arguments), prog_name="tinyms-optim")

    return invoke


@pytest.fixture
def tiny_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sets whose steps take no time."""
    for name, shapes in (("large", ((4, 3), (5,))), ("small", ((2,),))):
        monkeypatch.setitem(SHAPE_SETS, name, lambda name=name, shapes=shapes: ShapeSet(name, shapes))


@pytest.fixture
def use_registry(monkeypatch: pytest.MonkeyPatch) -> Callable[[OptimizerRegistry], Any]:
    """Let the commands see another registry than the process's inside a ``with`` block."""

    @contextmanager
    def use(registry: OptimizerRegistry) -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(api, "_DEFAULT", registry)
            yield

    return use

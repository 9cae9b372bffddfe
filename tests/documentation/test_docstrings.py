"""Every example in a docstring runs, and every public name has what a docstring should have."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import tinyms_core
from tinyms_core.registry import optimizer_info

PACKAGES = [
    "tinyms_core",
    *sorted({optimizer_info(n).implementation_name.split(".")[0] for n in tinyms_core.list_optimizers()}),
]


def modules():
    for package in PACKAGES:
        root = importlib.import_module(package)
        yield package
        for found in pkgutil.walk_packages(root.__path__, f"{package}."):
            yield found.name


def examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in modules():
        for found in finder.find(importlib.import_module(name), name):
            if found.examples:
                yield pytest.param(found, id=found.name)


@pytest.mark.parametrize("example", list(examples()))
def test_example_runs(example):
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL)
    report: list[str] = []
    runner.run(example, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


@pytest.mark.parametrize("name", sorted(set(tinyms_core.__all__) - {"__version__", "REQUIRED", "math"}))
def test_public_name_is_documented(name):
    thing = getattr(tinyms_core, name)
    text = inspect.getdoc(thing)
    assert text, f"{name} has no docstring"
    first = text.splitlines()[0]
    assert len(first) < 121, first
    if inspect.isroutine(thing):
        arguments = [p for p in inspect.signature(thing).parameters if p not in ("self", "cls")]
        for argument in arguments:
            assert f"{argument}:" in text, f"{name}: the argument {argument!r} is not documented"

"""Every Python block of the README and the documentation runs, in order, page by page."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import mindspore
import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

from tests.documentation.pages import PAGES as GENERATED

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/README.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # MindSpore's mixed precision leaves folders before the standard library.
    monkeypatch.setattr(sys, "path", [*sys.path])
    document = Sybil(parsers=[PythonCodeBlockParser()], path=str(ROOT)).parse(page)
    # MindSpore looks the names of a compiled function up in its module.
    module = ModuleType("documentation_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    document.namespace = vars(module)
    try:
        for example in document.examples():
            example.evaluate()
    finally:
        mindspore.set_context(mode=mindspore.PYNATIVE_MODE)


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


@pytest.mark.parametrize("page", GENERATED, ids=lambda page: page.name)
def test_generated_page_is_current(page):
    assert page.read_text(encoding="utf-8") == GENERATED[page](), "run: python -m tests.documentation.pages"

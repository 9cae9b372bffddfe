"""What mkdocs calls while it builds the site: pages that are made then, formulas, and the order of the pages."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[3]
if str(ROOT) not in sys.path:
    # mkdocs loads this file by its path.
    sys.path.insert(0, str(ROOT))

from tests.documentation.website import formulas, optimizer_pages  # noqa: E402

# The folders of the documentation, in the order of the site; pages are found in them.
_SECTIONS = {
    "tutorials": "Tutorials",
    "how-to": "How-to",
    "reference": "Reference",
    "reference/optimizers": "Optimizers",
    "reference/api": "API",
    "explanation": "Explanation",
}
_FIRST = ("train-by-name", "write-lion", "write-a-plugin", "choose-an-optimizer", "index")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Have formulas drawn."""
    fence = {"name": "math", "class": "math", "format": formulas.display}
    config.mdx_configs.setdefault("pymdownx.superfences", {})["custom_fences"] = [fence]
    code = {"name": "math", "class": "math", "format": formulas.inline}
    config.mdx_configs.setdefault("pymdownx.inlinehilite", {})["custom_inline"] = [code]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of optimizers, and put all pages in order."""
    made = {
        optimizer_pages.page_of(spec): optimizer_pages.optimizer_page(spec)
        for spec in optimizer_pages.optimizer_specs()
    }
    made[f"{optimizer_pages.FOLDER}/index.md"] = optimizer_pages.index_page()
    for path, content in made.items():
        files.append(File.generated(config, path, content=content))
    config.nav = navigation({file.src_uri: file.content_string for file in files.documentation_pages()})
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to plugins to the pages of their optimizers."""
    return optimizer_pages.from_documentation(markdown, page.file.src_uri)


def navigation(texts: dict[str, str]) -> list[Any]:
    """The site's navigation: every page, by section and then by title.

    Arguments:
        texts: the pages in Markdown, by their paths.
    """
    nav: list[Any] = ["index.md"]
    entries: dict[str, list[Any]] = {}
    for folder, title in _SECTIONS.items():
        own = [path for path in texts if path.rpartition("/")[0] == folder]
        entries[folder] = sorted(own, key=lambda path: _order(path, texts[path]))
        parent = folder.rpartition("/")[0]
        (entries[parent] if parent else nav).append({title: entries[folder]})
    nav.append({"Gallery": "gallery/index.md"})
    return nav


def _order(path: str, text: str) -> tuple[int, str]:
    stem = Path(path).stem
    heading = re.search(r"^# (.+)$", text, re.MULTILINE)
    return (_FIRST.index(stem) if stem in _FIRST else len(_FIRST)), (heading[1] if heading else stem).casefold()

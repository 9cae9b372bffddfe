"""The site: built strictly, a page for each optimizer, a place for each public name, and nothing from elsewhere."""

from __future__ import annotations

import html
import re

import griffe
import pytest

import tinyms_core
import tinyms_core.conformance
import tinyms_core.distributed
import tinyms_core.examples
import tinyms_core.kernels
import tinyms_core.kernels.math
import tinyms_core.registry
from tests.documentation.pages import DOCS
from tests.documentation.website import formulas, optimizer_pages
from tests.documentation.website.docstrings import Formulas
from tinyms_core.registry.known import KNOWN_OPTIMIZERS
from tinyms_core.registry.names import fold

API = DOCS / "reference" / "api"
SPECS = optimizer_pages.optimizer_specs()
# Public modules whose names are shown one by one; what two of them have is shown in the first.
MODULES = (tinyms_core, tinyms_core.conformance, tinyms_core.distributed, tinyms_core.kernels, tinyms_core.registry)
# Public modules that are shown as wholes.
WHOLE = ("tinyms_core.kernels.math", "tinyms_core.examples", "tinyms_core.optimizers")
# Names that stand for a module of their own, or that need no words.
APART = {"math", "__version__"}


def public_names() -> dict[str, str]:
    """Where each public name is shown, by the name in its module."""
    places: dict[str, str] = {}
    for module in MODULES:
        for name in module.__all__:
            if name not in APART:
                places.setdefault(name, f"{module.__name__}.{name}")
    return places


def shown() -> list[str]:
    """What the API pages show."""
    return [name for page in API.glob("*.md") for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)]


@pytest.fixture(scope="module")
def package() -> griffe.Module:
    """The source, as the API pages read it."""
    return griffe.load("tinyms_core", extensions=griffe.load_extensions(Formulas))


def test_every_public_name_is_on_one_page():
    names = shown()
    assert len(names) == len(set(names))
    assert set(names) >= {*public_names().values(), *WHOLE}


@pytest.mark.parametrize("name", sorted(set(shown())))
def test_what_is_shown_is_documented(package, name):
    thing = package[name.partition(".")[2]]
    assert thing.docstring, f"{name} has no docstring"
    if thing.is_class:
        silent = [f"{name}.{key}" for key, own in thing.members.items() if not own.is_alias and is_silent(key, own)]
        assert not silent


def is_silent(name: str, member: griffe.Object) -> bool:
    """Whether a method or property is public and says nothing."""
    return (member.is_function or "property" in member.labels) and not name.startswith("_") and not member.docstring


def test_every_name_has_its_place_in_the_site(site):
    found = "".join(page.read_text(encoding="utf-8") for page in (site / "reference" / "api").glob("*.html"))
    for name in public_names().values():
        assert f'id="{name}"' in found, name


def test_every_optimizer_of_this_project_has_a_page(site):
    assert {fold(spec.name) for spec in SPECS} == {fold(known.name) for known in KNOWN_OPTIMIZERS}
    for spec in SPECS:
        assert (site / "reference" / "optimizers" / f"{spec.name}.html").is_file()


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_page_says_what_the_specification_does(site, spec):
    page = (site / "reference" / "optimizers" / f"{spec.name}.html").read_text(encoding="utf-8")
    text = html.unescape(re.sub(r"<[^>]+>", "", page))
    assert "<math" in page
    assert page.count('class="equation"') >= 1
    for item in spec.hyperparameters:
        row = re.search(rf"<tr>\s*<td><code>{item.name}</code></td>(.*?)</tr>", page, re.DOTALL)
        assert row, item.name
        assert len(re.findall(r"<td>.+?</td>", row[1], re.DOTALL)) >= (2 if item.kind == "any" else 3), item.name
    for slot in spec.state:
        assert slot.prefix in text, slot.prefix
    for heading in ("Formula", "At a glance", "Arguments", "State", "Source"):
        assert f">{heading}<" in page, heading
    for dtype in spec.capabilities.dtypes:
        assert dtype in text


def test_pages_need_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"([^\"]+)\"", text)
        loaded += re.findall(r"<link\b(?![^>]*rel=\"canonical\")[^>]*\bhref=\"([^\"]+)\"", text)
        assert [address for address in loaded if "//" in address] == [], page.name


def test_every_page_is_in_the_navigation(site):
    start = (site / "index.html").read_text(encoding="utf-8")
    pages = [page.relative_to(site).as_posix() for page in site.rglob("*.html") if page.name != "404.html"]
    assert [page for page in pages if f'href="{page}"' not in start and page != "index.html"] == []


def test_formulas_become_mathml():
    drawn = formulas.to_mathml(r"w_t = w_{t-1} - \eta \frac{m_t}{\sqrt{v_t} + \epsilon}")
    assert drawn.startswith("<math")
    assert "<mfrac>" in drawn
    assert "<msqrt>" in drawn
    assert formulas.to_mathml(r"\text{use\_clip}").count("use_clip") == 1
    assert formulas.to_mathml(r"\big( a \big)^2") == formulas.to_mathml(r"\left( a \right)^2")


def test_a_command_that_cannot_be_shown_is_an_error():
    with pytest.raises(ValueError, match="cannot be shown as MathML"):
        formulas.to_mathml(r"\nosuchcommand x")


def test_docstrings_become_markdown():
    formula = ".. math::\n    a = 1, \\qquad\n    b = 2\n\n    c = 3"
    text = f"Say.\n\n{formula}\n\nWith :math:`a`.\n\nExample:\n    >>> 1\n    1\n"
    assert formulas.docstring_to_markdown(text) == (
        "Say.\n\n```math\na = 1, \\qquad\nb = 2\n\nc = 3\n```\n\nWith `#!math a`.\n\nExamples:\n    >>> 1\n    1\n"
    )
    assert formulas.lines_of("a = 1, \\qquad\nb = 2\n\nc = 3") == ["a = 1,", "b = 2", "c = 3"]


def test_links_to_plugins_lead_to_their_pages():
    links = optimizer_pages.from_documentation("[A](../../plugins/adam/README.md#state)", "how-to/page.md")
    assert links == "[A](../reference/optimizers/adam.md#state)"
    links = optimizer_pages.from_readme(
        "[core](../../README.md) [L](../lion/README.md) [N](../../docs/explanation/x.md)"
    )
    assert links == "[core](../../index.md) [L](lion.md) [N](../../explanation/x.md)"


def test_the_build_ends_at_a_broken_link(tmp_path):
    from mkdocs.commands.build import build
    from mkdocs.config import load_config
    from mkdocs.exceptions import Abort

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Here\n\n[nowhere](nowhere.md) and [no place](#nowhere)\n")
    own = load_config(str(DOCS.parent / "mkdocs.yml"))
    config = load_config(
        str(DOCS.parent / "mkdocs.yml"), docs_dir=str(tmp_path / "docs"), site_dir=str(tmp_path / "site"), hooks=[],
        plugins=[], theme="mkdocs",
    )  # fmt: skip
    assert own.strict
    with pytest.raises(Abort, match="2 warnings in strict mode"):
        build(config)

"""The site in a browser: no errors, nothing from elsewhere, light and dark, on a wide screen and on a narrow one.

``TINYMS_SCREENSHOTS=FOLDER`` keeps pictures of what was seen.
"""

from __future__ import annotations

import functools
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.documentation.test_gallery import expected
from tinyms_core.registry import list_optimizers

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PAGES = (
    "index.html",
    "gallery/index.html",
    "reference/optimizers/adan.html",
    "reference/optimizers/index.html",
    "reference/api/write.html",
    "tutorials/write-lion.html",
)
SCREENS = {"wide": (1280, 900), "narrow": (390, 844)}
SCHEMES = {"light": "default", "dark": "slate"}
# By how much more light text sends than its background, or the other way round, as the accessibility guidelines count.
READABLE = 4.5

_CONTRAST = """
element => {
    const light = colour => {
        const parts = colour.match(/[\\d.]+/g).map(Number);
        if (parts.length > 3 && parts[3] < 0.5) return null;
        const [r, g, b] = parts.map(c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ink = light(getComputedStyle(element).color);
    let behind = element, paper = null;
    while (behind && paper === null) {
        paper = light(getComputedStyle(behind).backgroundColor);
        behind = behind.parentElement;
    }
    if (paper === null) paper = 1;
    return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
}
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser without a window."""
    found = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on the PATH; on Debian, apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # The administrator, as in most containers, has no sandbox.
        sandbox = [] if os.geteuid() else ["--no-sandbox"]
        launched = playwright.chromium.launch(executable_path=found, args=sandbox)
        yield launched
        launched.close()


class Visit:
    """A page in a window of its own, and what went wrong on it.

    Arguments:
        browser: the browser.
        screen: of `SCREENS`.
        scheme: of `SCHEMES`.
    """

    def __init__(self, browser: Any, screen: str, scheme: str) -> None:
        width, height = SCREENS[screen]
        self._window = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        self.page = self._window.new_page()
        self.errors: list[str] = []
        self.requested: list[str] = []
        self.page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requested.append(request.url))
        self.page.on("response", self._look_at)

    def _look_at(self, response: Any) -> None:
        if response.status >= 400:
            self.errors.append(f"{response.status} {response.url}")

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._window.close()

    def hidden_width(self) -> int:
        """By how many pixels the page is wider than the screen."""
        size = "document.documentElement"
        return int(self.page.evaluate(f"{size}.scrollWidth - {size}.clientWidth"))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_well(browser, address, path, screen, scheme):
    with Visit(browser, screen, scheme) as visit:
        visit.page.goto(address + path, wait_until="networkidle")
        folder = os.environ.get("TINYMS_SCREENSHOTS")
        if folder:
            name = path.removesuffix(".html").replace("/", "-")
            visit.page.screenshot(path=Path(folder) / f"{name}-{screen}-{scheme}.png", full_page=screen == "narrow")
        assert visit.errors == []
        assert [url for url in visit.requested if not url.startswith((address, "data:", "blob:"))] == []
        assert visit.hidden_width() == 0
        assert visit.page.locator("body").get_attribute("data-md-color-scheme") == SCHEMES[scheme]
        for place in (".md-content h1", ".md-content article p"):
            text = visit.page.locator(place).first
            assert text.evaluate(_CONTRAST) > READABLE, place


def test_the_gallery_shows_every_picture(browser, address):
    with Visit(browser, "wide", "light") as visit:
        visit.page.goto(address + "gallery/index.html", wait_until="networkidle")
        loaded = "all => all.map(i => [i.src.split('/').pop(), i.naturalWidth, i.clientWidth])"
        pictures = visit.page.locator(".gallery img").evaluate_all(loaded)
        assert {name for name, _, _ in pictures} == expected()
        assert all(own > 300 and seen > 100 for _, own, seen in pictures)
        thumbnails = visit.page.locator(".gallery a")
        assert thumbnails.count() == len(list_optimizers())
        last = thumbnails.last
        last.click()
        visit.page.wait_for_url("**#*")
        heading = visit.page.locator(f"h2#{visit.page.url.partition('#')[2]}")
        assert heading.is_visible()
        assert visit.errors == []


def test_formulas_are_drawn(browser, address):
    with Visit(browser, "narrow", "dark") as visit:
        visit.page.goto(address + "reference/optimizers/adan.html", wait_until="networkidle")
        equations = visit.page.locator(".equation math")
        assert equations.count() == 5
        for place in range(equations.count()):
            box = equations.nth(place).bounding_box()
            assert box["width"] > 100
            assert box["height"] > 15
        # A fraction is drawn as one: its parts above each other.
        above, below = (visit.page.locator(f"mfrac > :nth-child({k})").first.bounding_box()["y"] for k in (1, 2))
        assert above < below


def test_no_page_is_wider_than_a_narrow_screen(browser, address, site):
    with Visit(browser, "narrow", "light") as visit:
        wide = {}
        for file in sorted(site.rglob("*.html")):
            path = file.relative_to(site).as_posix()
            if path != "404.html":
                visit.page.goto(address + path, wait_until="load")
                wide[path] = visit.hidden_width()
        assert len(wide) > 50
        assert {path: more for path, more in wide.items() if more} == {}
        assert visit.errors == []


def test_a_search_finds_an_optimizer(browser, address):
    with Visit(browser, "wide", "light") as visit:
        visit.page.goto(address + "index.html", wait_until="networkidle")
        visit.page.locator("input[name=query]").click()
        visit.page.keyboard.type("LazyAdam")
        visit.page.locator(".md-search-result__item").first.wait_for(timeout=10_000)
        assert "LazyAdam" in visit.page.locator(".md-search-result__item").first.inner_text()
        assert visit.errors == []

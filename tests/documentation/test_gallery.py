"""The gallery that is kept with the documentation: every optimizer, small pictures, and the page that shows them."""

from __future__ import annotations

import re

from PIL import Image

from tests.documentation.pages import DOCS
from tinyms_core.cli.gallery.functions import FUNCTIONS
from tinyms_core.registry import list_optimizers, optimizer_info

GALLERY = DOCS / "gallery"
_LEARNED = ("digits", "digits-by-rate", "text", "text-by-rate")


def expected() -> set[str]:
    """The pictures that there should be."""
    found = set()
    for spec in map(optimizer_info, list_optimizers()):
        paths = () if spec.capabilities.consumes_network else tuple(function.name for function in FUNCTIONS)
        found |= {f"{spec.name}-{picture}.png" for picture in (*paths, *_LEARNED)}
    return found


def test_every_optimizer_has_its_pictures():
    assert {path.name for path in GALLERY.glob("*.png")} == expected(), (
        "run: tinyms-optim gallery --output docs/gallery"
    )


def test_the_page_shows_every_picture():
    text = (GALLERY / "index.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\(([\w-]+\.png)\)", text)) == expected()
    for name in list_optimizers():
        assert f"](#{name})" in text, "a thumbnail"
        assert f"{{#{name}}}" in text, "where it leads"


def test_pictures_are_small_and_on_white():
    sizes = []
    for path in GALLERY.glob("*.png"):
        sizes.append(path.stat().st_size)
        with Image.open(path) as picture:
            drawn = picture.convert("RGBA")
        assert sizes[-1] <= 60_000, path.name
        assert min(drawn.getpixel((1, 1))) > 245, "opaque white, to be read on a dark page too"
        assert len(drawn.getcolors(2**16)) > 10, "something is drawn"
    assert sum(sizes) < 4_000_000

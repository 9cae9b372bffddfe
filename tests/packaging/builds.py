"""Every distribution of this repository: its source distribution, and the wheel that is built from that."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT, *sorted((ROOT / "plugins").iterdir()))

_BUILD = """
import os, sys, tarfile
from pathlib import Path
from hatchling.build import build_sdist, build_wheel

target = Path(sys.argv[1])
for folder in sys.argv[2:]:
    os.chdir(folder)
    name = build_sdist(str(target))
    with tarfile.open(target / name) as archive:
        archive.extractall(target / "sources")
    os.chdir(target / "sources" / name.removesuffix(".tar.gz"))
    build_wheel(str(target))
"""


def project(folder: Path) -> dict:
    """A folder's `pyproject.toml`, as data."""
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def build_all(target: Path) -> dict[str, tuple[Path, Path]]:
    """Build everything into a folder; the source distribution and the wheel of each, by its name.

    A wheel is built from the unpacked source distribution, so that what that one lacks is missing in it too.
    """
    subprocess.run([sys.executable, "-c", _BUILD, str(target), *map(str, FOLDERS)], check=True, stdout=subprocess.PIPE)
    found = {}
    for folder in FOLDERS:
        described = project(folder)["project"]
        stem = f"{described['name'].replace('-', '_')}-{described['version']}"
        found[described["name"]] = target / f"{stem}.tar.gz", target / f"{stem}-py3-none-any.whl"
    return found


def names_in(archive: Path) -> set[str]:
    """The files of a source distribution, below its folder."""
    with tarfile.open(archive) as opened:
        return {name.partition("/")[2] for name in opened.getnames()}

"""``python -m tests.packaging.release TAG``: is everything of the version that a tag says, and has it a changelog?"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.packaging.builds import FOLDERS, ROOT, project


def obstacles(tag: str, changelog: str, fragments: list[str], versions: dict[str, str]) -> list[str]:
    """What is in the way of a release.

    Arguments:
        tag: such as v0.1.0.
        changelog: the text of CHANGELOG.md.
        fragments: names of the files of changes that are not in it.
        versions: that of each distribution, by its name.

    Returns:
        A sentence for each obstacle; empty where there is none.
    """
    version = tag.removeprefix("v")
    found = [f"{name} is of version {own}, the tag says {version}" for name, own in versions.items() if own != version]
    if not tag.startswith("v"):
        found.append(f"the tag {tag!r} does not begin with v")
    if not re.search(rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)$", changelog, re.MULTILINE):
        found.append(f"CHANGELOG.md has no heading '## {version} (date)'; towncrier build makes it")
    return found + [f"changes/{name} is not in CHANGELOG.md" for name in sorted(fragments)]


def main(arguments: list[str]) -> int:
    """Print what is in the way; 1 where anything is."""
    if len(arguments) != 1:
        print("usage: python -m tests.packaging.release TAG", file=sys.stderr)
        return 2
    versions = {entry["name"]: entry["version"] for entry in (project(folder)["project"] for folder in FOLDERS)}
    fragments = [path.name for path in Path(ROOT / "changes").glob("*.md") if path.name != "README.md"]
    found = obstacles(arguments[0], (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), fragments, versions)
    for sentence in found:
        print(sentence, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

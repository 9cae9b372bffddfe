"""Writing a new folder: all of it, or nothing."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from tinyms_core.cli.errors import CommandError


def write_folder(folder: Path, contents: Mapping[PurePosixPath, str]) -> None:
    """Write files into a folder that is not there yet.

    Args:
        folder: The folder; the one that it is in must exist.
        contents: The text of each file, by its path in the folder.

    Raises:
        CommandError: If the folder exists, or cannot be written; then nothing is left behind.
    """
    if folder.exists() or folder.is_symlink():
        raise CommandError(f"{str(folder)!r} exists already; remove it, or choose another --output")
    if not folder.parent.is_dir():
        raise CommandError(f"--output: {str(folder.parent)!r} is not a folder; make it first")
    try:
        # Beside its place, so that what is complete can be moved there at once.
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise CommandError(f"--output: {str(folder.parent)!r} cannot be written to: {error.strerror}") from error
    try:
        inside = draft / folder.name
        for path, text in contents.items():
            target = inside / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        inside.rename(folder)
    except OSError as error:
        raise CommandError(f"{str(folder)!r} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)

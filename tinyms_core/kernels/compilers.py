"""Libraries for this machine: which compiler makes them, and making those that are one file of C."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tinyms_core.kernels.generated import cache_directory

C: Final = ("C", "CC", ("cc", "gcc", "clang"))
"""A language, the environment variable that names its compiler, and the compilers that are tried without it."""

CXX: Final = ("C++", "CXX", ("c++", "g++", "clang++"))
"""The same for C++."""

_FLAGS: Final = ("-O2", "-std=c11", "-shared", "-fPIC", "-pthread")
_SECONDS: Final = 60


class LibraryError(RuntimeError):
    """There is no library, and none can be compiled; the message says why."""


def find_compiler(language: tuple[str, str, Sequence[str]]) -> list[str]:
    """Find the compiler of a language.

    Arguments:
        language: `C` or `CXX`.

    Returns:
        Its command, with the arguments that the environment variable may add.

    Raises:
        LibraryError: the system is not Linux, or there is no compiler.
    """
    name, variable, commands = language
    if sys.platform != "linux":
        raise LibraryError(f"libraries are compiled on Linux alone, this is {sys.platform}")
    asked = os.environ.get(variable, "").split()
    for command in [asked] if asked else [[command] for command in commands]:
        if shutil.which(command[0]):
            return command
    raise LibraryError(f"there is no {name} compiler: {asked[0] if asked else ', '.join(commands)} not found")


def compiled_library(source: Path) -> Path:
    """Compile a C file that includes nothing but the system's headers, where the cache has no library of it.

    Arguments:
        source: the file; the library's name begins with its stem.

    Returns:
        The library's file.

    Raises:
        LibraryError: there is no compiler, or it fails.
    """
    text = source.read_text(encoding="utf-8")
    command = find_compiler(C)
    digest = hashlib.sha256("\0".join((text, *command, *_FLAGS, sysconfig.get_platform())).encode()).hexdigest()[:20]
    path = cache_directory() / f"{source.stem}_{digest}.so"
    if not path.exists():
        _compile(source, command, path)
    return path


def _compile(source: Path, command: list[str], path: Path) -> None:
    """Put the library there whole or not at all, whoever else is doing the same."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=path.stem) as folder:
        result = Path(folder) / path.name
        line = [*command, *_FLAGS, "-o", str(result), str(source)]
        try:
            done = subprocess.run(line, capture_output=True, text=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LibraryError(f"{command[0]} does not compile the library: {error}") from error
        if done.returncode or not result.exists():
            told = done.stderr.strip()[-500:] or f"it wrote nothing and ended with {done.returncode}"
            raise LibraryError(f"{command[0]} does not compile the library: {told}")
        os.replace(result, path)

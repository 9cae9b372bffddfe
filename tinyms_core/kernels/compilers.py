"""Which compiler makes a library for this machine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from typing import Final

C: Final = ("C", "CC", ("cc", "gcc", "clang"))
"""A language, the environment variable that names its compiler, and the compilers that are tried without it."""

CXX: Final = ("C++", "CXX", ("c++", "g++", "clang++"))
"""The same for C++."""


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

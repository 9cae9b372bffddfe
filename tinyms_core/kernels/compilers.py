"""Libraries for this machine: which compiler makes them, and making those that are one file of C."""

from __future__ import annotations

import contextlib
import contextvars
import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from tinyms_core.kernels.generated import cached

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


class CLibrary:
    """A shared library of one C file, compiled where the cache has none, and loaded at first use.

    Arguments:
        source: the file.
        switch: the environment variable that, set to 0, does without it.
        prepare: called with the library when it is loaded; returns what `found` gives.
    """

    def __init__(self, source: Path, switch: str, prepare: Callable[[ctypes.CDLL], Any]) -> None:
        self._source = source
        self._switch = switch
        self._prepare = prepare
        self._withheld = contextvars.ContextVar(f"{source.stem} is withheld", default=False)
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Be as in a process that has not looked for it."""
        self._loaded: tuple[Path, Any] | None = None
        self._looked = False

    def load(self) -> tuple[Path, Any]:
        """Its file, and what was prepared.

        Raises:
            LibraryError: there is no C compiler, or it fails, or the system loads no such library.
        """
        with self._lock:
            if self._loaded is None:
                path = compiled_library(self._source)
                try:
                    library = ctypes.CDLL(str(path))
                except OSError as error:
                    raise LibraryError(f"the compiled library {str(path)!r} cannot be loaded: {error}") from error
                self._loaded = path, self._prepare(library)
            return self._loaded

    def found(self) -> Any:
        """What was prepared, looked for once; None where there is no library."""
        if self._withheld.get():
            return None
        if not self._looked:
            self.unavailable()
            self._looked = True
        return None if self._loaded is None else self._loaded[1]

    def unavailable(self) -> str:
        """Why there is no library; empty where there is one."""
        if os.environ.get(self._switch) == "0":
            return f"{self._switch} is 0"
        if self._withheld.get():
            return "it is withheld"
        try:
            self.load()
        except (LibraryError, OSError) as error:
            return str(error)
        return ""

    @contextlib.contextmanager
    def withheld(self) -> Iterator[None]:
        """Do without it inside the ``with`` block, as on a machine without a C compiler."""
        token = self._withheld.set(True)
        try:
            yield
        finally:
            self._withheld.reset(token)


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
    # Which compiler it was makes no difference, and where the library is used there may be none.
    digest = hashlib.sha256("\0".join((text, *_FLAGS, sysconfig.get_platform())).encode()).hexdigest()[:20]
    path = cached(f"{source.stem}_{digest}.so")
    if not path.exists():
        _compile(source, find_compiler(C), path)
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

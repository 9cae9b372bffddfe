"""The way from a graph's custom operator to a step in Python: a small C library that is compiled where it is missing.

MindSpore's custom operators of type ``aot`` are functions of a shared library that are given the addresses of their
tensors. The library's one function calls back into Python, where a step runs in the same kernels as outside of a
graph. Only addresses cross over: nothing is copied, however large the tensors are.
"""

from __future__ import annotations

import contextlib
import contextvars
import ctypes
import functools
import hashlib
import itertools
import os
import subprocess
import sysconfig
import tempfile
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from tinyms_core.kernels.batch import Integers
from tinyms_core.kernels.compilers import C, LibraryError, find_compiler
from tinyms_core.kernels.cpu import STORAGE_TYPES
from tinyms_core.kernels.generated import cache_directory

FUNCTION: Final = "tinyms_step"
SWITCH: Final = "TINYMS_OPTIM_GRAPH_KERNELS"
"""The environment variable that, set to 0, leaves steps in graphs to MindSpore's operators."""

KINDS: Final = ("", *STORAGE_TYPES)
"""What the numbers for dtypes mean; the first is for all others."""

_FLAGS: Final = ("-O2", "-std=c11", "-shared", "-fPIC")
_SECONDS: Final = 60
_CALLEE: Final = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int8)
)

Step = Callable[[Integers, bytes], None]

_steps: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
_numbers = itertools.count(1)
_lock = threading.Lock()
_withheld = contextvars.ContextVar("withheld", default=False)
_forgotten: Final = 2
_failed: Final = 3


def register(step: Step) -> int:
    """Remember what a custom operator calls.

    Arguments:
        step: called with the addresses of the operator's inputs but the last, and their kinds, a byte for each; see
            `KINDS`. It is forgotten when nobody else holds it.

    Returns:
        The number by which the operator's last input names it.
    """
    number = next(_numbers)
    _steps[number] = step
    return number


@functools.cache
def library() -> Path:
    """The shared library, compiled where the cache has none.

    Returns:
        Its file; the callback of this process is registered with it.

    Raises:
        LibraryError: there is no C compiler, or it fails, or the system loads no such library.
    """
    source = Path(__file__).with_suffix(".c").read_text(encoding="utf-8")
    command = find_compiler(C)
    digest = hashlib.sha256("\0".join((source, *command, *_FLAGS, sysconfig.get_platform())).encode()).hexdigest()[:20]
    path = cache_directory() / f"trampoline_{digest}.so"
    with _lock:
        if not path.exists():
            _compile(source, command, path)
        try:
            loaded = ctypes.CDLL(str(path))
        except OSError as error:
            raise LibraryError(f"the compiled library {str(path)!r} cannot be loaded: {error}") from error
        loaded.tinyms_register(_callback)
    return path


@contextlib.contextmanager
def withheld() -> Iterator[None]:
    """Do without the library inside the ``with`` block, as on a machine without a C compiler."""
    token = _withheld.set(True)
    try:
        yield
    finally:
        _withheld.reset(token)


def unavailable() -> str:
    """Why there is no library; empty where there is one."""
    if os.environ.get(SWITCH) == "0":
        return f"{SWITCH} is 0"
    if _withheld.get():
        return "it is withheld"
    try:
        library()
    except (LibraryError, OSError) as error:
        return str(error)
    return ""


def _compile(source: str, command: list[str], path: Path) -> None:
    """Put the library there whole or not at all, whoever else is doing the same."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=path.stem) as folder:
        text, result = Path(folder) / "trampoline.c", Path(folder) / "trampoline.so"
        text.write_text(source, encoding="utf-8")
        line = [*command, *_FLAGS, "-o", str(result), str(text)]
        try:
            done = subprocess.run(line, capture_output=True, text=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LibraryError(f"{command[0]} does not compile the library: {error}") from error
        if done.returncode or not result.exists():
            told = done.stderr.strip()[-500:] or f"it wrote nothing and ended with {done.returncode}"
            raise LibraryError(f"{command[0]} does not compile the library: {told}")
        os.replace(result, path)


def _call(who: int, count: int, addresses: int, kinds: Any) -> int:
    step = _steps.get(who)
    if step is None:
        return _forgotten
    try:
        found = np.ctypeslib.as_array((ctypes.c_int64 * count).from_address(addresses))
        step(found, ctypes.string_at(kinds, count))
    except BaseException:  # An exception cannot cross C; the operator's status makes MindSpore raise.
        traceback.print_exc()
        return _failed
    return 0


# Lives as long as the process: the library calls it.
_callback = _CALLEE(_call)

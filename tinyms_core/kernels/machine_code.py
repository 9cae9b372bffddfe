"""Machine code of generated functions: compiled by numba once, kept on disk, and loaded from there without numba.

Importing numba and setting its compiler up takes as long as hundreds of steps, and a process that finds its kernels in
the cache compiles nothing. So the cache holds what the compiler made: object files, one for each function, which
llvmlite links into the process. Where one refers to something that a process has only with numba, such as its memory
manager, nothing is kept, and a warning says so.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import os
import threading
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from tinyms_core.kernels.generated import cached, generated_stem, load_generated, write_whole

SUFFIX: Final = ".code"

# What the text of a generated module does not show and its machine code depends on.
_MODULES: Final = ("memory.py", "loops.py", "storage.py")
_COMPILERS: Final = ("numba", "llvmlite")
_VARIABLES: Final = (
    "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_ENABLE_AVX", "NUMBA_OPT", "NUMBA_LOOP_VECTORIZE",
    "NUMBA_SLP_VECTORIZE", "NUMBA_DEBUGINFO", "NUMBA_BOUNDSCHECK",
)  # fmt: skip

_loaded: dict[str, tuple[Code, ...]] = {}
_lock = threading.RLock()
_numbers = itertools.count()


@dataclass(frozen=True)
class Code:
    """A function in memory.

    Attributes:
        address: where it begins.
        keeper: what it lives as long as.
    """

    address: int
    keeper: Any


def machine_code(name: str, source: str, functions: Sequence[str], beside: str = "") -> tuple[Code, ...]:
    """Find the code of functions of a generated module, or compile it.

    Arguments:
        name: what the module is for; part of its file's name.
        source: the module's text. Its functions are made by ``numba.cfunc``, and call nothing of Python.
        functions: names of those that are wanted.
        beside: the texts of other modules that it reads.

    Returns:
        Their code, in the same order; the same for the same arguments within a process.
    """
    texts = [Path(__file__).with_name(module).read_text(encoding="utf-8") for module in _MODULES]
    depends_on = "\0".join((*texts, beside, *map(version, _COMPILERS)))
    stem = f"{generated_stem(name, source, depends_on)}_{_variant(functions)}"
    with _lock:
        if stem not in _loaded:
            path = cached(f"{stem}{SUFFIX}")
            found = _found(path)
            _loaded[stem] = found or _compiled(path, load_generated(name, source, depends_on), functions)
        return _loaded[stem]


def _variant(functions: Iterable[str]) -> str:
    """A digest of the functions, of the processor, and of what changes the compiler's mind about it."""
    import llvmlite.binding as llvm

    chosen = [f"{variable}={os.environ.get(variable, '')}" for variable in _VARIABLES]
    processor = (llvm.get_process_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())
    return hashlib.sha256("\0".join((*functions, *processor, *chosen)).encode()).hexdigest()[:10]


def _found(path: Path) -> tuple[Code, ...] | None:
    """The code that is kept there; None where there is none, or none that this process can use."""
    objects = _read(path)
    if objects is None:
        return None
    try:
        return _linked(objects)
    except RuntimeError:
        # It was made on a system with other libraries, and is made anew for this one.
        return None


def _compiled(path: Path, module: Any, functions: Iterable[str]) -> tuple[Code, ...]:
    """Take what numba has compiled, and keep it for others."""
    compiled = [getattr(module, function) for function in functions]
    objects = [(function.native_name, _object_code(function)) for function in compiled]
    try:
        code = _linked(objects)
    except RuntimeError as error:
        told = f"machine code of {module.__name__} is not kept on disk, so that each process compiles it: {error}"
        warnings.warn(told, RuntimeWarning, stacklevel=2)
        return tuple(Code(function.address, function) for function in compiled)
    _write(path, objects)
    return code


def _object_code(function: Any) -> bytes:
    """The object file of a ``numba.cfunc``, which has no public name; numba's own cache stores the same."""
    _, _, (code, _) = function._library.serialize_using_object_code()
    return bytes(code)


@functools.cache
def _linker() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.create_lljit_compiler(suppress_errors=True)


def _linked(objects: Iterable[tuple[str, bytes]]) -> tuple[Code, ...]:
    """Put object files into memory.

    Raises:
        RuntimeError: one refers to what is not in this process.
    """
    from llvmlite.binding import JITLibraryBuilder

    code = []
    for symbol, content in objects:
        library = JITLibraryBuilder().add_object_img(content).add_current_process().export_symbol(symbol)
        linked = library.link(_linker(), f"{symbol}_{next(_numbers)}")
        code.append(Code(linked[symbol], linked))
    return tuple(code)


def _write(path: Path, objects: Sequence[tuple[str, bytes]]) -> None:
    head = json.dumps([(symbol, len(content)) for symbol, content in objects]).encode()
    body = b"\n".join((head, b"".join(content for _, content in objects)))
    write_whole(path, hashlib.sha256(body).digest() + body)


def _read(path: Path) -> list[tuple[str, bytes]] | None:
    """The object files that are kept there; None where there are none, or a file that somebody damaged."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    size = hashlib.sha256().digest_size
    body = content[size:]
    if hashlib.sha256(body).digest() != content[:size]:
        return None
    head, _, rest = body.partition(b"\n")
    objects, begin = [], 0
    for symbol, length in json.loads(head):
        objects.append((symbol, rest[begin : begin + length]))
        begin += length
    return objects

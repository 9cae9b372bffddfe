"""Reads the addresses of many tensors in one call, by a C++ library that is compiled against MindSpore's headers.

Compiling it takes some seconds. So a process that finds none in the cache goes on by way of Python, and starts the
compiler in the background when it has asked for so many addresses that it will ask for more; whoever looks again later
finds the library.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tinyms_core.kernels.batch import Integers
from tinyms_core.kernels.compilers import CXX, LibraryError, find_compiler
from tinyms_core.kernels.generated import cache_folders, cached

if TYPE_CHECKING:
    from mindspore import Tensor

SWITCH: Final = "TINYMS_OPTIM_TENSOR_READER"
"""The environment variable that, set to 0, leaves it to Python to ask tensors for their addresses."""

LIBRARY_STEM: Final = "tensor_reader_"
"""How the names of the library's files begin."""

_MODULE: Final = "tinyms_tensor_reader"
# Addresses that a process asks Python for before it is worth while to compile: some tenths of a second.
_WORTH_WHILE: Final = 200_000
_SECONDS: Final = 300
_PAUSE: Final = 1.0
# The compiler's words are kept, and the library takes its final name only when it is whole.
_SCRIPT: Final = """
"$@" 2> "$LOG" && mv -f "$MADE" "$FINAL" && rm -f "$LOG"
status=$?
rm -f "$MADE" "$MARK"
exit $status
"""


class TensorReader:
    """The compiled library.

    Arguments:
        path: its file.

    Raises:
        LibraryError: it cannot be loaded, or does not say the same of tensors as MindSpore.
    """

    def __init__(self, path: Path) -> None:
        loader = ExtensionFileLoader(_MODULE, str(path))
        try:
            module = module_from_spec(spec_from_loader(_MODULE, loader))  # type: ignore[arg-type]
            loader.exec_module(module)
        except ImportError as error:
            raise LibraryError(f"the compiled library {str(path)!r} cannot be loaded: {error}") from error
        self._addresses, self._dense = module.addresses, module.dense
        #: ``unmoved(tensors, known)``: whether a list or tuple of tensors is where it was, each at its address.
        self.unmoved: Callable[[Sequence[Tensor], Integers], bool] = module.unmoved
        #: ``element(tensor, index)`` of one of at most one dimension; None where it has no such, or not in
        #: float32 or float64.
        self.element: Callable[[Tensor, int], float | None] = module.element
        #: ``wait()`` for queued operators, with the error of one that failed; False where it has waited for nothing.
        self.wait: Callable[[], bool] = module.wait
        self._prove()

    def addresses(self, tensors: Sequence[Tensor]) -> Integers | None:
        """Where tensors lie.

        Arguments:
            tensors: a list or tuple.

        Returns:
            The addresses; None where one of the tensors has no memory yet.
        """
        found = np.empty(len(tensors), dtype=np.int64)
        return found if self._addresses(tensors, found) else None

    def dense(self, tensors: Sequence[Any], shapes: Integers) -> tuple[Integers, bytes] | None:
        """Where tensors lie, and of which dtypes they are.

        Arguments:
            tensors: a list or tuple.
            shapes: what their shapes must be; see `flat_shapes`. As many as there are tensors.

        Returns:
            Addresses and storage types as `trampoline.KINDS` numbers them; None where one is no contiguous tensor of
            floating-point numbers with that shape.
        """
        found = np.empty(len(tensors), dtype=np.int64)
        kinds = self._dense(tensors, shapes, found)
        return None if kinds is None else (found, kinds)

    def _prove(self) -> None:
        """Compare with what MindSpore itself says of some tensors."""
        import mindspore
        from mindspore import Tensor

        whole = Tensor(np.arange(12, dtype=np.float32).reshape(3, 4))
        half = Tensor(np.ones((2, 0, 3), dtype=np.float16))
        tensors = [whole, half, whole[1], Tensor(1.0, mindspore.float64), Tensor([1.0], mindspore.bfloat16)]
        shapes = [tuple(tensor.shape) for tensor in tensors]
        expected = [tensor.data_ptr() for tensor in tensors]
        addresses = self.addresses(tensors)
        found, kinds = self.dense(tensors, flat_shapes(shapes)) or (None, b"")
        refused = (
            self.dense(tensors[:1], flat_shapes([(4, 3)])),
            self.dense([whole.T], flat_shapes([(4, 3)])),
            self.dense([Tensor([1])], flat_shapes([(1,)])),
            self.dense([1.0], flat_shapes([()])),
            self.addresses([whole, None]),
            self.element(tensors[4], 0),
            self.element(tensors[3], 1),
        )
        alike = addresses is not None and found is not None and kinds == bytes((1, 2, 1, 4, 3))
        alike = alike and (self.element(tensors[2], 3), self.element(tensors[3], 0)) == (7.0, 1.0)
        if alike:
            # What is empty may say any address.
            kept = [index for index, tensor in enumerate(tensors) if tensor.size]
            alike = all(addresses[i] == found[i] == expected[i] for i in kept)  # type: ignore[index]
            known = np.array(expected, dtype=np.int64)[kept]
            tensors = [tensors[i] for i in kept]
            alike = alike and self.unmoved(tensors, known) and not self.unmoved([tensors[1], *tensors[1:]], known)
        if not alike or any(answer is not None for answer in refused):
            raise LibraryError("the compiled library does not say the same of tensors as MindSpore")


def flat_shapes(shapes: Sequence[Sequence[int]]) -> Integers:
    """Shapes as the library reads them: of each the rank, then the dimensions."""
    return np.array([number for shape in shapes for number in (len(shape), *shape)], dtype=np.int64)


class _Search:
    """What this process knows of the library."""

    def __init__(self) -> None:
        self.reader: TensorReader | None = None
        self.reason = "it was not looked for yet"
        self.recipe: tuple[Path, list[str]] | None = None
        self.compiler: subprocess.Popen[bytes] | None = None
        self.next_look = 0.0
        self.asked = 0
        self.withheld = False
        self.lock = threading.Lock()

    def look(self, wait: bool) -> TensorReader | None:
        """Find the library, or see to it that it is made."""
        with self.lock:
            if self.reader is None and (wait or time.monotonic() >= self.next_look):
                self.next_look = time.monotonic() + _PAUSE
                try:
                    self.reader = self._find(wait)
                except (LibraryError, OSError) as error:
                    self.reason, self.next_look = str(error), float("inf")
            return self.reader

    def _find(self, wait: bool) -> TensorReader | None:
        # Found once: it takes milliseconds.
        self.recipe = self.recipe or _recipe()
        path, command = self.recipe
        wanted = wait or self.asked >= _WORTH_WHILE
        if not path.exists() and wanted and self.compiler is None and _claim(path):
            try:
                self.compiler = _start(path, command)
            except OSError:
                _mark(path).unlink(missing_ok=True)
                raise
        if wait and not path.exists():
            self._wait_for(path)
        status = None if self.compiler is None else self.compiler.poll()
        if path.exists():
            self.reason = ""
            return TensorReader(path)
        self.reason = "it is being compiled" if _someone_compiles(path) else "it was not worth while to compile it yet"
        if status is not None:
            raise LibraryError(f"{command[0]} does not compile the library: {_last_words(path, status)}")
        return None

    def _wait_for(self, path: Path) -> None:
        if self.compiler is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.compiler.wait(_SECONDS)
            return
        until = time.monotonic() + _SECONDS
        while not path.exists() and _someone_compiles(path) and time.monotonic() < until:
            time.sleep(_PAUSE / 10)


_search = _Search()


def tensor_reader(wait: bool = False, asked: int = 0) -> TensorReader | None:
    """The library, as soon as there is one.

    Arguments:
        wait: until it is compiled, where it has to be.
        asked: how many addresses it is wanted for; when they are many in all, it is compiled.

    Returns:
        The library; None as long as there is none, see `unavailable`.
    """
    if _search.withheld:
        return None
    if _search.reader is None:
        _search.asked += asked
    return _search.reader or _search.look(wait)


def unavailable(wait: bool = False) -> str:
    """Why there is no library; empty where there is one."""
    if _search.withheld:
        return "it is withheld"
    return "" if tensor_reader(wait) is not None else _search.reason


def obstacle() -> str:
    """Why there cannot be a library here, found without MindSpore; empty where nothing is in the way."""
    made = any(any(folder.glob(f"{LIBRARY_STEM}*.so")) for folder in cache_folders())
    try:
        _wanted()
        if not made:
            _tools()
    except LibraryError as error:
        return str(error)
    return ""


@contextlib.contextmanager
def withheld() -> Iterator[None]:
    """Do without the library inside the ``with`` block, as on a machine without a C++ compiler."""
    before, _search.withheld = _search.withheld, True
    try:
        yield
    finally:
        _search.withheld = before


def _recipe() -> tuple[Path, list[str]]:
    """Where the library belongs, and the command that makes it where there is none, but for its result."""
    import mindspore
    from mindspore import ops

    _wanted()
    source = Path(__file__).with_suffix(".cc")
    builder = ops.CustomOpBuilder("tinyms_tensor_reader", str(source), backend="CPU")
    include = [*builder.get_include_paths(), sysconfig.get_paths()["include"]]
    # MindSpore's own flags for its extensions, with what keeps the compiler short.
    flags = [*builder.get_cflags(), "-w", "-O2", "-shared", *(f"-I{folder}" for folder in include)]
    libraries = Path(mindspore.__file__).parent / "lib"
    linked = [f"-L{libraries}", "-lmindspore_core", "-lmindspore_common"]
    if (libraries / "libmindspore_runtime_pipeline.so").exists():
        linked += ["-Wl,--no-as-needed", "-lmindspore_runtime_pipeline"]
    built = (libraries / "libmindspore_common.so").stat()
    # Which compiler it was makes no difference, and where the library is used there may be none.
    facts = (source.read_text(encoding="utf-8"), *flags, *linked, sys.version, mindspore.__version__)
    digest = hashlib.sha256("\0".join((*facts, f"{built.st_size} {built.st_mtime_ns}")).encode()).hexdigest()[:20]
    path = cached(f"{LIBRARY_STEM}{digest}.so")
    return path, [] if path.exists() else [*_tools(), *flags, str(source), *linked]


def _wanted() -> None:
    """Raise LibraryError where the library is not wanted."""
    if os.environ.get(SWITCH) == "0":
        raise LibraryError(f"{SWITCH} is 0")


def _tools() -> list[str]:
    """The compiler's command.

    Raises:
        LibraryError: it is missing, or Python's headers are.
    """
    headers = sysconfig.get_paths()["include"]
    compiler = find_compiler(CXX)
    if not Path(headers, "Python.h").exists():
        raise LibraryError(f"there is no Python.h in {headers}; Python's headers are a package of their own")
    return compiler


def _mark(path: Path) -> Path:
    return path.with_suffix(".compiling")


def _someone_compiles(path: Path) -> bool:
    """Whether another process has begun, and not so long ago that it must have failed."""
    with contextlib.suppress(FileNotFoundError):
        return time.time() - _mark(path).stat().st_mtime < _SECONDS
    return False


def _claim(path: Path) -> bool:
    """Whether it is for this process to compile."""
    mark = _mark(path)
    if mark.exists() and not _someone_compiles(path):
        mark.unlink(missing_ok=True)
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    if path.exists():
        mark.unlink(missing_ok=True)
        return False
    return True


def _start(path: Path, command: list[str]) -> subprocess.Popen[bytes]:
    """Begin to compile in a process that may outlive this one."""
    made = path.with_suffix(f".{os.getpid()}.tmp")
    environment = {
        **os.environ,
        "LOG": str(path.with_suffix(".log")),
        "MADE": str(made),
        "FINAL": str(path),
        "MARK": str(_mark(path)),
    }
    line = ["/bin/sh", "-c", _SCRIPT, "sh", *command, "-o", str(made)]
    if shutil.which("nice"):
        line = ["nice", *line]
    return subprocess.Popen(
        line,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _last_words(path: Path, status: int) -> str:
    with contextlib.suppress(OSError):
        if told := path.with_suffix(".log").read_text(encoding="utf-8", errors="replace").strip():
            return told[-500:]
    return f"it wrote nothing and ended with {status}"

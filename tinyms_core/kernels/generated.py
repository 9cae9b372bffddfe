"""Where generated source lives, and how it becomes a module.

Its readers need a file: numba for what it caches beside it, MindSpore's parser, and people. A file's
name carries a digest of everything that its compiled code depends on, so a changed rule, a changed
generator or a changed compiler is another file, and nothing is ever overwritten.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
import threading
from pathlib import Path
from types import ModuleType

CACHE_VARIABLE = "TINYMS_OPTIM_CACHE"
_PACKAGE = "tinyms_core_generated"
_lock = threading.Lock()


def cache_directory() -> Path:
    """The folder that generated modules and what is compiled are written to.

    ``TINYMS_OPTIM_CACHE`` when it is set, else ``tinyms_optim`` in the user's cache folder, else (that
    being read-only) in the system's folder for temporary files.

    Raises:
        OSError: none of them can be written to.
    """
    folders = cache_folders()
    for folder in folders:
        if _usable(folder):
            return folder
    tried = ", ".join(map(str, folders))
    raise OSError(f"no writable folder for generated kernels; set {CACHE_VARIABLE} to one (tried {tried})")


def cached(name: str) -> Path:
    """Where a file is in the cache, or else belongs; one that is there may be in a folder that is read-only.

    Arguments:
        name: the file's name.

    Raises:
        OSError: it is not there, and cannot be put there.
    """
    for folder in cache_folders():
        if os.access(folder / name, os.R_OK):
            return folder / name
    try:
        return cache_directory() / name
    except OSError as error:
        raise OSError(f"{name} is not in the cache, and there is {error}") from error


def cache_folders() -> list[Path]:
    """The folders that files of the cache are looked for in, whether or not they exist."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return [Path(chosen)]
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinyms_optim"
    user = os.getuid() if hasattr(os, "getuid") else None
    fallback = Path(tempfile.gettempdir()) / f"tinyms_optim_{'user' if user is None else user}"
    # Anybody may have made that one, and what is in it is executed.
    foreign = user is not None and fallback.exists() and fallback.stat().st_uid != user
    return [base] if foreign else [base, fallback]


def _usable(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def generated_stem(name: str, source: str, depends_on: str = "") -> str:
    """The name of a generated module's file, without its suffix; arguments are those of `load_generated`."""
    digest = hashlib.sha256(f"{source}\0{depends_on}\0{sys.version}".encode()).hexdigest()[:20]
    return f"{name}_{digest}"


def load_generated(name: str, source: str, depends_on: str = "") -> ModuleType:
    """Import generated source as a module of its own.

    Arguments:
        name: what the module is for; part of its file's name.
        source: the module's text.
        depends_on: whatever else the compiled code depends on, such as versions.

    Returns:
        The module; the same one for the same arguments within a process.
    """
    stem = generated_stem(name, source, depends_on)
    module_name = f"{_PACKAGE}.{stem}"
    with _lock:
        module = sys.modules.get(module_name)
        if module is not None:
            return module
        path = cached(f"{stem}.py")
        if not path.exists():
            write_whole(path, source.encode(), anew=False)
        spec = importlib.util.spec_from_file_location(module_name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        # What is compiled while the module is read names it, and looks for it when it is loaded again.
        sys.modules[module_name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[module_name]
            raise
        return module


def write_whole(path: Path, content: bytes, *, anew: bool = True) -> None:
    """Put a file there whole or not at all, whoever else is doing the same.

    Arguments:
        path: the file.
        content: what is in it.
        anew: whether it takes the place of a file that is there; else that one stays, with its time stamp, which
            caches go by.
    """
    # Readable by whom the process lets read its files, who may be another user than the one that made an image.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    temporary.write_bytes(content)
    if not anew:
        try:
            os.link(temporary, path)
        except FileExistsError:
            os.unlink(temporary)
            return
        except OSError:
            # A file system without links.
            pass
        else:
            os.unlink(temporary)
            return
    os.replace(temporary, path)

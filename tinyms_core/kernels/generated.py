"""Where generated source lives, and how it becomes a module.

Both consumers need a file: numba caches compiled code beside it, MindSpore's parser reads it. A file's
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
    """The folder of generated modules.

    ``TINYMS_OPTIM_CACHE`` when it is set, else ``tinyms_optim`` in the user's cache folder, else (that
    being read-only) in the system's folder for temporary files.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinyms_optim"
    user = str(os.getuid()) if hasattr(os, "getuid") else "user"
    fallback = Path(tempfile.gettempdir()) / f"tinyms_optim_{user}"
    for folder in [Path(chosen)] if chosen else [base, fallback]:
        if _usable(folder):
            return folder
    tried = chosen or f"{base}, {fallback}"
    raise OSError(f"no writable folder for generated kernels; set {CACHE_VARIABLE} to one (tried {tried})")


def _usable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def load_generated(name: str, source: str, depends_on: str = "") -> ModuleType:
    """Import generated source as a module of its own.

    Arguments:
        name: what the module is for; part of its file's name.
        source: the module's text.
        depends_on: whatever else the compiled code depends on, such as versions.

    Returns:
        The module; the same one for the same arguments within a process.
    """
    digest = hashlib.sha256(f"{source}\0{depends_on}\0{sys.version}".encode()).hexdigest()[:20]
    stem = f"{name}_{digest}"
    module_name = f"{_PACKAGE}.{stem}"
    with _lock:
        module = sys.modules.get(module_name)
        if module is not None:
            return module
        path = cache_directory() / f"{stem}.py"
        if not path.exists():
            _write_once(path, source)
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


def _write_once(path: Path, source: str) -> None:
    """Put the file there whole or not at all, whoever else is doing the same."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(source)
    try:
        os.link(temporary, path)
    except FileExistsError:
        # Another process was first; its text is the same, and its time stamp is what caches go by.
        pass
    except OSError:
        os.replace(temporary, path)
        return
    os.unlink(temporary)

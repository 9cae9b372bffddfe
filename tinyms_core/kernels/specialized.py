"""Modules of numba functions, made anew for other storage types, so that each form is compiled once and kept."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from tinyms_core.kernels.errors import RuleError
from tinyms_core.kernels.generated import load_generated
from tinyms_core.kernels.machine_code import Code, machine_code

# Compiled code holds what it reads of the modules beside it, and numba does not see when these change.
_OWN = ("memory.py", "gpu_memory.py", "gpu_math.py")


def specialized(path: str | Path, **constants: Any) -> ModuleType:
    """Import a module's text with other values for some of its constants.

    numba finds compiled code again for functions of a file, not for closures: a kernel that depends on dtypes is
    written as a module with constants at its top, such as ``PARAMETER = "float32"``. It may read constants of the
    modules beside it: it is compiled anew when one of them changes.

    Arguments:
        path: the module's file.
        constants: new values by name; each constant is assigned once, on a line of its own, at the top level.

    Returns:
        The module; the same one for the same arguments within a process.

    Raises:
        RuleError: a constant is not assigned exactly once.
    """
    import numba

    return load_generated(Path(path).stem, _source(path, constants), "\0".join((*_beside(path), numba.__version__)))


def specialized_code(path: str | Path, functions: Sequence[str], **constants: Any) -> tuple[Code, ...]:
    """The machine code of a module's functions, with other values for some of its constants.

    In place of the module, as `specialized` imports it, this gives the addresses of functions that are called from C
    or by ctypes; a process that finds them in the cache does not import numba.

    Arguments:
        path: the module's file.
        functions: names of functions of it that are made by ``numba.cfunc``, and call nothing of Python.
        constants: new values by name, as those of `specialized`.

    Returns:
        Their code, in the same order; the same for the same arguments within a process.

    Raises:
        RuleError: a constant is not assigned exactly once.
    """
    return machine_code(Path(path).stem, _source(path, constants), functions, "\0".join(_beside(path)))


def _source(path: str | Path, constants: dict[str, Any]) -> str:
    source = Path(path).read_text(encoding="utf-8")
    for name, value in constants.items():
        source, count = re.subn(rf"^{name} = .*$", f"{name} = {value!r}", source, flags=re.MULTILINE)
        if count != 1:
            raise RuleError(f"{Path(path).name}: the constant {name!r} is assigned {count} times, once is right")
    return source


def _beside(path: str | Path) -> list[str]:
    """The texts of modules that the module may read."""
    read = [*(Path(__file__).with_name(name) for name in _OWN), *sorted(Path(path).parent.glob("*.py"))]
    return [other.read_text(encoding="utf-8") for other in read]

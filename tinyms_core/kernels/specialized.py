"""Modules of numba functions, made anew for other storage types, so that each form is compiled once and cached."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

from tinyms_core.kernels.errors import RuleError
from tinyms_core.kernels.generated import load_generated


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

    source = Path(path).read_text(encoding="utf-8")
    for name, value in constants.items():
        source, count = re.subn(rf"^{name} = .*$", f"{name} = {value!r}", source, flags=re.MULTILINE)
        if count != 1:
            raise RuleError(f"{Path(path).name}: the constant {name!r} is assigned {count} times, once is right")
    # Compiled code holds what it reads of the modules beside it, and numba does not see when these change.
    own = [Path(__file__).with_name(name) for name in ("memory.py", "gpu_memory.py", "gpu_math.py")]
    read = [*own, *sorted(Path(path).parent.glob("*.py"))]
    texts = [other.read_text(encoding="utf-8") for other in read]
    return load_generated(Path(path).stem, source, "\0".join((*texts, numba.__version__)))

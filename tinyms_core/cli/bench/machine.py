"""What the machine is, as far as times depend on it."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any, Final

_PROCESSORS: Final = Path("/proc/cpuinfo")
_MEMORY: Final = Path("/proc/meminfo")
_CACHES: Final = Path("/sys/devices/system/cpu/cpu0/cache")
_UNITS: Final = {"K": 2**10, "M": 2**20, "G": 2**30}


def describe_machine() -> dict[str, Any]:
    """Return processor, caches, memory and load as a dict that ``json.dumps`` takes; None for what is not told."""
    from tinyms_core.kernels.threads import thread_count

    total = _field(_MEMORY, r"^MemTotal:\s+(\d+) kB")
    return {
        "system": platform.platform(),
        "cpu": _field(_PROCESSORS, r"^model name\s*:\s*(.+)$") or platform.processor() or None,
        "cores": os.cpu_count(),
        "threads_of_a_step": thread_count(),
        "caches_bytes": _caches(),
        "memory_bytes": int(total) << 10 if total else None,
        "load": list(os.getloadavg()),
    }


def _field(file: Path, pattern: str) -> str | None:
    try:
        found = re.search(pattern, file.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    except OSError:
        return None
    return found.group(1).strip() if found else None


def _caches() -> dict[str, int]:
    """The caches of the first processor by level, data caches alone."""
    found: dict[str, int] = {}
    for folder in sorted(_CACHES.glob("index*")):
        try:
            level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        number = re.fullmatch(r"(\d+)([KMG])", size)
        if number and kind != "Instruction":
            found[f"L{level}"] = int(number.group(1)) * _UNITS[number.group(2)]
    return found

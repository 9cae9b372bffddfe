"""Whether a device can be used here, and why not, found out without importing what would use it."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import Final

from tinyms_core.registry.probe import module_exists

SIMULATOR_VARIABLE: Final = "NUMBA_ENABLE_CUDASIM"
GPU_MODULE: Final = "numba_cuda"
_DRIVERS: Final = ("libcuda.so.1", "nvcuda.dll")


def absence(device: str) -> str:
    """Say why a device cannot be used here.

    Arguments:
        device: ``"CPU"``, ``"GPU"`` or ``"Ascend"``.

    Returns:
        The reason; empty where it can be used, or where that is for another library to say.
    """
    if device != "GPU":
        return ""
    if not module_exists(GPU_MODULE):
        return f"module {GPU_MODULE!r} is not installed; pip install 'tinyms-core[gpu]'"
    return "" if simulated() else _absent_driver()


def simulated() -> bool:
    """Whether numba's CUDA simulator stands in for a GPU, which its environment variable says."""
    return os.environ.get(SIMULATOR_VARIABLE, "0") not in ("", "0")


@cache
def _absent_driver() -> str:
    """Why CUDA's driver gives no device; asked once, since starting the driver takes time."""
    driver = None
    for name in _DRIVERS:
        try:
            driver = ctypes.CDLL(name)
            break
        except OSError:
            continue
    if driver is None:
        return "no CUDA driver is installed"
    count = ctypes.c_int(0)
    status = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if status:
        return f"the CUDA driver does not start (error {status})"
    return "" if count.value else "the CUDA driver finds no GPU"

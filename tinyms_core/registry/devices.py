"""Whether there is a GPU, and why not, found out without importing what would use it."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import Final

SIMULATOR_VARIABLE: Final = "NUMBA_ENABLE_CUDASIM"
GPU_MODULE: Final = "numba_cuda"
_DRIVERS: Final = ("libcuda.so.1", "nvcuda.dll")


def lacking(module: str) -> str:
    """Say what a module that is installed lacks to be of use here.

    Arguments:
        module: the module's name.

    Returns:
        What is lacking: of the module that compiles for CUDA a GPU, unless numba's simulator stands in for one.
        Empty for every other module.
    """
    return "" if module != GPU_MODULE or simulated() else _absent_driver()


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

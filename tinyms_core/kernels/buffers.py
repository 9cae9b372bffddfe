"""Arrays of any library, as kernels see them: an address, a shape, a dtype, and the device that they are on.

Nothing is copied and no library is imported. Read are, in this order: tensors with ``data_ptr()`` (torch, MindSpore),
``__cuda_array_interface__`` (CuPy, numba), numpy arrays, and DLPack.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from tinyms_core.kernels import dlpack
from tinyms_core.kernels.storage import WIDTHS
from tinyms_core.registry.specs import DTYPES
from tinyms_core.registry.validation import describe

Shape = tuple[int, ...]

CPU, GPU = "CPU", "GPU"
INTEGERS = ("int32", "int64")
# Type strings of numpy's array interface. numpy has no bfloat16; what stands for it has two bytes of no kind.
_TYPE_STRINGS = {
    "<f4": "float32", "<f8": "float64", "<f2": "float16", "<V2": "bfloat16", "|V2": "bfloat16", "<i4": "int32",
    "<i8": "int64",
}  # fmt: skip
_WIDTHS = {**WIDTHS, "int32": 4, "int64": 8}
# A stream that orders itself after all others; its handle in the array interface.
_DEFAULT_STREAMS = (None, 0, 1)


@dataclass(frozen=True)
class Buffer:
    """An array's memory.

    Attributes:
        address: where it begins.
        shape: its shape.
        dtype: its storage type.
        device: ``"CPU"`` or ``"GPU"``.
        index: the number of the GPU, where the array tells.
        writable: whether it may be written to.
        alive: what keeps the memory.
    """

    address: int
    shape: Shape
    dtype: str
    device: str
    index: int | None = None
    writable: bool = True
    alive: Any = field(default=None, compare=False, repr=False)

    @property
    def size(self) -> int:
        """Its number of elements."""
        return prod(self.shape)


def read_buffer(place: str, value: Any, stream: int = 0, dtypes: tuple[str, ...] = DTYPES) -> Buffer:
    """Find an array's memory.

    Arguments:
        place: the argument that it was given as, for errors.
        value: the array.
        stream: handle of the CUDA stream in which it will be used.
        dtypes: the dtypes that are right.

    Returns:
        The memory.

    Raises:
        TypeError: no array, or of another dtype.
        ValueError: not contiguous in the order of C, at an address that is no multiple of an element's size, masked,
            or on a device that is neither CPU nor GPU.
    """
    reader = _reader_of(value)
    if reader is None:
        raise TypeError(
            f"{place} must be an array on the CPU or the GPU (numpy, or anything with __cuda_array_interface__ or "
            f"__dlpack__), got {describe(value)}"
        )
    buffer = reader(place, value, stream)
    if buffer.dtype not in dtypes:
        raise TypeError(f"{place} must be of {' or '.join(dtypes)}, got {buffer.dtype}")
    width = _WIDTHS[buffer.dtype]
    if buffer.size and buffer.address % width:
        raise ValueError(
            f"{place} must be aligned: it begins at the address {buffer.address}, which is no multiple of {width}; "
            "make a copy and step on that"
        )
    return buffer


def _reader_of(value: Any) -> Callable[[str, Any, int], Buffer] | None:
    if isinstance(value, np.ndarray):
        return _from_numpy
    if isinstance(value, type):
        return None
    if callable(getattr(value, "data_ptr", None)) and callable(getattr(value, "is_contiguous", None)):
        return _from_tensor
    if hasattr(type(value), "__cuda_array_interface__") or "__cuda_array_interface__" in getattr(value, "__dict__", {}):
        return _from_cuda_interface
    if hasattr(value, "__dlpack__") and hasattr(value, "__dlpack_device__"):
        return _from_dlpack
    return None


def _require_contiguous(place: str, contiguous: bool) -> None:
    if not contiguous:
        raise ValueError(f"{place} must be contiguous, in C's order; make a contiguous copy and step on that")


def _from_tensor(place: str, value: Any, stream: int) -> Buffer:
    """Of a tensor that tells its address. Its dtype and device are read from their texts: each library has its own."""
    _require_contiguous(place, bool(value.is_contiguous()))
    device, _, index = str(value.device).lower().partition(":")
    if device not in ("cpu", "cuda", "gpu"):
        raise ValueError(f"{place} is on the device {value.device}; CPU or GPU is right")
    return Buffer(
        int(value.data_ptr()),
        tuple(int(n) for n in value.shape),
        str(value.dtype).rpartition(".")[2].lower(),
        CPU if device == "cpu" else GPU,
        int(index) if index.isdecimal() and device != "cpu" else None,
        alive=value,
    )


def _from_cuda_interface(place: str, value: Any, stream: int) -> Buffer:
    interface = value.__cuda_array_interface__
    shape = tuple(int(n) for n in interface["shape"])
    kind = interface["typestr"]
    dtype = _TYPE_STRINGS.get(kind, kind)
    if interface.get("mask") is not None:
        raise ValueError(f"{place} has a mask; an array without one is right")
    strides = interface.get("strides")
    itemsize = int(kind[2:])
    _require_contiguous(place, strides is None or _is_contiguous(shape, tuple(s / itemsize for s in strides)))
    theirs = interface.get("stream")
    if theirs not in (*_DEFAULT_STREAMS, stream):
        from tinyms_core.kernels.gpu_device import synchronize

        synchronize(int(theirs))
    address, read_only = interface["data"]
    return Buffer(int(address or 0), shape, dtype, GPU, writable=not read_only, alive=value)


def _from_numpy(place: str, value: Any, stream: int) -> Buffer:
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError(f"{place} has a mask; an array without one is right")
    _require_contiguous(place, bool(value.flags.c_contiguous))
    # Types that other libraries add to numpy go by their names.
    dtype = _TYPE_STRINGS.get(value.dtype.str) or value.dtype.name
    dtype = dtype if value.dtype.isnative else f"{dtype} in the other order of bytes"
    return Buffer(value.ctypes.data, value.shape, dtype, CPU, writable=bool(value.flags.writeable), alive=value)


def _from_dlpack(place: str, value: Any, stream: int) -> Buffer:
    found = dlpack.read(value, stream)
    devices = {dlpack.CPU: CPU, dlpack.CUDA: GPU, dlpack.CUDA_MANAGED: GPU}
    if found.device not in devices:
        raise ValueError(f"{place} is on DLPack's device {found.device}; CPU ({dlpack.CPU}) or CUDA is right")
    _require_contiguous(place, found.strides is None or _is_contiguous(found.shape, found.strides))
    device = devices[found.device]
    index = found.index if device == GPU else None
    return Buffer(found.address, found.shape, found.dtype, device, index, not found.read_only, found.capsule)


def _is_contiguous(shape: Shape, strides: tuple[float, ...]) -> bool:
    """Whether elements follow each other; the stride of an axis of one element does not count."""
    if 0 in shape:
        return True
    expected = 1
    for length, stride in zip(reversed(shape), reversed(strides), strict=True):
        if length != 1 and stride != expected:
            return False
        expected *= length
    return True

"""DLPack, read as it is laid out in memory: what an array of another library has to say of itself.

The capsule is kept unconsumed. When it is let go, the library that made it gives the memory back.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

CPU, CUDA, CUDA_MANAGED = 1, 2, 13
_KINDS = {0: "int", 1: "uint", 2: "float", 4: "bfloat", 5: "complex", 6: "bool"}
_READ_ONLY = 1
# The default stream in DLPack's numbering.
_DEFAULT_STREAM = 1


class _Device(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_int32), ("index", ctypes.c_int32))


class _DataType(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("dimensions", ctypes.c_int32),
        ("dtype", _DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Versioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


@dataclass(frozen=True)
class Exported:
    """What a capsule holds.

    Attributes:
        address: where the memory begins.
        shape: the array's shape.
        strides: in elements; None for an array that is contiguous.
        dtype: its storage type.
        device: the kind of device, in DLPack's numbering.
        index: the number of the device.
        read_only: whether it must not be written to.
        capsule: what keeps the memory.
    """

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    dtype: str
    device: int
    index: int
    read_only: bool
    capsule: Any


def _pointer(capsule: Any, name: bytes) -> int | None:
    python = ctypes.pythonapi
    python.PyCapsule_IsValid.argtypes = (ctypes.py_object, ctypes.c_char_p)
    python.PyCapsule_GetPointer.argtypes = (ctypes.py_object, ctypes.c_char_p)
    python.PyCapsule_GetPointer.restype = ctypes.c_void_p
    if not python.PyCapsule_IsValid(capsule, name):
        return None
    found: int = python.PyCapsule_GetPointer(capsule, name)
    return found


def read(value: Any, stream: int = 0) -> Exported:
    """Read an array that has ``__dlpack__`` and ``__dlpack_device__``.

    Arguments:
        value: the array.
        stream: handle of the CUDA stream in which it will be used.

    Returns:
        What it says of itself.

    Raises:
        TypeError: the capsule is of another version than 0 and 1.
    """
    on_gpu = int(value.__dlpack_device__()[0]) in (CUDA, CUDA_MANAGED)
    given = {"stream": stream or _DEFAULT_STREAM} if on_gpu else {}
    try:
        # Only the newer layout tells whether memory may be written to.
        capsule = value.__dlpack__(max_version=(1, 0), **given)
    except TypeError:
        capsule = value.__dlpack__(**given)
    read_only = False
    versioned = _pointer(capsule, b"dltensor_versioned")
    if versioned is not None:
        held = _Versioned.from_address(versioned)
        if held.major != 1:
            raise TypeError(f"DLPack of version {held.major} is not known; 1 is right")
        tensor, read_only = held.tensor, bool(held.flags & _READ_ONLY)
    else:
        place = _pointer(capsule, b"dltensor")
        if place is None:
            raise TypeError("what __dlpack__ returned is no capsule of DLPack that nobody has consumed yet")
        tensor = _Tensor.from_address(place)
    count = tensor.dimensions
    dtype = _KINDS.get(tensor.dtype.code, f"type {tensor.dtype.code} of ") + str(tensor.dtype.bits)
    return Exported(
        int(tensor.data or 0) + int(tensor.byte_offset),
        tuple(tensor.shape[:count]) if count else (),
        tuple(tensor.strides[:count]) if count and tensor.strides else None,
        dtype if tensor.dtype.lanes == 1 else f"{dtype} of {tensor.dtype.lanes} lanes",
        int(tensor.device.kind),
        int(tensor.device.index),
        read_only,
        capsule,
    )

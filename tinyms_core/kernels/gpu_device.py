"""The GPU that kernels run on: its memory, how a launch is shaped, and numba's simulator in its place.

Importing this imports numba's CUDA side; what only has to know whether there is a GPU asks `registry.devices`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

import numpy as np
from numba import cuda

from tinyms_core.kernels.arrays import array_at
from tinyms_core.kernels.gpu_memory import SIMULATED
from tinyms_core.kernels.on_arrays import loaded, storable


@dataclass(frozen=True)
class Shape:
    """How launches are shaped.

    Attributes:
        threads: threads of a block, a power of two.
        blocks: blocks of a launch at most; some for each of the GPU's multiprocessors when None.
        chunk: elements of a chunk: some rounds of a block, few enough that the last chunks do not leave most of the
            GPU idle.
        staged: elements that an offloaded step has on their way at a time, about: enough that copying them takes
            longer than starting the copy.
    """

    threads: int
    blocks: int | None
    chunk: int
    staged: int


# The simulator makes a thread of the operating system of each of a block's.
_shape = Shape(4, 3, 64, 150) if SIMULATED else Shape(256, None, 4096, 1 << 20)
# More blocks than run at a time, so that those that come last leave little of the GPU idle, and few enough that a
# block has several chunks of a large list.
_BLOCKS_PER_MULTIPROCESSOR = 128
# Chunks of a block of an exact step's gradient, of rows.
BLOCK_CHUNKS = 2 if SIMULATED else 2048

# For each storage type the numpy type of its memory, and what other libraries know it by.
_TYPES = {
    "float32": ("f4", "<f4"),
    "float64": ("f8", "<f8"),
    "float16": ("f2", "<f2"),
    "bfloat16": ("u2", "<V2"),
    "int32": ("i4", "<i4"),
    "int64": ("i8", "<i8"),
}


class DeviceArray:
    """Memory on the GPU, as other libraries take it: CuPy's `asarray` and torch's `as_tensor` make views of it.

    Arguments:
        shape: its shape.
        dtype: its storage type: ``"float32"``, ``"float64"``, ``"float16"``, ``"bfloat16"``, ``"int32"`` or
            ``"int64"``.

    Raises:
        ValueError: ``dtype`` is no storage type.
    """

    def __init__(self, shape: tuple[int, ...], dtype: str) -> None:
        if dtype not in _TYPES:
            raise ValueError(f"DeviceArray: 'dtype' must be one of {', '.join(_TYPES)}, got {dtype!r}")
        self.shape = tuple(shape)
        self.dtype = dtype
        self._kind = np.dtype(_TYPES[dtype][0])
        # Memory of no bytes has no address.
        self._memory = cuda.device_array(max(1, prod(self.shape)), self._kind)
        self.address = address_of(self._memory)

    def __repr__(self) -> str:
        return f"<DeviceArray of {self.dtype}, shape {self.shape}>"

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """The array, for other libraries; version 3 of the protocol."""
        return {
            "shape": self.shape,
            "typestr": _TYPES[self.dtype][1],
            "data": (0 if 0 in self.shape else self.address, False),
            "strides": None,
            "version": 3,
        }

    def write(self, values: Any, stream: Any = 0) -> None:
        """Copy numbers of the host into the memory, rounded to its type, in the order of a stream."""
        stored = storable(values, self.dtype) if self.dtype == "bfloat16" else values
        flat = np.ascontiguousarray(stored, self._kind).reshape(-1)
        if flat.size != prod(self.shape):
            raise ValueError(f"DeviceArray.write: got {flat.size} value(s) for the shape {self.shape}")
        if flat.size:
            self._memory.copy_to_device(flat, stream=stream)

    def copy_to_host(self) -> np.ndarray[Any, Any]:
        """A copy as a numpy array, after all work on the array is done; bfloat16 comes as float32."""
        copied = np.asarray(self._memory.copy_to_host())[: prod(self.shape)].reshape(self.shape)
        return loaded(copied, self.dtype)


def address_of(memory: Any) -> int:
    """Where memory of the GPU, an array of numba's, begins."""
    if SIMULATED:
        return int(memory.ctypes.data)
    return int(memory.__cuda_array_interface__["data"][0])


def filled(shape: tuple[int, ...], dtype: str, value: float) -> DeviceArray:
    """New memory on the GPU with one value everywhere."""
    made = DeviceArray(shape, dtype)
    made.write(np.full(made.shape, value))
    return made


def launch_shape() -> Shape:
    """How launches of kernels that are made now are shaped."""
    return _shape


@contextmanager
def shaped(
    threads: int | None = None, blocks: int | None = None, chunk: int | None = None, staged: int | None = None
) -> Iterator[None]:
    """Give kernels that are made inside the ``with`` block another launch shape.

    Arguments:
        threads: threads of a block.
        blocks: blocks of a launch at most.
        chunk: elements of a chunk.
        staged: elements that an offloaded step has on their way at a time.

    Raises:
        ValueError: ``threads`` is no power of two, or a number is less than 1.
    """
    global _shape
    before = _shape
    wanted = Shape(threads or before.threads, blocks or before.blocks, chunk or before.chunk, staged or before.staged)
    if (
        wanted.threads & (wanted.threads - 1)
        or min(wanted.threads, wanted.blocks or 1, wanted.chunk, wanted.staged) < 1
    ):
        raise ValueError(f"shaped: 'threads' must be a power of two and all numbers at least 1, got {wanted}")
    _shape = wanted
    try:
        yield
    finally:
        _shape = before


def current_device() -> int:
    """The number of the GPU that kernels are launched on: the current one of this thread."""
    return 0 if SIMULATED else int(cuda.get_current_device().id)


@cache
def most_blocks() -> int:
    """How many blocks a launch has at most."""
    return int(cuda.get_current_device().MULTIPROCESSOR_COUNT) * _BLOCKS_PER_MULTIPROCESSOR


def to_host(address: int, size: int, dtype: str, stream: int = 0) -> Any:
    """A copy of an array of the GPU as numpy's, after all work in a stream is done."""
    synchronize(stream)
    if SIMULATED or not size:
        return array_at(address, size, dtype).copy()
    return cuda.as_cuda_array(_Memory(address, size, dtype)).copy_to_host()


class _Memory:
    """Memory of others, as numba takes it."""

    def __init__(self, address: int, size: int, dtype: str) -> None:
        self.__cuda_array_interface__ = {
            "shape": (size,), "typestr": _TYPES[dtype][1], "data": (address, True), "strides": None, "version": 3,
        }  # fmt: skip


@cache
def stream_of(handle: int) -> Any:
    """numba's stream for the handle of one of CUDA's; 0 is the default stream, and the simulator's only one."""
    return cuda.external_stream(handle) if handle and not SIMULATED else 0


def synchronize(handle: int = 0) -> None:
    """Wait until all work of a stream is done."""
    stream = stream_of(handle)
    if stream == 0:
        cuda.synchronize()
    else:
        stream.synchronize()

"""The two devices that plain arrays can be on: what memory, chunks and kernels are there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tinyms_core.kernels.arrays import array_at
from tinyms_core.kernels.batch import CHUNK, Batch, Floats, Integers, make_batch
from tinyms_core.kernels.buffers import CPU, GPU, Buffer
from tinyms_core.kernels.cpu import CpuKernel
from tinyms_core.kernels.cpu_source import PREPROCESSING
from tinyms_core.kernels.factor import Factor
from tinyms_core.kernels.on_arrays import loaded
from tinyms_core.kernels.program import Program
from tinyms_core.kernels.specialized import specialized
from tinyms_core.registry.devices import GPU_MODULE, lacking
from tinyms_core.registry.errors import MissingKernelError
from tinyms_core.registry.probe import module_exists

if TYPE_CHECKING:
    from tinyms_core.kernels.array_rows import RowGradient


class Backend(Protocol):
    """A device."""

    name: str
    state_device: str
    chunk: int
    block: int

    def filled(self, shape: tuple[int, ...], dtype: str, value: float) -> Any:
        """New memory for state, with one value everywhere."""

    def kernel(self, program: Program, parameter: str, gradient: str, factor: Factor | None) -> Any:
        """A rule's kernel, called with a batch, addresses, groups, scalars, the stream and the factors' groups."""

    def gradient_kernel(self, program: Program, parameter: str, gradient: str) -> Any:
        """A rule's kernel, called in the same way, all of whose tensors are where the gradients are."""

    def update_kernel(self, made: Any) -> Any:
        """The kernel of a written-out update, called in the same way."""

    def ready(self, stream: int) -> None:
        """Wait until memory that was made can be used in a stream."""

    def integers(self, buffer: Buffer, stream: int) -> Integers:
        """An array of integers as numpy's."""

    def added_up(self, gradient: RowGradient, compute: str, stream: int) -> AbstractContextManager[int]:
        """The address of the sums of a gradient's rows of each index, inside a ``with`` block."""

    def zeros(self, size: int, dtype: str) -> AbstractContextManager[int]:
        """The address of memory for some elements, inside a ``with`` block."""

    def clear(self, address: int, size: int, dtype: str, stream: int) -> None:
        """Set elements to zero."""


class CpuBackend:
    """Host memory, in numpy arrays."""

    name = state_device = CPU
    chunk = CHUNK
    # Elements of a block of an exact step's gradient.
    block = 1 << 18

    def filled(self, shape: tuple[int, ...], dtype: str, value: float) -> Any:
        """New memory with one value everywhere."""
        return np.full(shape, value, dtype)

    def kernel(self, program: Program, parameter: str, gradient: str, factor: Factor | None) -> Any:
        """A rule's kernel."""
        return _OnHost(CpuKernel(program, parameter, gradient), factor)

    def gradient_kernel(self, program: Program, parameter: str, gradient: str) -> Any:
        """A rule's kernel for gradients alone."""
        return self.kernel(program, parameter, gradient, None)

    def update_kernel(self, made: Any) -> Any:
        """The kernel of a written-out update."""
        return _OnHost(made, None)

    def ready(self, stream: int) -> None:
        """Nothing is pending."""

    def integers(self, buffer: Buffer, stream: int) -> Integers:
        """An array of integers as numpy's."""
        return array_at(buffer.address, buffer.size, buffer.dtype)

    @contextmanager
    def added_up(self, gradient: RowGradient, compute: str, stream: int) -> Iterator[int]:
        """The address of the sums of a gradient's rows of each index."""
        count = len(gradient.rows)
        values = gradient.values
        stored = array_at(values.address, values.size, values.dtype).reshape(-1, gradient.width)
        ordered = loaded(stored, values.dtype).astype(compute)[gradient.order[count + 1 :]]
        sums = np.add.reduceat(ordered, gradient.order[:count], axis=0) if count else ordered
        yield sums.ctypes.data

    @contextmanager
    def zeros(self, size: int, dtype: str) -> Iterator[int]:
        """The address of memory for some elements."""
        memory = np.zeros(size, dtype)
        yield memory.ctypes.data

    def clear(self, address: int, size: int, dtype: str, stream: int) -> None:
        """Set elements to zero."""
        array_at(address, size, dtype)[...] = 0


class GpuBackend:
    """A GPU, by numba's CUDA side."""

    name = state_device = GPU

    def __init__(self) -> None:
        from tinyms_core.kernels import gpu, gpu_device

        self._gpu, self._device = gpu, gpu_device
        self.chunk = gpu_device.launch_shape().chunk
        # Elements of a block of an exact step's gradient: enough to keep the GPU busy, little beside its memory.
        self.block = self.chunk * gpu_device.BLOCK_CHUNKS

    def current_device(self) -> int:
        """The number of the GPU that kernels are launched on."""
        return self._device.current_device()

    def filled(self, shape: tuple[int, ...], dtype: str, value: float) -> Any:
        """New memory with one value everywhere."""
        return self._device.filled(shape, dtype, value)

    def kernel(self, program: Program, parameter: str, gradient: str, factor: Factor | None) -> Any:
        """A rule's kernel."""
        return self._gpu.GpuKernel(program, parameter, gradient, factor)

    def gradient_kernel(self, program: Program, parameter: str, gradient: str) -> Any:
        """A rule's kernel for gradients alone."""
        return self._gpu.GpuKernel(program, parameter, gradient)

    def update_kernel(self, made: Any) -> Any:
        """The kernel of a written-out update."""
        return made

    def ready(self, stream: int) -> None:
        """Wait until memory that was made can be used in a stream."""
        self._device.synchronize()

    def integers(self, buffer: Buffer, stream: int) -> Integers:
        """An array of integers as numpy's, after all work on it in a stream is done."""
        copied: Integers = self._device.to_host(buffer.address, buffer.size, buffer.dtype, stream)
        return copied

    @contextmanager
    def added_up(self, gradient: RowGradient, compute: str, stream: int) -> Iterator[int]:
        """The address of the sums of a gradient's rows of each index."""
        count = len(gradient.rows)
        sums = self._device.DeviceArray((count, gradient.width), compute)
        order = self._device.DeviceArray(gradient.order.shape, "int64")
        order.write(gradient.order, self._device.stream_of(stream))
        if count:
            run = self._rows(gradient.dtype, compute).add_up
            self._launch(
                run, count, stream, (gradient.values.address, order.address, sums.address, count, gradient.width)
            )
        yield sums.address
        # The memory is given back to whoever asks next, in any stream.
        self._device.synchronize(stream)

    @contextmanager
    def zeros(self, size: int, dtype: str) -> Iterator[int]:
        """The address of memory for some elements."""
        memory = self._device.DeviceArray((size,), dtype)
        yield memory.address
        self._device.synchronize()

    def clear(self, address: int, size: int, dtype: str, stream: int) -> None:
        """Set elements to zero."""
        self._launch(self._rows(dtype, dtype).clear, size, stream, (address, size))

    def _rows(self, values: str, compute: str) -> Any:
        return specialized(Path(__file__).with_name("gpu_rows.py"), VALUES=values, COMPUTE=compute)

    def _launch(self, run: Any, items: int, stream: int, arguments: tuple[int, ...]) -> None:
        self._gpu.launch_blocks(run, self._device.launch_shape(), items, stream, arguments)


class OffloadBackend(GpuBackend):
    """A GPU with the host's memory for state; kernels of the CPU update it."""

    state_device = CPU

    def __init__(self) -> None:
        super().__init__()
        from tinyms_core.kernels import gpu_offload

        self._offload = gpu_offload
        self.pipeline = gpu_offload.Pipeline()

    def filled(self, shape: tuple[int, ...], dtype: str, value: float) -> Any:
        """New memory of the host, with one value everywhere."""
        return np.full(shape, value, dtype)

    def kernel(self, program: Program, parameter: str, gradient: str, factor: Factor | None) -> Any:
        """A rule's kernel for state on the host."""
        assert factor is None
        return self._offload.OffloadKernel(program, parameter, gradient, self.pipeline)


class _OnHost:
    """A CPU kernel, called as GPU kernels are; factors are computed first, and enter as each tensor's own scale."""

    def __init__(self, kernel: Any, factor: Factor | None) -> None:
        self._kernel = kernel
        self._factor = factor
        self._factors = None
        if factor is not None:
            self._factors = CpuKernel(factor.program, *(kernel.storage[name] for name in ("w", "g")))
        self.scalars = kernel.scalars

    def __call__(
        self,
        batch: Batch,
        addresses: Integers,
        groups: Integers,
        scalars: Floats,
        stream: int = 0,
        factor_groups: Integers | None = None,
    ) -> None:
        """Update all tensors of a batch by one step, in place."""
        if self._factor is None or self._factors is None or factor_groups is None:
            self._kernel(batch, addresses, groups, scalars)
            return
        own = len(PREPROCESSING) + len(self.scalars)
        table = scalars[groups, :own]
        decay, scale = scalars[:, own], scalars[:, own + 1]
        given = scalars[:, own:].copy()
        # The factor is of the gradient without decay.
        given[:, 0] = 0.0
        # And of the gradient as it came, not of its rows without their means.
        whole = make_batch(batch.sizes)
        used = np.maximum(factor_groups, 0)
        values = self._factors.tensor_values(whole, np.ascontiguousarray(addresses[:2]), used, given)
        values = values[:, self._factor.column]
        chosen = np.flatnonzero(factor_groups >= 0)
        rows = factor_groups[chosen]
        table[chosen, PREPROCESSING.index("decay")] = decay[rows]
        table[chosen, PREPROCESSING.index("scale")] = values[chosen] * scale[rows]
        self._kernel(batch, addresses, np.arange(len(groups), dtype=np.int64), table)


def unusable(device: str) -> str:
    """Say why no kernel can run on a device; empty where one can."""
    if device != GPU:
        return ""
    if not module_exists(GPU_MODULE):
        return f"module {GPU_MODULE!r} is not installed; pip install 'tinyms-core[gpu]'"
    return lacking(GPU_MODULE)


def offloading(backend: Backend) -> Backend:
    """The backend for the same arrays with the state on the host, which that of the host itself is already."""
    return OffloadBackend() if backend.name == GPU else backend


def backend_for(owner: str, buffer: Buffer) -> Backend:
    """The backend of the device that an array is on.

    Arguments:
        owner: the optimizer's name, for errors.
        buffer: the array's memory.

    Raises:
        MissingKernelError: the device cannot be used here; the message says why, and what would be right.
        ValueError: the array is on another GPU than the current one.
    """
    if buffer.device == CPU:
        return CpuBackend()
    why = unusable(buffer.device)
    if why:
        raise MissingKernelError(
            f"{owner}: its arrays are on the GPU, but {why}", optimizer=owner, device=buffer.device
        )
    backend = GpuBackend()
    current = backend.current_device()
    if buffer.index not in (None, current):
        raise ValueError(
            f"{owner}: its arrays are on GPU {buffer.index}, and the current device of this thread is GPU {current}; "
            f"make it the current one, as numba.cuda.select_device({buffer.index}) does"
        )
    return backend

"""The two devices that plain arrays can be on: what memory, chunks and kernels are there."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from tinyms_core.kernels.batch import CHUNK, Batch, Floats, Integers, make_batch
from tinyms_core.kernels.buffers import CPU, GPU
from tinyms_core.kernels.cpu import PREPROCESSING, CpuKernel
from tinyms_core.kernels.factor import Factor
from tinyms_core.kernels.program import Program
from tinyms_core.registry.devices import absence
from tinyms_core.registry.errors import MissingKernelError


class Backend(Protocol):
    """A device."""

    name: str
    chunk: int

    def filled(self, shape: tuple[int, ...], dtype: str, value: float) -> Any:
        """New memory with one value everywhere."""

    def kernel(self, program: Program, parameter: str, gradient: str, factor: Factor | None) -> Any:
        """A rule's kernel, called with a batch, addresses, groups, scalars, the stream and the factors' groups."""

    def update_kernel(self, made: Any) -> Any:
        """The kernel of a written-out update, called in the same way."""

    def ready(self, stream: int) -> None:
        """Wait until memory that was made can be used in a stream."""


class CpuBackend:
    """Host memory, in numpy arrays."""

    name = CPU
    chunk = CHUNK

    def filled(self, shape: tuple[int, ...], dtype: str, value: float) -> Any:
        """New memory with one value everywhere."""
        return np.full(shape, value, dtype)

    def kernel(self, program: Program, parameter: str, gradient: str, factor: Factor | None) -> Any:
        """A rule's kernel."""
        return _OnHost(CpuKernel(program, parameter, gradient), factor)

    def update_kernel(self, made: Any) -> Any:
        """The kernel of a written-out update."""
        return _OnHost(made, None)

    def ready(self, stream: int) -> None:
        """Nothing is pending."""


class GpuBackend:
    """A GPU, by numba's CUDA side."""

    name = GPU

    def __init__(self) -> None:
        from tinyms_core.kernels import gpu, gpu_device

        self._gpu, self._device = gpu, gpu_device
        self.chunk = gpu_device.launch_shape().chunk

    def filled(self, shape: tuple[int, ...], dtype: str, value: float) -> Any:
        """New memory with one value everywhere."""
        return self._device.filled(shape, dtype, value)

    def kernel(self, program: Program, parameter: str, gradient: str, factor: Factor | None) -> Any:
        """A rule's kernel."""
        return self._gpu.GpuKernel(program, parameter, gradient, factor)

    def update_kernel(self, made: Any) -> Any:
        """The kernel of a written-out update."""
        return made

    def ready(self, stream: int) -> None:
        """Wait until memory that was made can be used in a stream."""
        self._device.synchronize()


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


def backend_for(owner: str, device: str) -> Backend:
    """The backend of a device.

    Raises:
        MissingKernelError: it cannot be used here; the message says why, and what would be right.
    """
    if device == CPU:
        return CpuBackend()
    why = absence(device)
    if why:
        raise MissingKernelError(f"{owner}: its arrays are on the GPU, but {why}", optimizer=owner, device=device)
    return GpuBackend()

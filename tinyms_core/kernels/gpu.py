"""The GPU kernel that is derived from a rule: fused, multi-tensor, generated for numba's CUDA side.

All tensors of a call are updated in as many launches as the program has passes over memory: one for elementwise
rules, two where a norm decides how far a tensor goes. Nothing waits for the GPU.
"""

from __future__ import annotations

import threading
import warnings
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np

from tinyms_core.kernels.batch import Batch, Floats, Integers
from tinyms_core.kernels.cpu import compute_type
from tinyms_core.kernels.factor import Factor
from tinyms_core.kernels.generated import load_generated
from tinyms_core.kernels.gpu_device import DeviceArray, Shape, launch_shape, most_blocks, stream_of
from tinyms_core.kernels.gpu_memory import SIMULATED
from tinyms_core.kernels.gpu_source import NO_FACTOR, TENSOR_ROW, gpu_source, tensor_row_length
from tinyms_core.kernels.program import Program
from tinyms_core.kernels.rule import GRADIENT, PARAMETER

# Elements of a centralized row that a thread adds up, about; more threads for a row would wait for each other.
_ROW_ELEMENTS_PER_THREAD = 4
_SUM_BYTES = 8
_READ = ("gpu_memory.py", "gpu_math.py", "memory.py")


class GpuKernel:
    """A program, compiled for the GPU, for parameters and gradients of given storage types.

    Arguments:
        program: what to compute.
        parameter: storage type of the parameters; state is stored in `compute_type` of it.
        gradient: storage type of the gradients.
        factor: what the gradients of some tensors are multiplied by, one number for each tensor.

    Attributes:
        scalars: names of the scalars that a call wants after decay and scale.
        launches: how many kernels were launched so far.
    """

    def __init__(self, program: Program, parameter: str, gradient: str, factor: Factor | None = None) -> None:
        self.program = program
        self.factor = factor
        self.storage = {PARAMETER: parameter, GRADIENT: gradient}
        for slot in program.state:
            self.storage[slot] = compute_type(parameter)
        self.compute = compute_type(parameter)
        self.scalars = program.slots
        self.launches = 0
        self.shape = launch_shape()
        self._lock = threading.Lock()
        self._tables: _Tables | None = None

    @cached_property
    def module(self) -> ModuleType:
        """The generated module, written and imported on first use."""
        with self._lock:
            folder = Path(__file__).parent
            read = [folder.joinpath(name).read_text(encoding="utf-8") for name in _READ]
            source = gpu_source(self.program, self.storage, self.compute, self.shape.threads, self.factor)
            name = f"{self.program.name}_gpu_{self.storage[PARAMETER]}_{self.storage[GRADIENT]}"
            return load_generated(name, source, "\0".join((*read, numba.__version__, version("numba-cuda"))))

    def __call__(
        self,
        batch: Batch,
        addresses: Integers,
        groups: Integers,
        scalars: Floats,
        stream: int = 0,
        factor_groups: Integers | None = None,
    ) -> None:
        """Update all tensors of a batch by one step, in place, as soon as the GPU comes to it.

        Arguments:
            batch: the tensors.
            addresses: address of each tensor's memory on the GPU, shape (len(program.tensors), tensors), in the
                order of ``program.tensors``; each contiguous.
            groups: row of ``scalars`` that each tensor uses.
            scalars: float64, shape (groups, columns), with the columns of `gpu_source.scalar_columns`: the decay that
                is added to the gradient (weight decay times loss scale), the factor of the gradient
                (1 / loss scale), the program's slots, and those of the factor.
            stream: handle of the CUDA stream that the step takes place in.
            factor_groups: with a factor, the row of ``scalars`` that each tensor's factor uses, -1 where it has none.
        """
        if not batch.chunks:
            return
        tables = self._tables
        if tables is None or tables.batch is not batch or len(scalars) != tables.groups:
            tables = self._tables = _Tables(self, batch, len(scalars), stream)
        tables.update(addresses, groups, scalars, factor_groups, stream)
        for run in self.module.PASSES:
            launch_blocks(run, self.shape, batch.chunks, stream, tables.arguments)
            self.launches += 1


def launch_blocks(run: Any, launch: Shape, items: int, stream: int, arguments: tuple[int, ...]) -> None:
    """Launch a kernel whose blocks take items in turn, with shared memory of one float64 for each thread.

    Arguments:
        run: the kernel.
        launch: how the launch is shaped.
        items: how many items there are.
        stream: handle of the CUDA stream.
        arguments: of the kernel: addresses and other integers.
    """
    limit = launch.blocks or most_blocks()
    # The sums of threads are joined in memory that is given at the launch: where a kernel asks for it itself, the
    # simulator may give its threads one each.
    shape = (min(limit, items), launch.threads, stream, _SUM_BYTES * launch.threads)
    if not SIMULATED:
        _configured(run, *shape)(*arguments)
        return
    with warnings.catch_warnings():
        # A GPU does not tell of overflows and divisions by zero; numpy, which the simulator runs on, does.
        warnings.simplefilter("ignore", RuntimeWarning)
        run[shape](*arguments)


@lru_cache(maxsize=4096)
def _configured(run: Any, blocks: int, threads: int, stream: int, shared: int) -> Any:
    """A kernel with the shape of its launch, which takes numba longer to make than to launch."""
    with warnings.catch_warnings():
        # numba warns of few blocks, which is right for few elements.
        warnings.simplefilter("ignore")
        return run[blocks, threads, stream_of(stream), shared]


class _Tables:
    """What a batch's kernels read besides tensors, in the GPU's memory; copied there when it changes."""

    def __init__(self, kernel: GpuKernel, batch: Batch, groups: int, stream: int) -> None:
        program, factor = kernel.program, kernel.factor
        self.batch = batch
        self.groups = groups
        sums = len(program.reductions) + (len(factor.program.reductions) if factor else 0)
        rows = [batch.chunk_tensor, batch.chunk_first, batch.chunk_last]
        chunks = DeviceArray((batch.chunks, len(rows)), "int64")
        chunks.write(np.stack(rows, axis=1), stream_of(stream))
        self._columns = len(TENSOR_ROW)
        self._table = np.full((len(batch.sizes), tensor_row_length(program, factor)), NO_FACTOR, np.int64)
        self._table[:, : self._columns] = np.stack(
            [
                batch.sizes, batch.rows, _teams(batch.rows, kernel.shape.threads), np.zeros_like(batch.sizes),
                batch.tensor_chunks[:-1], batch.tensor_chunks[1:],
            ],
            axis=1,
        )  # fmt: skip
        self._ends = self._columns + len(program.tensors)
        self._tensors = DeviceArray(self._table.shape, "int64")
        self._scalars: DeviceArray | None = None
        # None of these is changed in place: the same array holds the same numbers.
        self._written: tuple[Any, Any, Any] = (None, None, None)
        self._numbers = b""
        self._partials = DeviceArray((max(1, sums * batch.chunks),), "float64")
        self._chunks = chunks
        self.arguments: tuple[int, ...] = ()

    def update(
        self, addresses: Integers, groups: Integers, scalars: Floats, factor_groups: Integers | None, stream: int
    ) -> None:
        """Bring the tables in the GPU's memory up to date."""
        given = (addresses, groups, factor_groups)
        if any(one is not other for one, other in zip(given, self._written, strict=True)):
            self._table[:, TENSOR_ROW.index("group")] = groups
            self._table[:, self._columns : self._ends] = addresses.T
            if factor_groups is not None:
                self._table[:, self._ends] = factor_groups
            self._tensors.write(self._table, stream_of(stream))
            self._written = given
        if self._scalars is None:
            self._scalars = DeviceArray((self.groups, scalars.shape[1]), "float64")
            addressed = (self._chunks, self._tensors, self._scalars, self._partials)
            self.arguments = (*(array.address for array in addressed), self.batch.chunks)
        numbers = scalars.tobytes()
        if numbers != self._numbers:
            self._scalars.write(scalars, stream_of(stream))
            self._numbers = numbers


def _teams(rows: Integers, threads: int) -> Integers:
    """How many threads share a row of each tensor: a power of two that grows with the row's length."""
    wanted = np.maximum(1, rows // _ROW_ELEMENTS_PER_THREAD)
    powers: Integers = 2 ** np.log2(wanted).astype(np.int64)
    return np.minimum(powers, threads)

"""The CPU kernel that is derived from a rule: fused, multi-tensor, multi-threaded, generated for numba.

Its text is in `cpu_source`, and `machine_code` compiles it or finds it again. Here it is called with a batch of
tensors.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyms_core.kernels.batch import PARALLEL_ELEMENTS, Batch, Floats, Integers, Wholes
from tinyms_core.kernels.cpu_source import FRAME, PREPROCESSING, cpu_source
from tinyms_core.kernels.machine_code import machine_code
from tinyms_core.kernels.program import Program
from tinyms_core.kernels.rule import GRADIENT, PARAMETER
from tinyms_core.kernels.runner import Passes, frame_of
from tinyms_core.kernels.threads import thread_count
from tinyms_core.kernels.traffic import Traffic, program_traffic

STORAGE_TYPES = ("float32", "float16", "bfloat16", "float64")


def compute_type(storage: str) -> str:
    """The type of the arithmetic for a parameter's storage type: float32, or float64 for float64."""
    return "float64" if storage == "float64" else "float32"


class CpuKernel:
    """A program, compiled for parameters and gradients of given storage types.

    Arguments:
        program: what to compute.
        parameter: storage type of the parameters; state is stored in `compute_type` of it.
        gradient: storage type of the gradients.
    """

    def __init__(self, program: Program, parameter: str, gradient: str) -> None:
        self.program = program
        self.storage = {PARAMETER: parameter, GRADIENT: gradient}
        for slot in program.state:
            self.storage[slot] = compute_type(parameter)
        self.compute = compute_type(parameter)
        # Scalars that the kernel wants after decay and scale, by name.
        self.scalars = program.slots
        self._loaded: dict[bool, Passes] = {}
        self._lock = threading.Lock()

    def passes(self, batch: Batch) -> Passes:
        """The compiled passes for a batch; their module is written and imported on first use."""
        if batch.centralized not in self._loaded:
            with self._lock:
                if batch.centralized not in self._loaded:
                    self._loaded[batch.centralized] = self._load(batch.centralized)
        return self._loaded[batch.centralized]

    def _load(self, centralized: bool) -> Passes:
        name = f"{self.program.name}_cpu_{self.storage[PARAMETER]}_{self.storage[GRADIENT]}"
        name += "_centralized" if centralized else ""
        source = cpu_source(self.program, self.storage, self.compute, centralized=centralized)
        passes = [f"pass_{stage}" for stage in range(self.program.stages)]
        between = ["combine"] if self.program.stages > 1 else []
        code = machine_code(name, source, (*passes, *between))
        return Passes(code[: len(passes)], *code[len(passes) :])

    def __call__(self, batch: Batch, addresses: Integers, groups: Integers, scalars: Floats) -> None:
        """Update all tensors of a batch by one step, in place.

        Arguments:
            batch: the tensors.
            addresses: address of each tensor's memory, shape (len(program.tensors), tensors), in the
                order of ``program.tensors``; each contiguous.
            groups: row of ``scalars`` that each tensor uses.
            scalars: float64, shape (groups, 2 + slots): the decay that is added to the gradient
                (weight decay times loss scale), the factor of the gradient (1 / loss scale), and the
                program's slots.
        """
        self._run(batch, addresses, groups, scalars, self.program.stages)

    def tensor_values(self, batch: Batch, addresses: Integers, groups: Integers, scalars: Floats) -> Floats:
        """Compute what the last pass would be given for each tensor, and write nothing but what precedes that pass.

        Arguments are those of a call.

        Returns:
            float64, shape (tensors, len(program.tensor_slots)).
        """
        return self._run(batch, addresses, groups, scalars, self.program.stages - 1)

    def traffic(
        self, batch: Batch, groups: Integers, scalars: Floats, stages: int | None = None
    ) -> tuple[Traffic, ...]:
        """What a call moves at least.

        Arguments are those of a call, and:
            stages: how many passes are done, all unless given.
        """
        rows = scalars[np.unique(groups), len(PREPROCESSING) :]
        same = {name: column[0] for name, column in zip(self.scalars, rows.T, strict=True) if len(set(column)) == 1}
        return (program_traffic(self.program, self.storage, batch, same, stages),)

    def _run(self, batch: Batch, addresses: Integers, groups: Integers, scalars: Floats, stages: int) -> Floats:
        """Do the first ``stages`` passes, and return the tensors' scalars."""
        call = _Call(self, batch, addresses, groups, scalars)
        call(stages)
        return call.tensor_scalars


class _Call:
    """A kernel with its arguments, as often as it is called.

    Arguments are those of the kernel's call. Arrays that fit as they are may be changed between two calls.
    """

    def __init__(self, kernel: CpuKernel, batch: Batch, addresses: Integers, groups: Integers, scalars: Floats) -> None:
        program = kernel.program
        count = len(batch.sizes)
        self.tensor_scalars: Floats = np.empty((count, len(program.tensor_slots)))
        self._partials: Floats = np.empty((len(program.reductions), batch.chunks))
        # Compiled code takes the arrays as they lie, whatever they are.
        self._arrays = (
            _fitting(addresses, np.int64, len(program.tensors), count),
            _fitting(groups, np.int64, count),
            _fitting(scalars, np.float64, len(scalars), len(PREPROCESSING) + len(program.slots)),
            self.tensor_scalars,
            self._partials,
        )
        self._kernel = kernel
        self._batch = batch
        self._passes: Passes | None = None
        self._frame = np.concatenate((batch.frame, frame_of(*self._arrays)))
        self._where = self._frame.ctypes.data

    def __call__(self, stages: int | None = None) -> None:
        batch, passes = self._batch, self._passes
        if passes is None:
            passes = self._passes = self._kernel.passes(batch)
        threads = thread_count() if batch.elements >= PARALLEL_ELEMENTS else 1
        if batch.wholes is None:
            passes(self._where, 0, batch.chunks, threads, stages)
        else:
            self._run_parts(passes, batch.wholes, threads, self._kernel.program.stages if stages is None else stages)

    def _run_parts(self, passes: Passes, wholes: Wholes, threads: int, stages: int) -> None:
        """Do the first ``stages`` passes over parts of tensors, putting together sums of all chunks of the wholes."""
        frame = self._frame.copy()
        for stage in range(stages):
            passes.alone(stage, self._where, 0, self._batch.chunks, threads)
            if stage < passes.joins:
                sums = wholes.gather(self._partials)
                own = {"tensor_chunks": wholes.tensor_chunks, "sizes": wholes.sizes, "partials": sums}
                frame[[FRAME.index(name) for name in own]] = frame_of(*own.values())
                frame[FRAME.index("chunks")] = sums.shape[1]
                passes.join(frame.ctypes.data)


def bound_call(kernel: Any, batch: Batch, addresses: Integers, groups: Integers, scalars: Floats) -> Callable[[], None]:
    """A call of a kernel with arrays that stay where they are and may hold something else each time.

    Arguments:
        kernel: any kernel; the others are the arguments of its call.

    Returns:
        What calls it.
    """
    if isinstance(kernel, CpuKernel) and type(kernel).__call__ is CpuKernel.__call__:
        return _Call(kernel, batch, addresses, groups, scalars)
    return partial(kernel, batch, addresses, groups, scalars)


def _fitting(array: npt.NDArray[Any], dtype: type, *shape: int) -> npt.NDArray[Any]:
    if array.shape != shape:
        raise ValueError(f"a kernel's array of shape {shape} is needed, got {array.shape}")
    return np.ascontiguousarray(array, dtype=dtype)

"""The CPU kernel that is derived from a rule: fused, multi-tensor, multi-threaded, generated for numba.

One generated module serves one program and one choice of storage types. It holds, for each pass of the
program, a loop over the elements of a chunk (`_span_…`, the rule itself with the gradient's
preprocessing in front), a loop over chunks (`pass_…`, what is called), and for between two passes a
function that sums the partial results of each tensor in a fixed order (`combine`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyms_core.kernels.batch import BATCH_FRAME, PARALLEL_ELEMENTS, Batch, Floats, Integers, Wholes
from tinyms_core.kernels.generated import load_generated
from tinyms_core.kernels.loops import blocks, fetchers
from tinyms_core.kernels.math import REDUCTIONS
from tinyms_core.kernels.printing import print_combine, print_cpu
from tinyms_core.kernels.program import (
    Program,
    ReductionUse,
    names_in,
    pass_walk,
    repeated_walk,
)
from tinyms_core.kernels.rule import GRADIENT, PARAMETER
from tinyms_core.kernels.runner import Passes, frame_of
from tinyms_core.kernels.threads import thread_count
from tinyms_core.kernels.traffic import Traffic, moved_when, program_traffic

# Sums of squares are kept in the arithmetic's own type over this many elements, and added up in float64.
# Where such a sum leaves the range in which squares are exact enough, it is computed once more in float64.
SHORT_SUM = 2048
SAFE_SUMS = (1e-28, 1e28)
# Columns of the table of scalars that precede the program's slots.
PREPROCESSING = ("decay", "scale")
# What the frame of the passes holds, in order.
FRAME = (*BATCH_FRAME, "addresses", "groups", "scalars", "tensor_scalars", "partials")
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
        self._loaded: Passes | None = None
        self._lock = threading.Lock()

    @property
    def passes(self) -> Passes:
        """The compiled passes; their module is written and imported on first use."""
        if self._loaded is None:
            with self._lock:
                if self._loaded is None:
                    self._loaded = self._load()
        return self._loaded

    def _load(self) -> Passes:
        import numba

        memory = Path(__file__).with_name("memory.py").read_text(encoding="utf-8")
        name = f"{self.program.name}_cpu_{self.storage[PARAMETER]}_{self.storage[GRADIENT]}"
        source = cpu_source(self.program, self.storage, self.compute)
        module = load_generated(name, source, memory + numba.__version__)
        passes = [getattr(module, f"pass_{stage}") for stage in range(self.program.stages)]
        return Passes(passes, getattr(module, "combine", None))

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
        self._frame = np.concatenate((batch.frame, frame_of(*self._arrays)))
        self._where = self._frame.ctypes.data

    def __call__(self, stages: int | None = None) -> None:
        batch = self._batch
        threads = thread_count() if batch.elements >= PARALLEL_ELEMENTS else 1
        if batch.wholes is None:
            self._kernel.passes(self._where, 0, batch.chunks, threads, stages)
        else:
            self._run_parts(batch.wholes, threads, self._kernel.program.stages if stages is None else stages)

    def _run_parts(self, wholes: Wholes, threads: int, stages: int) -> None:
        """Do the first ``stages`` passes over parts of tensors, putting together sums of all chunks of the wholes."""
        passes, frame = self._kernel.passes, self._frame.copy()
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


_PRELUDE = '''"""Generated from the update rule {name!r} by tinyms_core; made anew when the rule changes."""

import numpy as np
from numba import cfunc, njit

from tinyms_core.kernels.memory import accumulate, fetcher, floats_at, integers_at, loader, storer

C = np.{compute}
OPTIONS = dict(cache=True, error_model="numpy", fastmath={{"contract"}})


@njit(**OPTIONS)
def _maximum(a, b):
    return a if (a > b or a != a) else b


@njit(**OPTIONS)
def _minimum(a, b):
    return a if (a < b or a != a) else b


@njit(**OPTIONS)
def _sign(x):
    return C(np.copysign(C(1), x)) if (x < 0 or x > 0) else x + C(0)

'''

_ROW_MEAN = """
@njit(**OPTIONS)
def _row_mean(a_w, a_g, first, last, decay):
    total = 0.0
    for i in range(first, last):
        g = _load_g(a_g, i)
        total = accumulate(total, np.float64(g + decay * _load_w(a_w, i) if decay != 0 else g))
    return C(total / (last - first))

"""


def cpu_source(program: Program, storage: dict[str, str], compute: str) -> str:
    """The text of the generated module.

    Arguments:
        program: what to compute.
        storage: storage type of each tensor, by name.
        compute: type of the arithmetic.

    Returns:
        Python source.
    """
    parts = [_PRELUDE.format(name=program.name, compute=compute)]
    stored = {store.slot for store in program.stores}
    for index, tensor in enumerate(program.tensors):
        parts.append(f'_load_{tensor} = loader("{storage[tensor]}", "{compute}", {index})')
        if tensor in stored:
            parts.append(f'_store_{tensor} = storer("{storage[tensor]}", "{compute}", {index})')
    parts += [*fetchers({tensor: storage[tensor] for tensor in program.tensors}), _ROW_MEAN]
    for stage in range(program.stages):
        parts.append(_span_source(program, stage))
        parts += [_repeated_source(program, index, use) for index, use in _reductions(program, stage)]
        parts.append(_pass_source(program, stage))
    if program.stages > 1:
        parts.append(_combine_source(program))
    return "\n".join(parts)


def _arguments(program: Program) -> tuple[str, str]:
    addresses = ", ".join(f"a_{tensor}" for tensor in program.tensors)
    values = ", ".join(("decay", "center", "scale", *program.slots, *program.tensor_slots))
    return addresses, values


def _reductions(program: Program, stage: int) -> list[tuple[int, ReductionUse]]:
    return [(index, use) for index, use in enumerate(program.reductions) if use.stage == stage]


def _span_source(program: Program, stage: int) -> str:
    addresses, values = _arguments(program)
    needed = pass_walk(program, stage)
    loads = dict(needed.loads)
    gradient = f"{GRADIENT}__0"
    if gradient in loads:
        loads.setdefault(f"{PARAMETER}__0", PARAMETER)
    reductions = _reductions(program, stage)
    lines = ["@njit(**OPTIONS)", f"def _span_{stage}({addresses}, first, last, {values}):"]
    lines += [f"    sum_{index} = {_sum_type(program, use)}(0.0)" for index, use in reductions]
    body = [f"{name} = _load_{tensor}(a_{tensor}, i)" for name, tensor in loads.items() if name != gradient]
    if gradient in loads:
        body.append(f"{gradient} = _load_{GRADIENT}(a_{GRADIENT}, i)")
        body.append(f"{gradient} = {gradient} + decay * {PARAMETER}__0 if decay != 0 else {gradient}")
        body.append(f"{gradient} = ({gradient} - center) * scale")
    body += [f"{d.name} = {print_cpu(d.expression)}" for d in needed.definitions]
    for index, use in reductions:
        body.append(f"x = {_sum_type(program, use)}({print_cpu(use.expression)})")
        body.append(f"sum_{index} = accumulate(sum_{index}, {REDUCTIONS[use.kind].term.format(x='x')})")
    stores = [store for store in program.stores if store.stage == stage]
    body += [f"_store_{store.slot}(a_{store.slot}, i, C({store.name}))" for store in stores]
    moved = moved_when(program, stage)
    if gradient in loads:
        moved.setdefault(PARAMETER, "decay != 0")
    lines += blocks(moved, body)
    totals = "".join(f"sum_{index}, " for index, _ in reductions)
    lines.append(f"    return ({totals})" if reductions else "    return")
    return "\n".join(lines) + "\n\n"


def _sum_type(program: Program, use: ReductionUse) -> str:
    """The type of a short sum: the arithmetic's own where the sum can be checked and repeated."""
    return "C" if REDUCTIONS[use.kind].positive and repeated_walk(program, use) is not None else "np.float64"


def _repeated_source(program: Program, index: int, use: ReductionUse) -> str:
    """A function that computes the sum over a chunk once more, in float64, after the pass."""
    addresses, values = _arguments(program)
    again = repeated_walk(program, use)
    if again is None or _sum_type(program, use) != "C":
        return ""
    lines = ["@njit(**OPTIONS)", f"def _repeat_{index}({addresses}, first, last, {values}):", "    total = 0.0"]
    lines.append("    for i in range(first, last):")
    lines += [f"        {name} = _load_{tensor}(a_{tensor}, i)" for name, tensor in again.loads.items()]
    lines += [f"        {d.name} = {print_cpu(d.expression)}" for d in again.definitions]
    lines.append(f"        x = np.float64({print_cpu(use.expression)})")
    lines.append(f"        total = accumulate(total, {REDUCTIONS[use.kind].term.format(x='x')})")
    return "\n".join([*lines, "    return total", "", ""])


def _pass_source(program: Program, stage: int) -> str:
    addresses, values = _arguments(program)
    reductions = _reductions(program, stage)
    reads = ", ".join(f"addresses[{index} * tensors + k]" for index in range(len(program.tensors)))
    call = f"_span_{stage}({addresses}, {{first}}, {{last}}, {values})"
    columns = len(PREPROCESSING) + len(program.slots)
    lines = [
        '@cfunc("void(int64, int64, CPointer(int64))", **OPTIONS)',
        f"def pass_{stage}(begin, end, frame):",
        *_unpacked("chunk_tensor", "chunk_first", "chunk_last", "rows", "addresses", "groups", "scalars"),
        *_unpacked("tensor_scalars", "partials", "tensors", "chunks"),
        "    for c in range(begin, end):",
        "        k = chunk_tensor[c]",
        f"        {addresses} = {reads}",
        "        s = groups[k]",
    ]
    for column, name in enumerate((*PREPROCESSING, *program.slots)):
        lines.append(f"        {name} = C(scalars[s * {columns} + {column}])")
    for column, name in enumerate(program.tensor_slots):
        value = (
            f"C(tensor_scalars[k * {len(program.tensor_slots)} + {column}])"
            if _known(program, name, stage)
            else "C(0.0)"
        )
        lines.append(f"        {name} = {value}")
    lines += [
        "        row = rows[k]",
        "        first, last = chunk_first[c], chunk_last[c]",
        f"        step = row if row > 0 else {f'min({SHORT_SUM}, last - first)' if reductions else 'last - first'}",
        *(f"        partials[{index} * chunks + c] = 0.0" for index, _ in reductions),
        "        while first < last:",
        "            center = _row_mean(a_w, a_g, first, first + step, decay) if row > 0 else C(0.0)",
    ]
    if reductions:
        lines.append(f"            sums = {call.format(first='first', last='min(first + step, last)')}")
        lines += [
            f"            partials[{i} * chunks + c] += np.float64(sums[{n}])" for n, (i, _) in enumerate(reductions)
        ]
    else:
        lines.append(f"            {call.format(first='first', last='first + step')}")
    lines.append("            first += step")
    checked = [(i, use) for i, use in reductions if _sum_type(program, use) == "C"]
    for index, _ in checked:
        low, high = SAFE_SUMS
        repeat = f"_repeat_{index}({addresses}, chunk_first[c], last, {values})"
        lines.append(f"        if not {low} < partials[{index} * chunks + c] < {high}:")
        lines.append(f"            partials[{index} * chunks + c] = {repeat}")
    return "\n".join(lines) + "\n\n"


def _unpacked(*names: str) -> list[str]:
    """Lines that take parts of the frame; arrays come without their lengths."""
    makers = {
        "scalars": "floats_at",
        "tensor_scalars": "floats_at",
        "partials": "floats_at",
        "tensors": "",
        "chunks": "",
    }
    return [f"    {name} = {makers.get(name, 'integers_at')}(frame[{FRAME.index(name)}])" for name in names]


def _known(program: Program, tensor_slot: str, stage: int) -> bool:
    return program.stage_of[tensor_slot] <= stage


def _combine_source(program: Program) -> str:
    """Sums in the order of the chunks, then the per-tensor scalars, in float64.

    It runs after every pass but the last and computes all of them each time: what depends on a later
    reduction is overwritten before anything reads it.
    """
    columns = len(PREPROCESSING) + len(program.slots)
    lines = [
        '@cfunc("void(CPointer(int64))", **OPTIONS)',
        "def combine(frame):",
        *_unpacked("tensor_chunks", "sizes", "groups", "scalars", "tensor_scalars", "partials", "tensors", "chunks"),
        "    for k in range(tensors):",
        "        s = groups[k]",
    ]
    needed = {name for d in program.tensor_definitions for name in names_in(d.expression)}
    for column, name in enumerate((*PREPROCESSING, *program.slots)):
        if name in needed:
            lines.append(f"        {name} = scalars[s * {columns} + {column}]")
    for index, use in enumerate(program.reductions):
        finish = REDUCTIONS[use.kind].finish.format(sum="total", size="sizes[k]").replace("sqrt", "np.sqrt")
        lines += [
            "        total = 0.0",
            "        for c in range(tensor_chunks[k], tensor_chunks[k + 1]):",
            f"            total += partials[{index} * chunks + c]",
            f"        {use.name} = {finish}",
        ]
    lines += [f"        {d.name} = {print_combine(d.expression)}" for d in program.tensor_definitions]
    width = len(program.tensor_slots)
    lines += [f"        tensor_scalars[k * {width} + {i}] = {name}" for i, name in enumerate(program.tensor_slots)]
    return "\n".join(lines) + "\n"

"""The CPU kernel that is derived from a rule: fused, multi-tensor, multi-threaded, generated for numba.

One generated module serves one program and one choice of storage types. It holds, for each pass of the
program, a loop over the elements of a chunk (`_span_…`, the rule itself with the gradient's
preprocessing in front), a loop over chunks (`pass_…`, what is called), and between two passes a
function that sums the partial results of each tensor in a fixed order (`combine_…`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tinyms_core.kernels.batch import PARALLEL_ELEMENTS, Batch, Floats, Integers
from tinyms_core.kernels.generated import load_generated
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
from tinyms_core.kernels.threads import run_ranges, thread_count
from tinyms_core.kernels.traffic import Traffic, program_traffic

# Sums of squares are kept in the arithmetic's own type over this many elements, and added up in float64.
# Where such a sum leaves the range in which squares are exact enough, it is computed once more in float64.
SHORT_SUM = 2048
SAFE_SUMS = (1e-28, 1e28)
# Columns of the table of scalars that precede the program's slots.
PREPROCESSING = ("decay", "scale")
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
        self._module: ModuleType | None = None
        self._lock = threading.Lock()

    @property
    def module(self) -> ModuleType:
        """The generated module, written and imported on first use."""
        if self._module is None:
            with self._lock:
                if self._module is None:
                    self._module = self._load()
        return self._module

    def _load(self) -> ModuleType:
        import numba

        memory = Path(__file__).with_name("memory.py").read_text(encoding="utf-8")
        name = f"{self.program.name}_cpu_{self.storage[PARAMETER]}_{self.storage[GRADIENT]}"
        return load_generated(name, cpu_source(self.program, self.storage, self.compute), memory + numba.__version__)

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
        module, program = self.module, self.program
        partials = np.empty((len(program.reductions), batch.chunks))
        tensor_scalars = np.empty((len(batch.sizes), len(program.tensor_slots)))
        threads = thread_count() if batch.elements >= PARALLEL_ELEMENTS else 1
        fixed = (
            batch.chunk_tensor, batch.chunk_first, batch.chunk_last, batch.rows,
            addresses, groups, scalars, tensor_scalars, partials,
        )  # fmt: skip
        for stage in range(stages):
            run = getattr(module, f"pass_{stage}")
            run_ranges(partial(_run_pass, run, fixed), batch.chunks, threads)
            if stage + 1 < program.stages:
                module.combine(batch.tensor_chunks, batch.sizes, groups, scalars, partials, tensor_scalars)
        return tensor_scalars


def _run_pass(run: Callable[..., Any], fixed: tuple[Any, ...], first: int, last: int) -> None:
    run(first, last, *fixed)


_PRELUDE = '''"""Generated from the update rule {name!r} by tinyms_core; made anew when the rule changes."""

import numpy as np
from numba import njit

from tinyms_core.kernels.memory import accumulate, loader, storer

C = np.{compute}
OPTIONS = dict(nogil=True, cache=True, error_model="numpy", fastmath={{"contract"}})


@njit(**OPTIONS)
def _maximum(a, b):
    return a if (a > b or a != a) else b


@njit(**OPTIONS)
def _minimum(a, b):
    return a if (a < b or a != a) else b

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
    parts.append(_ROW_MEAN)
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
    lines.append("    for i in range(first, last):")
    for name, tensor in loads.items():
        if name != gradient:
            lines.append(f"        {name} = _load_{tensor}(a_{tensor}, i)")
    if gradient in loads:
        lines.append(f"        {gradient} = _load_{GRADIENT}(a_{GRADIENT}, i)")
        lines.append(f"        {gradient} = {gradient} + decay * {PARAMETER}__0 if decay != 0 else {gradient}")
        lines.append(f"        {gradient} = ({gradient} - center) * scale")
    lines += [f"        {d.name} = {print_cpu(d.expression)}" for d in needed.definitions]
    for index, use in reductions:
        lines.append(f"        x = {_sum_type(program, use)}({print_cpu(use.expression)})")
        lines.append(f"        sum_{index} = accumulate(sum_{index}, {REDUCTIONS[use.kind].term.format(x='x')})")
    for store in program.stores:
        if store.stage == stage:
            lines.append(f"        _store_{store.slot}(a_{store.slot}, i, C({store.name}))")
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
    reads = ", ".join(f"addresses[{index}, k]" for index in range(len(program.tensors)))
    call = f"_span_{stage}({addresses}, {{first}}, {{last}}, {values})"
    lines = [
        "@njit(**OPTIONS)",
        f"def pass_{stage}(begin, end, chunk_tensor, chunk_first, chunk_last, rows,",
        "           addresses, groups, scalars, tensor_scalars, partials):",
        "    for c in range(begin, end):",
        "        k = chunk_tensor[c]",
        f"        {addresses} = {reads}" if len(program.tensors) > 1 else f"        {addresses} = addresses[0, k]",
        "        s = groups[k]",
    ]
    for column, name in enumerate((*PREPROCESSING, *program.slots)):
        lines.append(f"        {name} = C(scalars[s, {column}])")
    for column, name in enumerate(program.tensor_slots):
        value = f"C(tensor_scalars[k, {column}])" if _known(program, name, stage) else "C(0.0)"
        lines.append(f"        {name} = {value}")
    lines += [
        "        row = rows[k]",
        "        first, last = chunk_first[c], chunk_last[c]",
        f"        step = row if row > 0 else {f'min({SHORT_SUM}, last - first)' if reductions else 'last - first'}",
        *(f"        partials[{index}, c] = 0.0" for index, _ in reductions),
        "        while first < last:",
        "            center = _row_mean(a_w, a_g, first, first + step, decay) if row > 0 else C(0.0)",
    ]
    if reductions:
        lines.append(f"            sums = {call.format(first='first', last='min(first + step, last)')}")
        lines += [f"            partials[{i}, c] += np.float64(sums[{n}])" for n, (i, _) in enumerate(reductions)]
    else:
        lines.append(f"            {call.format(first='first', last='first + step')}")
    lines.append("            first += step")
    checked = [(i, use) for i, use in reductions if _sum_type(program, use) == "C"]
    for index, _ in checked:
        low, high = SAFE_SUMS
        repeat = f"_repeat_{index}({addresses}, chunk_first[c], last, {values})"
        lines.append(f"        if not {low} < partials[{index}, c] < {high}:")
        lines.append(f"            partials[{index}, c] = {repeat}")
    return "\n".join(lines) + "\n\n"


def _known(program: Program, tensor_slot: str, stage: int) -> bool:
    return program.stage_of[tensor_slot] <= stage


def _combine_source(program: Program) -> str:
    """Sums in the order of the chunks, then the per-tensor scalars, in float64.

    It runs after every pass but the last and computes all of them each time: what depends on a later
    reduction is overwritten before anything reads it.
    """
    lines = [
        "@njit(**OPTIONS)",
        "def combine(tensor_chunks, sizes, groups, scalars, partials, tensor_scalars):",
        "    for k in range(len(sizes)):",
        "        s = groups[k]",
    ]
    needed = {name for d in program.tensor_definitions for name in names_in(d.expression)}
    for column, name in enumerate((*PREPROCESSING, *program.slots)):
        if name in needed:
            lines.append(f"        {name} = scalars[s, {column}]")
    for index, use in enumerate(program.reductions):
        finish = REDUCTIONS[use.kind].finish.format(sum="total", size="sizes[k]").replace("sqrt", "np.sqrt")
        lines += [
            "        total = 0.0",
            "        for c in range(tensor_chunks[k], tensor_chunks[k + 1]):",
            f"            total += partials[{index}, c]",
            f"        {use.name} = {finish}",
        ]
    lines += [f"        {d.name} = {print_combine(d.expression)}" for d in program.tensor_definitions]
    lines += [f"        tensor_scalars[k, {i}] = {name}" for i, name in enumerate(program.tensor_slots)]
    return "\n".join(lines) + "\n"

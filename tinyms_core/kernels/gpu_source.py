"""The text of the GPU kernels that are derived from a rule: generated Python, compiled by numba for CUDA.

One generated module serves one program and one choice of storage types, as on the CPU. It holds for each pass of
the program the rule itself with the gradient's preprocessing in front (`_element_…`), a loop over the elements of
a range, four at a time where they are aligned (`_span_…`), and a loop over chunks, which is what is launched
(`pass_…`). A pass that reads results of reductions begins each tensor by adding up the sums of its chunks
(`_tensor_…`): every block in the same order, so that nothing depends on how many blocks there are.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinyms_core.kernels.factor import Factor
from tinyms_core.kernels.math import REDUCTIONS
from tinyms_core.kernels.printing import print_gpu, print_gpu_combine
from tinyms_core.kernels.program import Program, ReductionUse, names_in, pass_walk
from tinyms_core.kernels.rule import GRADIENT, PARAMETER
from tinyms_core.kernels.storage import WIDTHS

# A chunk's row in the table of chunks.
CHUNK_ROW = ("tensor", "first", "last")
# What precedes the addresses in a tensor's row of the table of tensors.
TENSOR_ROW = ("size", "row", "team", "group", "first_chunk", "last_chunk")
# Columns of the table of scalars that precede the slots of a program, and those of a factor.
PREPROCESSING = ("decay", "scale")
FACTOR_PREPROCESSING = ("own_decay", "own_scale")
# The group of a tensor without a factor, which takes its decay and scale from the table.
NO_FACTOR = -1
QUAD = 4

_PRELUDE = '''"""Generated from the update rule {name!r} by tinyms_core; made anew when the rule changes."""

import numpy as np
from numba import cuda, float64

from tinyms_core.kernels.gpu_math import exp, expm1, log, log1p, sqrt
from tinyms_core.kernels.gpu_memory import integer_reader, loader, quad_loader, quad_storer, storer

C = np.{compute}
THREADS = {threads}

_integer = integer_reader()
_real, _set_real = loader("float64", "float64"), storer("float64", "float64")


@cuda.jit(device=True, cache=True)
def _maximum(a, b):
    return a if (a > b or a != a) else b


@cuda.jit(device=True, cache=True)
def _minimum(a, b):
    return a if (a < b or a != a) else b


@cuda.jit(device=True, cache=True)
def _sign(x):
    return C(1.0) if x > C(0.0) else (C(-1.0) if x < C(0.0) else x)


@cuda.jit(device=True, cache=True)
def _joined(shared, thread, member, team, value):
    """The sum of the values of a team of threads, in a fixed order; every thread of the block takes part."""
    shared[thread] = value
    cuda.syncthreads()
    half = team // 2
    while half > 0:
        if member < half:
            shared[thread] += shared[thread + half]
        cuda.syncthreads()
        half //= 2
    total = shared[thread - member]
    cuda.syncthreads()
    return total


@cuda.jit(device=True, cache=True)
def _sum_of_chunks(shared, thread, partials, first, last):
    """The sum of a tensor's partial sums; the same in every block."""
    total = 0.0
    c = first + thread
    while c < last:
        total += _real(partials, c)
        c += THREADS
    return _joined(shared, thread, thread, THREADS, total)

'''

_ROW_SUM = """
@cuda.jit(device=True, cache=True)
def _row_sum(a_w, a_g, first, last, member, team, decay):
    total = 0.0
    i = first + member
    while i < last:
        g = _load_g(a_g, i)
        total += np.float64(g + decay * _load_w(a_w, i) if decay != C(0.0) else g)
        i += team
    return total

"""


@dataclass(frozen=True)
class _Part:
    """A program's passes within a kernel: those of the rule, or those of a factor that come before them.

    Attributes:
        program: the program.
        label: what the names of its functions begin with.
        stages: how many of its passes are run.
        column: where its slots begin in the table of scalars.
        preprocessing: the names of the two columns before them.
        reduced: where its sums begin among the kernel's.
    """

    program: Program
    label: str
    stages: int
    column: int
    preprocessing: tuple[str, str]
    reduced: int

    def reductions(self, stage: int) -> list[tuple[int, ReductionUse]]:
        """The reductions of a pass, with their places among the kernel's sums."""
        uses = enumerate(self.program.reductions, self.reduced)
        return [(place, use) for place, use in uses if use.stage == stage]

    def known(self, stage: int) -> list[tuple[int, ReductionUse]]:
        """The reductions of which the results are there before a pass."""
        uses = enumerate(self.program.reductions, self.reduced)
        return [(place, use) for place, use in uses if use.stage < stage]


def scalar_columns(program: Program, factor: Factor | None = None) -> tuple[str, ...]:
    """The columns of a kernel's table of scalars; names that a factor has in common with the rule are told apart."""
    own = (*PREPROCESSING, *program.slots)
    return own if factor is None else (*own, *FACTOR_PREPROCESSING, *(f"factor:{s}" for s in factor.program.slots))


def tensor_row_length(program: Program, factor: Factor | None = None) -> int:
    """The numbers of a tensor in the table of tensors: `TENSOR_ROW`, addresses, and the factor's group at the end."""
    return len(TENSOR_ROW) + len(program.tensors) + (factor is not None)


def gpu_source(program: Program, storage: dict[str, str], compute: str, threads: int, factor: Factor | None) -> str:
    """The text of the generated module.

    Arguments:
        program: what to compute.
        storage: storage type of each tensor, by name.
        compute: type of the arithmetic.
        threads: threads of a block, a power of two.
        factor: what the gradients of some tensors are multiplied by, or None.

    Returns:
        Python source. ``PASSES`` names its kernels in the order of their launches.
    """
    columns = scalar_columns(program, factor)
    own = _Part(program, "", program.stages, len(PREPROCESSING), PREPROCESSING, 0)
    parts = [own]
    if factor is not None:
        start = columns.index(FACTOR_PREPROCESSING[0])
        stages = factor.program.stages - 1
        before = _Part(
            factor.program, "factor_", stages, start + len(FACTOR_PREPROCESSING), FACTOR_PREPROCESSING,
            len(program.reductions),
        )  # fmt: skip
        parts = [before, own]
    text = [_PRELUDE.format(name=program.name, compute=compute, threads=threads)]
    for tensor in program.tensors:
        kinds = f'"{storage[tensor]}", "{compute}"'
        text.append(f"_load_{tensor}, _load4_{tensor} = loader({kinds}), quad_loader({kinds})")
        text.append(f"_store_{tensor}, _store4_{tensor} = storer({kinds}), quad_storer({kinds})")
    text.append(_ROW_SUM)
    if factor is not None:
        text.append(_tensor_source(parts[0], parts[0].stages, columns, (factor.slot,)))
    row = tensor_row_length(program, factor)
    names = []
    for part in parts:
        for stage in range(part.stages):
            text += [_element_source(part, stage), _span_source(part, stage, storage)]
            if part.known(stage):
                text.append(_tensor_source(part, stage, columns, part.program.tensor_slots))
            text.append(_pass_source(part, stage, columns, factor, parts[0], row))
            names.append(f"pass_{part.label}{stage}")
    text.append(f"PASSES = ({', '.join(names)},)\n")
    return "\n".join(text)


def _values(part: _Part) -> str:
    return ", ".join(("decay", "center", "scale", *part.program.slots, *part.program.tensor_slots))


def _addresses(part: _Part) -> str:
    return ", ".join(f"a_{tensor}" for tensor in part.program.tensors)


def _loads(part: _Part, stage: int) -> dict[str, str]:
    """Value to tensor, for what a pass loads: the parameter too where the gradient is, which it may decay."""
    loads = dict(pass_walk(part.program, stage).loads)
    if f"{GRADIENT}__0" in loads:
        loads.setdefault(f"{PARAMETER}__0", PARAMETER)
    return loads


def _stored(part: _Part, stage: int) -> list[tuple[str, str]]:
    """Tensor and value, for what a pass stores."""
    return [(store.slot, store.name) for store in part.program.stores if store.stage == stage]


def _element_source(part: _Part, stage: int) -> str:
    """The rule on one element: what is stored, then what is summed."""
    gradient = f"{GRADIENT}__0"
    loads = _loads(part, stage)
    arguments = ", ".join((*loads, _values(part)))
    lines = ["@cuda.jit(device=True, cache=True)", f"def _element_{part.label}{stage}({arguments}):"]
    if gradient in loads:
        lines.append(f"    {gradient} = {gradient} + decay * {PARAMETER}__0 if decay != C(0.0) else {gradient}")
        lines.append(f"    {gradient} = ({gradient} - center) * scale")
    lines += [f"    {d.name} = {print_gpu(d.expression)}" for d in pass_walk(part.program, stage).definitions]
    results = [f"C({name})" for _, name in _stored(part, stage)]
    for place, use in part.reductions(stage):
        lines.append(f"    x_{place} = np.float64({print_gpu(use.expression)})")
        results.append(REDUCTIONS[use.kind].term.format(x=f"x_{place}"))
    return "\n".join([*lines, f"    return ({', '.join(results)},)", "", ""])


def _span_source(part: _Part, stage: int, storage: dict[str, str]) -> str:
    """A range of elements, of which a thread takes every so many; returns what they add up to."""
    loads, stored, reductions = _loads(part, stage), _stored(part, stage), part.reductions(stage)
    element = f"_element_{part.label}{stage}"
    touched = dict.fromkeys((*loads.values(), *(tensor for tensor, _ in stored)))
    aligned = " and ".join(
        f"(a_{tensor} + {WIDTHS[storage[tensor]]} * first) % {QUAD * WIDTHS[storage[tensor]]} == 0"
        for tensor in touched
    )
    given = f"{_addresses(part)}, first, last, member, team, {_values(part)}"
    lines = ["@cuda.jit(device=True, cache=True)", f"def _span_{part.label}{stage}({given}):"]
    lines += [f"    sum_{place} = 0.0" for place, _ in reductions]
    lines += [
        "    middle = first",
        f"    if {aligned}:",
        f"        middle = first + (last - first) // {QUAD} * {QUAD}",
        f"    i = first + {QUAD} * member",
        "    while i < middle:",
    ]
    lines += [f"        in_{name} = _load4_{tensor}(a_{tensor}, i)" for name, tensor in loads.items()]
    for n in range(QUAD):
        arguments = ", ".join((*(f"in_{name}[{n}]" for name in loads), _values(part)))
        lines.append(f"        out_{n} = {element}({arguments})")
    for place, (tensor, _) in enumerate(stored):
        outputs = ", ".join(f"out_{n}[{place}]" for n in range(QUAD))
        lines.append(f"        _store4_{tensor}(a_{tensor}, i, {outputs})")
    for place, (number, _) in enumerate(reductions, len(stored)):
        lines.append(f"        sum_{number} += {' + '.join(f'out_{n}[{place}]' for n in range(QUAD))}")
    lines += [f"        i += {QUAD} * team", "    i = middle + member", "    while i < last:"]
    arguments = ", ".join((*(f"_load_{tensor}(a_{tensor}, i)" for tensor in loads.values()), _values(part)))
    lines.append(f"        out = {element}({arguments})")
    for place, (tensor, _) in enumerate(stored):
        lines.append(f"        _store_{tensor}(a_{tensor}, i, out[{place}])")
    lines += [f"        sum_{number} += out[{place}]" for place, (number, _) in enumerate(reductions, len(stored))]
    lines.append("        i += team")
    return "\n".join([*lines, f"    return ({''.join(f'sum_{place}, ' for place, _ in reductions)})", "", ""])


def _tensor_source(part: _Part, stage: int, columns: tuple[str, ...], wanted: tuple[str, ...]) -> str:
    """What a tensor's sums make of its scalars, in float64; zero for what a later reduction gives."""
    program = part.program
    known = part.known(stage)
    sums = "".join(f", sum_{place}" for place, _ in known)
    lines = ["@cuda.jit(device=True, cache=True)", f"def _tensor_{part.label}{stage}(scalars, group, size{sums}):"]
    definitions = [d for d in program.tensor_definitions if _is_known(program, d.name, stage)]
    read = {name for d in definitions for name in names_in(d.expression)}
    for column, name in enumerate((*PREPROCESSING, *program.slots), part.column - len(PREPROCESSING)):
        if name in read:
            lines.append(f"    {name} = _real(scalars, {len(columns)} * group + {column})")
    for place, use in known:
        lines.append(f"    {use.name} = {REDUCTIONS[use.kind].finish.format(sum=f'sum_{place}', size='size')}")
    lines += [f"    {d.name} = {print_gpu_combine(d.expression)}" for d in definitions]
    results = [f"np.float64({name})" if _is_known(program, name, stage) else "0.0" for name in wanted]
    return "\n".join([*lines, f"    return ({', '.join(results)},)", "", ""])


def _is_known(program: Program, name: str, stage: int) -> bool:
    return program.stage_of[name] <= stage


def _pass_source(
    part: _Part, stage: int, columns: tuple[str, ...], factor: Factor | None, first: _Part, row: int
) -> str:
    """What is launched: a loop over chunks."""
    program = part.program
    name = f"{part.label}{stage}"
    known, reductions = part.known(stage), part.reductions(stage)
    is_factor = bool(part.label)
    factored = factor is not None and not is_factor
    ordered = bool(known) or factored
    lines = [
        "@cuda.jit(cache=True)",
        f"def pass_{name}(chunk_table, tensor_table, scalars, partials, chunks):",
        "    thread = np.int64(cuda.threadIdx.x)",
        "    block, blocks = np.int64(cuda.blockIdx.x), np.int64(cuda.gridDim.x)",
        "    shared = cuda.shared.array(0, float64)",
    ]
    # A block that has a range of chunks meets few tensors, whose sums it has to find.
    lines += (
        ["    c, end, step, tensor = chunks * block // blocks, chunks * (block + 1) // blocks, 1, -1"]
        if ordered
        else ["    c, end, step = block, chunks, blocks"]
    )
    lines += [f"    {slot} = C(0.0)" for slot in program.tensor_slots]
    if factored:
        lines.append("    factor = 1.0")
    lines += [
        "    while c < end:",
        f"        k = _integer(chunk_table, {len(CHUNK_ROW)} * c)",
        f"        first = _integer(chunk_table, {len(CHUNK_ROW)} * c + 1)",
        f"        last = _integer(chunk_table, {len(CHUNK_ROW)} * c + 2)",
        f"        at = {row} * k",
    ]
    lines += [f"        {column} = _integer(tensor_table, at + {n})" for n, column in enumerate(TENSOR_ROW)]
    lines += [
        f"        a_{tensor} = _integer(tensor_table, at + {n})"
        for n, tensor in enumerate(program.tensors, len(TENSOR_ROW))
    ]
    if factor is not None:
        lines.append(f"        factor_group = _integer(tensor_table, at + {row - 1})")
    if ordered:
        lines += ["        if tensor != k:", "            tensor = k"]
        if factored:
            lines += _found(first, first.stages, "factor_group", ["factor"], "            ", guard="factor_group >= 0")
        if known:
            lines += _found(part, stage, "group", list(program.tensor_slots), "            ")
    group = "factor_group" if is_factor else "group"
    indent = "        "
    if is_factor:
        lines += ["        if factor_group >= 0:"]
        indent += "    "
    start = part.column - len(PREPROCESSING)
    for column, slot in enumerate((*PREPROCESSING, *program.slots), start):
        lines.append(f"{indent}{slot} = C(_real(scalars, {len(columns)} * {group} + {column}))")
    if is_factor:
        # The factor is of the gradient without decay.
        lines.append(f"{indent}decay = C(0.0)")
    if factored:
        at = columns.index(FACTOR_PREPROCESSING[0])
        lines += [
            "        if factor_group >= 0:",
            f"            decay = C(_real(scalars, {len(columns)} * factor_group + {at}))",
            f"            scale = C(factor * _real(scalars, {len(columns)} * factor_group + {at + 1}))",
        ]
    lines += _work(part, name, reductions, indent, rows=not is_factor)
    return "\n".join([*lines, "        c += step", "", ""])


def _found(part: _Part, stage: int, group: str, slots: list[str], indent: str, guard: str = "") -> list[str]:
    """Lines that add up a tensor's sums and find its scalars."""
    sums = [f"sum_{place}" for place, _ in part.known(stage)]
    lines = [
        f"{indent}sum_{place} = _sum_of_chunks("
        f"shared, thread, partials, chunks * {place} + first_chunk, chunks * {place} + last_chunk)"
        for place, _ in part.known(stage)
    ]
    call = f"_tensor_{part.label}{stage}({', '.join(['scalars', group, 'size', *sums])})"
    convert = "" if part.label else "C"
    if guard:
        lines.append(f"{indent}if {guard}:")
        indent += "    "
    lines.append(f"{indent}found = {call}")
    return lines + [f"{indent}{slot} = {convert}(found[{n}])" for n, slot in enumerate(slots)]


def _work(part: _Part, name: str, reductions: list[tuple[int, ReductionUse]], indent: str, rows: bool) -> list[str]:
    """Lines that do a chunk, row by row where the gradient is centralized."""
    addresses, values = _addresses(part), _values(part)
    sums = [f"sum_{place}" for place, _ in reductions]
    lines = [f"{indent}{total} = 0.0" for total in sums]
    whole = f"_span_{name}({addresses}, first, last, thread, THREADS, {values})"
    inner = indent
    if rows:
        each = f"_span_{name}({addresses}, begin, begin + row, member, team, {values})"
        lines += [
            f"{indent}center = C(0.0)",
            f"{indent}if row > 0:",
            f"{indent}    member = thread % team",
            f"{indent}    begin = first + thread // team * row",
            f"{indent}    finish = first",
            f"{indent}    while finish < last:",
            f"{indent}        total = 0.0",
            f"{indent}        if begin < last:",
            f"{indent}            total = _row_sum(a_w, a_g, begin, begin + row, member, team, decay)",
            f"{indent}        center = C(_joined(shared, thread, member, team, total) / row)",
            f"{indent}        if begin < last:",
            *_added(each, sums, f"{indent}            "),
            f"{indent}        begin += THREADS // team * row",
            f"{indent}        finish += THREADS // team * row",
            f"{indent}else:",
        ]
        inner += "    "
    else:
        lines.append(f"{indent}center = C(0.0)")
    lines += _added(whole, sums, inner)
    for place, _ in reductions:
        lines += [
            f"{indent}sum_{place} = _joined(shared, thread, thread, THREADS, sum_{place})",
            f"{indent}if thread == 0:",
            f"{indent}    _set_real(partials, chunks * {place} + c, sum_{place})",
        ]
    return lines


def _added(call: str, sums: list[str], indent: str) -> list[str]:
    if not sums:
        return [f"{indent}{call}"]
    return [f"{indent}more = {call}", *(f"{indent}{total} += more[{n}]" for n, total in enumerate(sums))]

"""The text of a CPU kernel: a module for numba, printed from a program.

One module serves one program and one choice of storage types. It holds, for each pass of the program, a loop over the
elements of a chunk (`_span_…`, the rule itself with the gradient's preprocessing in front), a loop over chunks
(`pass_…`, what is called), and for between two passes a function that sums the partial results of each tensor in a
fixed order (`combine`). Where gradients may be centralized there is a second loop over elements (`_span_and_row_…`),
which does a row and adds up the gradient of the next one: the memory brings that while the core computes this.
"""

from __future__ import annotations

from tinyms_core.kernels.batch import BATCH_FRAME
from tinyms_core.kernels.loops import blocks, fetchers
from tinyms_core.kernels.math import REDUCTIONS
from tinyms_core.kernels.printing import print_combine, print_cpu
from tinyms_core.kernels.program import Program, ReductionUse, names_in, pass_walk, repeated_walk
from tinyms_core.kernels.rule import GRADIENT, PARAMETER
from tinyms_core.kernels.traffic import moved_when

# Sums of squares are kept in the arithmetic's own type over this many elements, and added up in float64.
# Where such a sum leaves the range in which squares are exact enough, it is computed once more in float64.
SHORT_SUM = 2048
SAFE_SUMS = (1e-28, 1e28)
# Columns of the table of scalars that precede the program's slots.
PREPROCESSING = ("decay", "scale")
# The gradient as it is loaded.
_GIVEN = f"{GRADIENT}__0"
# What the frame of the passes holds, in order.
FRAME = (*BATCH_FRAME, "addresses", "groups", "scalars", "tensor_scalars", "partials")

_PRELUDE = '''"""Generated from the update rule {name!r} by tinyms_core; made anew when the rule changes."""

import numpy as np
from numba import cfunc, njit

from tinyms_core.kernels.memory import accumulate, block_adder, fetcher, floats_at, integers_at, loader, storer

C = np.{compute}
# A function beside its caller is compiled a second time, by itself, and would add up in another order there. A pass is
# part of what C calls, so that this sees that there is no exception, and needs nothing of Python to report one.
OPTIONS = dict(error_model="numpy", fastmath={{"contract"}}, forceinline=True)


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


def cpu_source(program: Program, storage: dict[str, str], compute: str, *, centralized: bool = False) -> str:
    """The text of the generated module.

    Arguments:
        program: what to compute.
        storage: storage type of each tensor, by name.
        compute: type of the arithmetic.
        centralized: whether gradients may be centralized; what that takes is compiled for as long as all the rest.

    Returns:
        Python source.
    """
    parts = [_PRELUDE.format(name=program.name, compute=compute)]
    stored = {store.slot for store in program.stores}
    for index, tensor in enumerate(program.tensors):
        parts.append(f'_load_{tensor} = loader("{storage[tensor]}", "{compute}", {index})')
        if tensor in stored:
            parts.append(f'_store_{tensor} = storer("{storage[tensor]}", "{compute}", {index})')
    parts += fetchers({tensor: storage[tensor] for tensor in program.tensors})
    if centralized:
        parts.append(_row_sum_source(program, storage, compute))
    for stage in range(program.stages):
        by_rows = centralized and _GIVEN in pass_walk(program, stage).loads
        parts.append(_span_source(program, stage))
        if by_rows:
            parts.append(_span_source(program, stage, row_ahead=True))
        parts += [_repeated_source(program, index, use) for index, use in _reductions(program, stage)]
        parts.append(_pass_source(program, stage, by_rows))
    if program.stages > 1:
        parts.append(_combine_source(program))
    return "\n".join(parts)


def _arguments(program: Program) -> tuple[str, str]:
    addresses = ", ".join(f"a_{tensor}" for tensor in program.tensors)
    values = ", ".join(("decay", "center", "scale", *program.slots, *program.tensor_slots))
    return addresses, values


def _reductions(program: Program, stage: int) -> list[tuple[int, ReductionUse]]:
    return [(index, use) for index, use in enumerate(program.reductions) if use.stage == stage]


def _row_sum_source(program: Program, storage: dict[str, str], compute: str) -> str:
    """Functions that add up a row of the decayed gradient, fast and in float64, and what they are made of.

    Blocks are added up in the arithmetic's own type, all else in float64. Where that leaves the type's range, the row
    is added up once more.
    """
    # Their elements are others than those that are written at the time, so they have a scope of their own.
    scope = len(program.tensors)
    lines = [
        f'_load_row_{tensor} = loader("{storage[tensor]}", "{compute}", {scope})' for tensor in (PARAMETER, GRADIENT)
    ]
    lines += [
        f'{name} = block_adder("{storage[PARAMETER]}", "{storage[GRADIENT]}", "{compute}", {scope}, decayed={decayed})'
        for name, decayed in (("_add_block", False), ("_add_decayed_block", True))
    ]
    arguments = f"(a_{PARAMETER}, a_{GRADIENT}, first, last, decay):"
    lines += ["", "", "@njit(**OPTIONS)", f"def _row_sum{arguments}", "    total = 0.0"]
    lines += blocks({GRADIENT: "", PARAMETER: "decay != 0"}, (), block=[_row_block()], rest=_row_element())
    lines += ["    return total", "", "", "@njit(**OPTIONS)", f"def _row_again{arguments}", "    total = 0.0"]
    lines += ["    for i in range(first, last):", *(f"        {line}" for line in _row_element())]
    return "\n".join([*lines, "    return total", "", ""])


def _row_block(ahead: str = "") -> str:
    """A line that adds up a block of a row."""
    arguments = f"(a_{PARAMETER}, a_{GRADIENT}, start{ahead}, decay)"
    return f"total += _add_decayed_block{arguments} if decay != 0 else _add_block{arguments}"


def _row_element(ahead: str = "") -> list[str]:
    """Lines that add up an element of a row."""
    return [
        f"x = _load_row_{GRADIENT}(a_{GRADIENT}, i{ahead})",
        f"x = x + decay * _load_row_{PARAMETER}(a_{PARAMETER}, i{ahead}) if decay != 0 else x",
        "total += np.float64(x)",
    ]


def _span_source(program: Program, stage: int, row_ahead: bool = False) -> str:
    """The rule for a range of elements; with ``row_ahead`` it also adds up as many that come ``ahead`` elements later.

    So the memory brings the next row's gradient while this one's is done with, and neither waits.
    """
    addresses, values = _arguments(program)
    needed = pass_walk(program, stage)
    loads = dict(needed.loads)
    gradient = _GIVEN
    if gradient in loads:
        loads.setdefault(f"{PARAMETER}__0", PARAMETER)
    reductions = _reductions(program, stage)
    name, own = (f"_span_and_row_{stage}", "ahead, ") if row_ahead else (f"_span_{stage}", "")
    lines = ["@njit(**OPTIONS)", f"def {name}({addresses}, first, last, {own}{values}):"]
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
    results = [f"sum_{index}" for index, _ in reductions]
    if row_ahead:
        lines.append("    total = 0.0")
        further = {GRADIENT: "ahead", PARAMETER: "ahead"}
        block, rest = [_row_block(" + ahead")], _row_element(" + ahead")
        lines += blocks(moved, body, beyond=further, always=True, block=block, rest=rest)
        results.append("total")
    else:
        lines += blocks(moved, body)
    lines.append(f"    return ({''.join(f'{result}, ' for result in results)})" if results else "    return")
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


def _pass_source(program: Program, stage: int, by_rows: bool) -> str:
    addresses, _ = _arguments(program)
    reductions = _reductions(program, stage)
    reads = ", ".join(f"addresses[{index} * tensors + k]" for index in range(len(program.tensors)))
    columns = len(PREPROCESSING) + len(program.slots)
    lines = [
        '@cfunc("void(int64, int64, CPointer(int64))", **OPTIONS)',
        f"def pass_{stage}(begin, end, frame):",
        *_unpacked("chunk_tensor", "chunk_first", "chunk_last", "rows", "addresses", "groups", "scalars"),
        *_unpacked("tensor_scalars", "partials", "tensors", "chunks"),
        "    total, follows = 0.0, False",
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
        "        first, last = chunk_first[c], chunk_last[c]",
        *(f"        partials[{index} * chunks + c] = 0.0" for index, _ in reductions),
    ]
    lines += [f"        {line}" for line in _chunk_lines(program, stage, by_rows)]
    checked = [(i, use) for i, use in reductions if _sum_type(program, use) == "C"]
    for index, _ in checked:
        low, high = SAFE_SUMS
        repeat = _call(program, f"_repeat_{index}", "chunk_first[c], last")
        lines.append(f"        if not {low} < partials[{index} * chunks + c] < {high}:")
        lines.append(f"            partials[{index} * chunks + c] = {repeat}")
    return "\n".join(lines) + "\n\n"


def _chunk_lines(program: Program, stage: int, by_rows: bool) -> list[str]:
    """Lines that do a chunk, with ``by_rows`` row by row where its gradient is centralized."""
    piece = f"min(first + {SHORT_SUM}, {{0}})" if _reductions(program, stage) else "{0}"
    if not by_rows:
        own = [f"till = {piece.format('last')}", *_span_lines(program, stage), "first = till"]
        return ["center = C(0.0)", "while first < last:", *(f"    {line}" for line in own)]
    ahead, alone = _span_lines(program, stage, row_ahead=True), _span_lines(program, stage)
    bounds = f"a_{PARAMETER}, a_{GRADIENT}, first, first + row, decay"
    own = [f"till = {piece.format('stop')}"]
    own += ["if ahead > 0:", *(f"    {line}" for line in ahead), "else:", *(f"    {line}" for line in alone)]
    # A chunk's sums must not depend on who does the one before it, and two loops need not add up alike.
    follows = "False" if _reductions(program, stage) else "c + 1 < end and chunk_tensor[c + 1] == k and rows[k] > 0"
    return [
        "row = rows[k]",
        "length = row if row > 0 else last - first",
        "if not follows:",
        f"    total = _row_sum({bounds})",
        f"follows = {follows}",
        "while first < last:",
        "    if not abs(total) < np.inf:",
        f"        total = _row_again({bounds})",
        "    center = C(total / row) if row > 0 else C(0.0)",
        "    stop = first + length",
        "    ahead = row if stop < last or follows else 0",
        "    total = 0.0",
        "    while first < stop:",
        *(f"        {line}" for line in (*own, "first = till")),
    ]


def _span_lines(program: Program, stage: int, row_ahead: bool = False) -> list[str]:
    """Lines that do the elements from ``first`` to ``till``, and add to the sums."""
    name, own, results = (
        ("_span_and_row", "first, till, ahead", "more") if row_ahead else ("_span", "first, till", "sums")
    )
    reductions = _reductions(program, stage)
    lines = [f"{results} = {_call(program, f'{name}_{stage}', own)}"]
    lines += [f"partials[{i} * chunks + c] += np.float64({results}[{n}])" for n, (i, _) in enumerate(reductions)]
    return [*lines, f"total += {results}[{len(reductions)}]"] if row_ahead else lines


def _call(program: Program, function: str, own: str) -> str:
    addresses, values = _arguments(program)
    return f"{function}({addresses}, {own}, {values})"


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

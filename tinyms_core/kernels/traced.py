"""The traced update that is derived from a rule: MindSpore operators, for a graph on any device.

Like the CPU kernel it is generated as a module, since MindSpore parses files. The module holds
``step_scalars``, the rule's scalar part that changes from step to step, on 0-d tensors, and ``step``, which
prepares a gradient and updates one parameter. ``step`` is overloaded for dense gradients and for rows: an
`if` on them crashes MindSpore's compiler. Every new value is computed before the first is assigned.
"""

from __future__ import annotations

import ast
import numbers
from dataclasses import dataclass
from types import ModuleType

from tinyms_core.kernels.cpu import compute_type
from tinyms_core.kernels.generated import load_generated
from tinyms_core.kernels.host import host_function
from tinyms_core.kernels.math import REDUCTIONS
from tinyms_core.kernels.printing import Printer, print_traced
from tinyms_core.kernels.program import Definition, Level, Program, names_in
from tinyms_core.kernels.rule import GRADIENT, PARAMETER


@dataclass(frozen=True)
class TracedProgram:
    """A program as MindSpore operators, with the constants to call it.

    Attributes:
        module: the generated module.
        inputs: arguments of ``step_scalars``, 0-d tensors of the wide type.
        constants: values of those inputs that never change, by name.
        fixed: values of the slots that never change, by name.
        step_slots: slots that ``step_scalars`` returns, before the scalar state.
        slots: all slots, in the order of ``update``'s arguments.
    """

    module: ModuleType
    inputs: tuple[str, ...]
    constants: dict[str, float]
    fixed: dict[str, float]
    step_slots: tuple[str, ...]
    slots: tuple[str, ...]


def trace_program(
    program: Program,
    hyperparameters: dict[str, float],
    parameter: str,
    sparse: str = "none",
    wide: str = "float64",
    result: str = "",
) -> TracedProgram:
    """Generate the traced update of a program.

    Arguments:
        program: what to compute.
        hyperparameters: value of each hyperparameter that is fixed.
        parameter: storage type of the parameters.
        sparse: what becomes of rows of a sparse gradient: "exact", "lazy" or "none".
        wide: type for scalars and reductions: float64, or float32 on a device without it.
        result: a value of the program that ``update`` returns instead of assigning anything.

    Returns:
        The generated functions, with the constants to call them.
    """
    levels = {d.name: d.level for d in program.host}
    step_definitions = [d for d in program.host if d.level == Level.STEP]
    literals: dict[str, float] = {}
    body = [f"    {d.name} = {_print_with_literals(d.expression, literals)}" for d in step_definitions]
    inputs, constants = _inputs(program, step_definitions, hyperparameters, literals)
    fixed = _fixed_values(program, hyperparameters, levels)
    step_slots = tuple(name for name in program.slots if levels[name] == Level.STEP)
    results = (*step_slots, *_scalar_state(program, fixed, constants))
    lines = [f"def step_scalars({', '.join(inputs)}):", *body]
    lines.append(f"    return ({', '.join(results)}{',' if results else ''})")
    source = "\n".join([_PRELUDE.format(name=program.name, wide=wide, compute=compute_type(parameter)), *lines])
    source += "\n\n\n" + _update_source(program, parameter, result)
    if sparse == "lazy":
        source += "\n\n" + _row_update_source(program, parameter)
    if not result:
        source += "\n\n" + _step_source(program, sparse)
    module = load_generated(f"{program.name}_traced_{parameter}", source)
    constant_slots = {name: fixed[name] for name in program.slots if name in fixed}
    return TracedProgram(module, inputs, constants, constant_slots, step_slots, program.slots)


_PRELUDE = '''"""Generated from the update rule {name!r} by tinyms_core; made anew when the rule changes."""

import mindspore
from mindspore import ops

from tinyms_core.kernels.traced_gradients import densified_rows, distinct_rows, prepared, prepared_rows

WIDE = mindspore.{wide}
COMPUTE = mindspore.{compute}


'''


# How a new value is written, whole or by rows, by the storage type. On CPU, Assign, Gather and ScatterUpdate
# have no kernel for bfloat16; the in-place copy has.
_WRITES = {
    "bfloat16": "{slot}.copy_(ops.cast({value}, mindspore.bfloat16))",
    "other": "ops.assign({slot}, ops.cast({value}, mindspore.{kind}))",
}
_ROW_READS = {"bfloat16": "ops.gather(ops.cast({slot}, COMPUTE), rows, 0)", "other": "ops.gather({slot}, rows, 0)"}
_ROW_WRITES = {
    "bfloat16": "{slot}.copy_(ops.cast(ops.tensor_scatter_update(ops.cast({slot}, COMPUTE), "
    "rows.reshape((-1, 1)), {value}), mindspore.bfloat16))",
    "other": "ops.scatter_update({slot}, rows, ops.cast({value}, mindspore.{kind}))",
}


def _print_with_literals(expression: ast.expr, literals: dict[str, float]) -> str:
    """Print a scalar expression; a literal that is no whole number becomes an input, to keep all its digits."""

    def constant(value: float) -> str:
        if float(value).is_integer():
            return repr(value)
        name = f"_k{len(literals)}"
        literals[name] = float(value)
        return name

    return Printer(print_traced.spelling, constant, print_traced.connective)(expression)


def _inputs(
    program: Program, definitions: list[Definition], hyperparameters: dict[str, float], literals: dict[str, float]
) -> tuple[tuple[str, ...], dict[str, float]]:
    own = {d.name for d in definitions}
    read = dict.fromkeys(n for d in definitions for n in names_in(d.expression) if n not in own)
    fixed = _host_values(program, hyperparameters)
    constants = {name: fixed[name] for name in read if name in fixed}
    constants.update(literals)
    varying = [name for name in read if name not in constants]
    return (*varying, *constants), constants


def _host_values(program: Program, hyperparameters: dict[str, float]) -> dict[str, float]:
    """Every FIXED value of the host part, by name, evaluated as the CPU path evaluates it."""
    fixed = [d for d in program.host if d.level == Level.FIXED]
    scalars = tuple(name for name in program.scalars if name in hyperparameters)
    probe = Program(
        name=program.name, tensors=program.tensors, scalar_state={}, scalars=scalars, host=tuple(fixed),
        slots=tuple(d.name for d in fixed), tensor_definitions=(), tensor_slots=(), reductions=(),
        definitions=(), stores=(), stages=1, stage_of={},
    )  # fmt: skip
    values = host_function(probe)(**{name: hyperparameters[name] for name in scalars})
    known = {name: float(v) for name, v in hyperparameters.items() if isinstance(v, numbers.Real)}
    return {**known, **dict(zip(probe.slots, values, strict=True))}


def _fixed_values(program: Program, hyperparameters: dict[str, float], levels: dict[str, Level]) -> dict[str, float]:
    values = _host_values(program, hyperparameters)
    return {name: values[name] for name, level in levels.items() if level == Level.FIXED}


def _scalar_state(program: Program, fixed: dict[str, float], constants: dict[str, float]) -> list[str]:
    for name in program.scalar_state.values():
        if name in fixed and name not in constants:
            constants[name] = fixed[name]
    return list(program.scalar_state.values())


def _update_source(program: Program, parameter: str, result: str) -> str:
    """``update``, which computes every new value before it assigns the first, or returns the one that is asked for."""
    lines = [f"def update({', '.join((*program.tensors, *program.slots))}):"]
    for tensor in program.tensors:
        value = tensor if tensor == GRADIENT else f"ops.cast({tensor}, COMPUTE)"
        lines.append(f"    {tensor}__0 = {value}")
    lines += [f"    {line}" for line in _ordered_body(program)]
    if result:
        return "\n".join([*lines, f"    return {result}", ""])
    return "\n".join([*lines, *_store_lines(program, parameter, _WRITES), ""])


def _row_update_source(program: Program, parameter: str) -> str:
    """``update_rows``, the same for some rows of a parameter and of its state."""
    lines = [f"def update_rows(rows, {', '.join((*program.tensors, *program.slots))}):"]
    for tensor in program.tensors:
        read = _spelling(_ROW_READS, _storage(tensor, parameter)).format(slot=tensor)
        lines.append(f"    {tensor}__0 = {tensor if tensor == GRADIENT else f'ops.cast({read}, COMPUTE)'}")
    lines += [f"    {line}" for line in _ordered_body(program)]
    return "\n".join([*lines, *_store_lines(program, parameter, _ROW_WRITES), ""])


def _store_lines(program: Program, parameter: str, writes: dict[str, str]) -> list[str]:
    # What is returned hangs on every assignment, or a graph with a constant result would drop them.
    lines = ["    done = True"]
    for store in program.stores:
        kind = _storage(store.slot, parameter)
        written = _spelling(writes, kind).format(slot=store.slot, value=store.name, kind=kind)
        lines.append(f"    done = ops.depend(done, {written})")
    return [*lines, "    return done"]


def _storage(tensor: str, parameter: str) -> str:
    return parameter if tensor == PARAMETER else compute_type(parameter)


def _spelling(table: dict[str, str], kind: str) -> str:
    return table.get(kind, table["other"])


# The functions of ``step``: how the gradient's own arguments are named, and what is done with them.
_PREPARATION = "COMPUTE, decay, scale, decays, centers, scales"
_STEPS = {
    "none": (),
    "lazy": (
        "    if indices.shape[0] == 0:",
        "        return True",
        "    rows, values = distinct_rows(indices, ops.cast(values, COMPUTE), summed)",
        f"    ready = prepared_rows(values, rows, w, {_PREPARATION})",
        "    return update_rows(rows, w, ready, {rest})",
    ),
    "exact": (
        f"    ready = densified_rows(ops.cast(values, COMPUTE), indices, w, {_PREPARATION})",
        "    return update(w, ready, {rest})",
    ),
}


def _step_source(program: Program, sparse: str) -> str:
    """``step``, overloaded for the kinds of gradients. Its arguments are flat: tuples crash beside rows."""
    rest = ", ".join((*program.state, *program.slots))
    fixed = ", ".join(name for name in ("w", rest, "decay, scale, decays, centers, scales, summed") if name)
    kinds = ", ".join(['"Tensor"'] * (3 + len(program.state) + len(program.slots)) + ['"Bool"'] * 4)
    lines = [
        'step = ops.MultitypeFuncGraph("step")',
        "",
        "",
        f'@step.register({kinds}, "Tensor")',
        f"def step_dense({fixed}, g):",
        f"    return update(w, prepared(g, w, {_PREPARATION}), {rest})",
    ]
    if sparse != "none":
        lines += ["", "", f"def step_rows({fixed}, indices, values):"]
        lines += [line.format(rest=rest) for line in _STEPS[sparse]]
        for kind, parts in (("RowTensor", "g.indices, g.values"), ("Tuple", "g[0], g[1]")):
            lines += ["", "", f'@step.register({kinds}, "{kind}")', f"def step_{kind.lower()}({fixed}, g):"]
            lines.append(f"    return step_rows({fixed}, {parts})")
    return "\n".join([*lines, ""])


def _ordered_body(program: Program) -> list[str]:
    """All definitions and reductions, each after what it reads."""
    lines: list[str] = []
    known = {f"{tensor}__0" for tensor in program.tensors} | set(program.slots)
    waiting: list[tuple[str, list[str], str]] = []
    for definition in (*program.definitions, *program.tensor_definitions):
        text = print_traced(definition.expression)
        if definition.level == Level.TENSOR and definition.name in program.tensor_slots:
            text = f"ops.cast({text}, COMPUTE)"
        waiting.append((definition.name, names_in(definition.expression), text))
    for use in program.reductions:
        row = REDUCTIONS[use.kind]
        term = row.term.format(x=f"ops.cast({print_traced(use.expression)}, WIDE)")
        text = row.finish.format(sum=f"({term}).sum()", size="w.size").replace("sqrt(", "ops.sqrt(")
        waiting.append((use.name, names_in(use.expression), text))
    while waiting:
        ready = [item for item in waiting if set(item[1]) <= known]
        assert ready, f"the program of {program.name} reads what it never computes"
        for name, _, text in ready:
            lines.append(f"{name} = {text}")
            known.add(name)
        waiting = [item for item in waiting if item not in ready]
    return lines

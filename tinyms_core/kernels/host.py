"""The scalar part of a rule: computed once a step on the host, in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tinyms_core.kernels.math import HOST_NAMESPACE
from tinyms_core.kernels.printing import print_host
from tinyms_core.kernels.program import Program
from tinyms_core.kernels.update import Plan


def host_function(program: Program | Plan) -> Callable[..., tuple[float, ...]]:
    """Compile the scalar part of a program.

    Arguments:
        program: the program, or an update's plan.

    Returns:
        A function of the program's scalars, by name, that returns the values of ``program.slots`` and
        then those of ``program.scalar_state``.
    """
    return row_function(program, (*program.slots, *program.scalar_state.values()), {}, program.scalars)


def row_function(
    program: Program | Plan,
    results: Sequence[str],
    fixed: Mapping[str, Any],
    varying: Sequence[str],
) -> Callable[..., tuple[float, ...]]:
    """Compile the scalar part of a program for some of its values.

    Arguments:
        program: the program, or an update's plan.
        results: what is wanted, in order: names of what the program computes, or of scalars.
        fixed: scalars that stay as they are, by name.
        varying: names of the others; where both have a name, it is one of these.

    Returns:
        A function of the values of ``varying``, in order.
    """
    lines = [f"def host({', '.join(varying)}):"]
    lines += [f"    {d.name} = {print_host(d.expression)}" for d in program.host]
    lines.append(f"    return ({', '.join(results)}{',' if results else ''})")
    namespace = {**fixed, **HOST_NAMESPACE}
    exec(compile("\n".join(lines), f"<scalars of {program.name}>", "exec"), namespace)
    compiled: Callable[..., tuple[float, ...]] = namespace["host"]
    return compiled

"""The scalar part of a rule: computed once a step on the host, in float64."""

from __future__ import annotations

from collections.abc import Callable

from tinyms_core.kernels.math import HOST_NAMESPACE
from tinyms_core.kernels.printing import print_host
from tinyms_core.kernels.program import Program


def host_function(program: Program) -> Callable[..., tuple[float, ...]]:
    """Compile the scalar part of a program.

    Arguments:
        program: the program.

    Returns:
        A function of the program's scalars, by name, that returns the values of ``program.slots`` and
        then those of ``program.scalar_state``.
    """
    lines = [f"def host({', '.join(program.scalars)}):"]
    lines += [f"    {d.name} = {print_host(d.expression)}" for d in program.host]
    results = (*program.slots, *program.scalar_state.values())
    lines.append(f"    return ({', '.join(results)}{',' if results else ''})")
    namespace = dict(HOST_NAMESPACE)
    exec(compile("\n".join(lines), f"<scalars of {program.name}>", "exec"), namespace)
    compiled: Callable[..., tuple[float, ...]] = namespace["host"]
    return compiled

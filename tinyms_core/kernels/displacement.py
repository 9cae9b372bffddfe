"""Whether parameter and state can be apart: of which rules single elements are enough, and for which displacements."""

from __future__ import annotations

import ast

from tinyms_core.kernels.program import Program, names_in
from tinyms_core.kernels.rule import PARAMETER
from tinyms_core.kernels.update import Plan


def not_elementwise(program: Program | Plan) -> str:
    """Say why a step cannot be done on some of a tensor's elements at a time; empty where it can."""
    if isinstance(program, Plan):
        return f"a step of {program.name} is of whole arrays, and state can be offloaded where it is of single elements"
    if program.reductions:
        kinds = sorted({use.kind for use in program.reductions})
        return (
            f"a step of {program.name} needs the {' and the '.join(kinds)} of whole arrays, and state can be offloaded "
            "where it is of single elements"
        )
    return ""


def only_displaces(program: Program) -> bool:
    """Whether a step adds to the parameter what can be computed without it.

    Then the step of a parameter that is zero gives the displacement, and where parameter and state are apart only the
    gradient and the displacement have to be moved. Weight decay that is added to the gradient is not looked at here.

    Arguments:
        program: a rule's program.

    Returns:
        Whether that is so; a rule of another form than ``w = w + …`` or ``w = w - …`` is taken not to be.
    """
    if program.reductions:
        return False
    values = {d.name: d.expression for d in program.definitions}
    start = f"{PARAMETER}__0"

    def free(expression: ast.expr) -> bool:
        """Whether an expression does not depend on the parameter."""
        return all(name != start and (name not in values or free(values[name])) for name in names_in(expression))

    def moved(expression: ast.expr) -> bool:
        """Whether an expression is the parameter and what does not depend on it."""
        if isinstance(expression, ast.Name):
            return expression.id == start or (expression.id in values and moved(values[expression.id]))
        if not isinstance(expression, ast.BinOp) or not isinstance(expression.op, ast.Add | ast.Sub):
            return False
        left, right = expression.left, expression.right
        turned = isinstance(expression.op, ast.Add) and free(left) and moved(right)
        return turned or (moved(left) and free(right))

    for store in program.stores:
        value = ast.Name(store.name, ast.Load())
        if not (moved(value) if store.slot == PARAMETER else free(value)):
            return False
    return any(store.slot == PARAMETER for store in program.stores)

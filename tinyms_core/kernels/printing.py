"""Expressions of a program as source text, in the words of one backend."""

from __future__ import annotations

import ast
from collections.abc import Callable

from tinyms_core.kernels.math import FUNCTIONS
from tinyms_core.kernels.program import CALL, COMPARISONS, OPERATORS

Constant = Callable[[float], str]


class Printer:
    """Prints expressions for one backend.

    Arguments:
        spelling: which column of the table of functions to use.
        constant: how a literal is written.
        connective: how ``and``, ``or`` and ``not`` are written, as format strings.
    """

    def __init__(self, spelling: str, constant: Constant, connective: dict[type[ast.AST], str]) -> None:
        self.spelling = spelling
        self.constant = constant
        self.connective = connective

    def __call__(self, node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.Constant):
            assert isinstance(node.value, int | float)
            return self.constant(node.value)
        if isinstance(node, ast.UnaryOp):
            if isinstance(node.op, ast.Not):
                return self.connective[ast.Not].format(self(node.operand))
            return f"({'-' if isinstance(node.op, ast.USub) else '+'}{self(node.operand)})"
        if isinstance(node, ast.BinOp):
            return f"({self(node.left)} {OPERATORS[type(node.op)]} {self(node.right)})"
        if isinstance(node, ast.Compare):
            return f"({self(node.left)} {COMPARISONS[type(node.ops[0])]} {self(node.comparators[0])})"
        if isinstance(node, ast.BoolOp):
            text = self(node.values[0])
            for value in node.values[1:]:
                text = self.connective[type(node.op)].format(text, self(value))
            return text
        assert isinstance(node, ast.Call)
        assert isinstance(node.func, ast.Name)
        template: str = getattr(FUNCTIONS[node.func.id.removeprefix(CALL)], self.spelling)
        return template.format(*(self(argument) for argument in node.args))


_PYTHON_CONNECTIVES: dict[type[ast.AST], str] = {
    ast.And: "({0} and {1})",
    ast.Or: "({0} or {1})",
    ast.Not: "(not {0})",
}
_OPERATOR_CONNECTIVES: dict[type[ast.AST], str] = {
    ast.And: "ops.logical_and({0}, {1})",
    ast.Or: "ops.logical_or({0}, {1})",
    ast.Not: "ops.logical_not({0})",
}

print_host = Printer("host", repr, _PYTHON_CONNECTIVES)
print_cpu = Printer("cpu", lambda value: f"C({float(value)!r})", _PYTHON_CONNECTIVES)
print_combine = Printer("cpu", lambda value: repr(float(value)), _PYTHON_CONNECTIVES)
print_gpu = Printer("gpu", lambda value: f"C({float(value)!r})", _PYTHON_CONNECTIVES)
print_gpu_combine = Printer("gpu", lambda value: repr(float(value)), _PYTHON_CONNECTIVES)
print_traced = Printer("traced", repr, _OPERATOR_CONNECTIVES)

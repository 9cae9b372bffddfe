"""The functions that an update rule may call, with one spelling for each backend.

A rule is written once and compiled for several devices, so it may only call what every backend can
say. Each row of the two tables below is one such function. Called from plain Python the functions
work on numpy arrays and floats, which lets a rule be tried out in an interpreter:

>>> from tinyms_core import math
>>> float(math.sqrt(9.0))
3.0
>>> math.where(True, 1.0, 2.0).item()
1.0
"""

from __future__ import annotations

import builtins
import math as _math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = [
    "absolute",
    "exp",
    "expm1",
    "log",
    "log1p",
    "maximum",
    "mean",
    "minimum",
    "norm",
    "power",
    "root_mean_square",
    "sign",
    "sqrt",
    "total",
    "where",
]


@dataclass(frozen=True)
class Function:
    """An elementwise function: how each backend spells a call with arguments ``{0}``, ``{1}``, …"""

    name: str
    arity: int
    host: str
    cpu: str
    traced: str

    @property
    def gpu(self) -> str:
        """The CPU's spelling, with the functions of `gpu_math` in place of numpy's."""
        return self.cpu.replace("np.", "")


@dataclass(frozen=True)
class Reduction:
    """A reduction over one tensor: what is summed for an element ``{x}``, and what becomes of the sum.

    ``finish`` may use ``{sum}`` and ``{size}``, the tensor's number of elements. The terms of a ``positive`` one
    cannot cancel.
    """

    name: str
    term: str
    finish: str
    positive: bool = False


FUNCTIONS = {
    row.name: row
    for row in (
        Function("sqrt", 1, "_sqrt({0})", "np.sqrt({0})", "ops.sqrt({0})"),
        Function("exp", 1, "_exp({0})", "np.exp({0})", "ops.exp({0})"),
        Function("log", 1, "_log({0})", "np.log({0})", "ops.log({0})"),
        # Of a small float32 value, MindSpore's own two lose the digits that they are there to keep (on CPU).
        Function("expm1", 1, "_expm1({0})", "np.expm1({0})", "ops.cast(ops.exp(ops.cast({0}, WIDE)) - 1, ({0}).dtype)"),
        Function("log1p", 1, "_log1p({0})", "np.log1p({0})", "ops.cast(ops.log(1 + ops.cast({0}, WIDE)), ({0}).dtype)"),
        Function("absolute", 1, "abs({0})", "abs({0})", "ops.abs({0})"),
        Function("sign", 1, "_sign({0})", "_sign({0})", "ops.sign({0})"),
        Function("maximum", 2, "max({0}, {1})", "_maximum({0}, {1})", "ops.maximum({0}, {1})"),
        Function("minimum", 2, "min({0}, {1})", "_minimum({0}, {1})", "ops.minimum({0}, {1})"),
        Function(
            "power", 2, "({0}) ** ({1})", "({0}) ** ({1})", "ops.cast(ops.pow(ops.cast({0}, WIDE), {1}), ({0}).dtype)"
        ),
        Function("where", 3, "(({1}) if ({0}) else ({2}))", "(({1}) if ({0}) else ({2}))", "ops.where({0}, {1}, {2})"),
    )
}

REDUCTIONS = {
    row.name: row
    for row in (
        Reduction("norm", "{x} * {x}", "sqrt({sum})", positive=True),
        Reduction("root_mean_square", "{x} * {x}", "sqrt({sum} / {size})", positive=True),
        Reduction("total", "{x}", "{sum}"),
        Reduction("mean", "{x}", "{sum} / {size}"),
    )
}


def sqrt(x: Any) -> Any:
    """The square root of each element."""
    return np.sqrt(x)


def exp(x: Any) -> Any:
    """e to the power of each element."""
    return np.exp(x)


def log(x: Any) -> Any:
    """The natural logarithm of each element."""
    return np.log(x)


def expm1(x: Any) -> Any:
    """e to the power of each element, less 1, with all digits also where that is small."""
    return np.expm1(x)


def log1p(x: Any) -> Any:
    """The natural logarithm of 1 plus each element, with all digits also where the element is small."""
    return np.log1p(x)


def absolute(x: Any) -> Any:
    """The magnitude of each element."""
    return np.absolute(x)


def sign(x: Any) -> Any:
    """-1, 0 or 1 for each element, as it is negative, zero or positive."""
    return np.sign(x)


def maximum(x: Any, y: Any) -> Any:
    """The larger of two values, elementwise; NaN where either is NaN."""
    return np.maximum(x, y)


def minimum(x: Any, y: Any) -> Any:
    """The smaller of two values, elementwise; NaN where either is NaN."""
    return np.minimum(x, y)


def power(x: Any, y: Any) -> Any:
    """``x`` to the power of ``y``, elementwise."""
    return np.power(x, y)


def where(condition: Any, x: Any, y: Any) -> Any:
    """``x`` where the condition holds, else ``y``; both are computed."""
    return np.where(condition, x, y)


def norm(x: Any) -> Any:
    """The Euclidean norm of the whole tensor: the square root of the sum of squares."""
    return np.sqrt(np.sum(np.square(x)))


def root_mean_square(x: Any) -> Any:
    """The square root of the mean of the squares of the whole tensor."""
    return np.sqrt(np.mean(np.square(x)))


def total(x: Any) -> Any:
    """The sum over the whole tensor."""
    return np.sum(x)


def mean(x: Any) -> Any:
    """The mean over the whole tensor."""
    return np.mean(x)


def _host_sqrt(x: float) -> float:
    return _math.sqrt(x) if x >= 0.0 else _math.nan


def _host_sign(x: float) -> float:
    return _math.copysign(1.0, x) if x else 0.0


# What a generated host function sees besides its arguments.
HOST_NAMESPACE: dict[str, Any] = {
    "_sqrt": _host_sqrt,
    "_exp": _math.exp,
    "_log": _math.log,
    "_expm1": _math.expm1,
    "_log1p": _math.log1p,
    "_sign": _host_sign,
}

# An author may spell a function as numpy or the standard library does; identity decides, not the name.
_SYNONYMS: tuple[tuple[Callable[..., Any], str], ...] = (
    (_math.sqrt, "sqrt"),
    (_math.exp, "exp"),
    (_math.log, "log"),
    (_math.expm1, "expm1"),
    (_math.log1p, "log1p"),
    (_math.pow, "power"),
    (_math.fabs, "absolute"),
    (builtins.abs, "absolute"),
    (builtins.max, "maximum"),
    (builtins.min, "minimum"),
    (builtins.pow, "power"),
    (np.sqrt, "sqrt"),
    (np.exp, "exp"),
    (np.log, "log"),
    (np.expm1, "expm1"),
    (np.log1p, "log1p"),
    (np.absolute, "absolute"),
    (np.sign, "sign"),
    (np.maximum, "maximum"),
    (np.minimum, "minimum"),
    (np.power, "power"),
    (np.where, "where"),
)


def canonical_name(function: object) -> str | None:
    """The table's name for a function that a rule calls, or None when no backend knows it."""
    for candidate, name in _SYNONYMS:
        if function is candidate:
            return name
    name = getattr(function, "__name__", "")
    known = name in FUNCTIONS or name in REDUCTIONS
    return name if known and globals().get(name) is function else None

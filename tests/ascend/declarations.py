"""What MindSpore itself declares of its operators for Ascend, read from the installed package.

Two of its own declarations count. The documentation of an operator, of its function, or of the Tensor's method that it
is the kernel of names the platforms. The registry of the kernels of Ascend's AI CPU, which is in the package too, names
dtypes.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import mindspore
from mindspore.ops._op_impl import aicpu

PLATFORM = "Ascend"
# Where operators, and the functions that are made of one, are documented.
_PLACES = (
    "mindspore.ops",
    "mindspore.ops.operations",
    "mindspore.ops.auto_generate",
    "mindspore.mint",
)
# What a graph is made of: the compiler's own words, which are no kernels on any device.
STRUCTURE = {
    "Depend": "orders what comes before",
    "Load": "reads a Parameter in order",
    "MakeTuple": "a tuple",
    "Partial": "a part of the graph that may be called",
    "Switch": "one of two parts of the graph",
    "TupleGetItem": "one of a tuple",
    "UpdateState": "orders what is written",
    "raise": "raises an error from the host",
}
# Runs code that is given to it, on the host as it is used here.
HOST = "Custom"
_PLATFORMS = re.compile(r"Supported Platforms:\s*\n\s*(.*)")
_REFERENCE = re.compile(r"refer to :(?:func|class):`([\w.]+)`", re.IGNORECASE)
_DEEPEST = 4


@dataclass(frozen=True)
class Declaration:
    """What MindSpore says of an operator.

    Attributes:
        operator: its name.
        documented: what names Ascend among the platforms of the operator; empty where nothing does.
        dtypes: the dtypes of tensors that the AI CPU's kernel takes and gives; None where it has none.
    """

    operator: str
    documented: str
    dtypes: frozenset[str] | None

    @property
    def platforms(self) -> str:
        """What the operator's own documentation says of platforms; empty where it says nothing."""
        found = (_PLATFORMS.search(_text(f"{place}.{self.operator}")) for place in _PLACES)
        return next((words.group(1).replace("`", "") for words in found if words is not None), "")

    def lacks(self, dtypes: list[str]) -> str:
        """Say why the operator is not declared for tensors of some dtypes; empty where it is."""
        if self.operator in STRUCTURE:
            return ""
        if self.operator == HOST:
            return f"{HOST} runs code of the host"
        if not self.documented and self.dtypes is None:
            return f"{self.operator} is not declared for {PLATFORM}"
        # What is documented for the platform has kernels of the AI cores besides, whose dtypes are said nowhere; these
        # know no float64, which the AI CPU alone has.
        said = self.dtypes or frozenset()
        wrong = sorted(set(dtypes) - said) if not self.documented else sorted({"float64"} & set(dtypes) - said)
        return f"{self.operator} is not declared for {PLATFORM} in {', '.join(wrong)}" if wrong else ""


@functools.cache
def declaration(operator: str) -> Declaration:
    """What MindSpore declares of an operator.

    Arguments:
        operator: its name in a compiled graph.

    Returns:
        The declaration.
    """
    return Declaration(operator, next(_documented(operator), ""), _registry().get(operator))


def _documented(operator: str) -> Iterator[str]:
    """Names of the operator, its function, or the Tensor's method, of which the documentation says Ascend."""
    referred = next(filter(None, (_REFERENCE.search(_text(f"{place}.{operator}")) for place in _PLACES)), None)
    function = operator.lower() if referred is None else referred.group(1).rpartition(".")[2]
    # A kernel of a Tensor's method is named by what is special in it.
    method = re.sub(r"(_scalar|_ext|s|_)$", "", function)
    if function.startswith("inplace_"):
        method = f"{function.removeprefix('inplace_')}_"
    for name in (*(f"{place}.{operator}" for place in _PLACES), f"mindspore.Tensor.{method}"):
        found = _platforms(name)
        if found:
            yield found


def _platforms(name: str, depth: int = 0) -> str:
    """The name under which the documentation says Ascend, after as many references as there are; empty without one."""
    text = _text(name)
    named = _PLATFORMS.search(text)
    if named is not None:
        return name if f"``{PLATFORM}``" in named.group(1) else ""
    referred = _REFERENCE.search(text)
    if referred is None or depth == _DEEPEST:
        return ""
    target = referred.group(1)
    # Functions that are generated are documented where they are, under the name that they have in `mindspore.ops`.
    own = target.rpartition(".")[2]
    names = (target, *(f"{place}.{own}" for place in _PLACES))
    return next((found for found in (_platforms(n, depth + 1) for n in names if n != name) if found), "")


def _text(name: str) -> str:
    """A documentation string; empty where nothing has the name."""
    found: Any = mindspore
    for part in name.split(".")[1:]:
        found = getattr(found, part, None)
    return getattr(found, "__doc__", None) or ""


@functools.cache
def _registry() -> dict[str, frozenset[str]]:
    """The operators that the AI CPU has kernels for, with the dtypes of their tensors."""
    found: dict[str, frozenset[str]] = {}
    for module in pkgutil.iter_modules(aicpu.__path__):
        for value in vars(importlib.import_module(f"{aicpu.__name__}.{module.name}")).values():
            if isinstance(value, dict) and "dtype_format" in value:
                kinds = {kind for row in value["dtype_format"] for kind, *_ in row}
                found[value["op_name"]] = found.get(value["op_name"], frozenset()) | kinds
    return found

"""What a step has to move: which tensors each pass over memory reads and writes, and how long they are.

A kernel says it of a call with a method ``traffic(batch, groups, scalars)``, so that a measured step can be held
against the speed of the memory for the same reads and writes, without a table of optimizers.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final

from tinyms_core.kernels.batch import Batch, Floats, Integers
from tinyms_core.kernels.program import CALL, Program, pass_walk
from tinyms_core.kernels.storage import WIDTHS

_MOST_CHOICES: Final = 4


@dataclass(frozen=True)
class Stream:
    """One tensor of every parameter: the parameters themselves, their gradients, or one of their states.

    Attributes:
        name: what the kernel calls it.
        dtype: its storage type.
        lengths: its elements for each parameter of the batch.
    """

    name: str
    dtype: str
    lengths: Integers

    @property
    def bytes(self) -> int:
        """Bytes of all of it."""
        return int(self.lengths.sum()) * WIDTHS[self.dtype]


@dataclass(frozen=True)
class Pass:
    """One walk over memory, which touches each element of a stream once.

    Attributes:
        reads: names of the streams that it reads.
        writes: names of the streams that it writes.
    """

    reads: tuple[str, ...]
    writes: tuple[str, ...]


@dataclass(frozen=True)
class Traffic:
    """What a kernel moves at least for the tensors of a batch.

    Attributes:
        sizes: elements of each parameter.
        streams: everything that is read or written.
        passes: in order.
        together: so many elements of consecutive parameters, about, go through all passes before the next do, and
            may stay in a cache between passes; 0 where every pass goes over all parameters.
    """

    sizes: Integers
    streams: tuple[Stream, ...]
    passes: tuple[Pass, ...]
    together: int = 0

    @property
    def bytes(self) -> int:
        """Bytes that the passes read and write; what is read and written in one pass counts twice."""
        held = {stream.name: stream.bytes for stream in self.streams}
        return sum(held[name] for one in self.passes for name in (*one.reads, *one.writes))


def program_traffic(
    program: Program, storage: Mapping[str, str], batch: Batch, slots: Mapping[str, float], stages: int | None = None
) -> Traffic:
    """Read off a rule's program what its passes move, where no decay is added to the gradient.

    Arguments:
        program: the rule's program.
        storage: storage type of each tensor, by name.
        batch: the tensors.
        slots: the program's scalars of a step, as far as they are the same for all tensors. A choice that they
            decide is taken as decided: state that such a step only hands through is not moved.
        stages: how many passes are done, all unless given.

    Returns:
        The traffic.
    """
    decided = _decided(program, slots)
    passes = [_moved(decided, stage) for stage in range(program.stages if stages is None else stages)]
    used = {name for one in passes for name in (*one.reads, *one.writes)}
    streams = tuple(Stream(name, storage[name], batch.sizes) for name in program.tensors if name in used)
    return Traffic(batch.sizes, streams, tuple(passes))


def moved_when(program: Program, stage: int) -> dict[str, str]:
    """Which tensors a pass moves, and when.

    Returns:
        For each of them the condition, a Python expression of the program's slots; empty where it always does.
    """
    slots = _deciding(program)
    cases: dict[str, list[str]] = {}
    for values in product((0.0, 1.0), repeat=len(slots)):
        one = _moved(_decided(program, dict(zip(slots, values, strict=True))), stage)
        case = " and ".join(f"{slot} {'!=' if value else '=='} 0" for slot, value in zip(slots, values, strict=True))
        for name in {*one.reads, *one.writes}:
            cases.setdefault(name, []).append(case)
    return {
        name: "" if len(found) == 2 ** len(slots) else " or ".join(f"({case})" for case in found)
        for name, found in sorted(cases.items())
    }


def _moved(decided: Program, stage: int) -> Pass:
    reads = set(pass_walk(decided, stage).loads.values())
    writes = tuple(store.slot for store in decided.stores if store.stage == stage)
    return Pass(tuple(name for name in decided.tensors if name in reads), writes)


def _deciding(program: Program) -> list[str]:
    """The slots that decide a choice, as many as are worth going through one by one."""
    nodes = (node for d in program.definitions for node in ast.walk(d.expression))
    return sorted({slot for node in nodes if (slot := _slot_of_choice(node)) in program.slots})[:_MOST_CHOICES]


def _slot_of_choice(node: ast.AST) -> str:
    """The scalar that decides between two values, if that is what a node is.

    A condition on scalars reaches the loop over elements as a number that is compared with zero.
    """
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == f"{CALL}where"):
        return ""
    test = node.args[0]
    return test.left.id if isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) else ""


def _decided(program: Program, slots: Mapping[str, float]) -> Program:
    """The program with every choice taken that scalars decide, without stores of what was loaded from there."""
    choose = _Choose(slots)
    definitions = tuple(replace(d, expression=choose.visit(copy.deepcopy(d.expression))) for d in program.definitions)
    same = {d.name: d.expression.id for d in definitions if isinstance(d.expression, ast.Name)}

    def origin(name: str) -> str:
        while name in same:
            name = same[name]
        return name

    stores = tuple(store for store in program.stores if origin(store.name) != f"{store.slot}__0")
    return replace(program, definitions=definitions, stores=stores)


class _Choose(ast.NodeTransformer):
    """Replaces a choice between two values by the one that a known scalar chooses."""

    def __init__(self, slots: Mapping[str, float]) -> None:
        self._slots = slots

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        slot = _slot_of_choice(node)
        if slot in self._slots:
            return node.args[1] if self._slots[slot] != 0 else node.args[2]
        return node


@dataclass(frozen=True)
class KernelCall:
    """One call of a kernel in a step, without the addresses.

    Attributes:
        kernel: the kernel.
        batch, groups, scalars: as the kernel is called with.
        stages: how many of its passes are done; None for all.
    """

    kernel: Any
    batch: Batch
    groups: Integers
    scalars: Floats
    stages: int | None = None

    def traffic(self) -> tuple[Traffic, ...] | None:
        """What it moves at least; None where the kernel does not say."""
        if not hasattr(self.kernel, "traffic"):
            return None
        more = () if self.stages is None else (self.stages,)
        found: tuple[Traffic, ...] | None = self.kernel.traffic(self.batch, self.groups, self.scalars, *more)
        return found

    def flops(self) -> int:
        """Operations of matrix products in it; 0 where the kernel names none."""
        return int(self.kernel.flops(self.batch)) if hasattr(self.kernel, "flops") else 0

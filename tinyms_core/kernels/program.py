"""From a rule's text to a program: which part is computed once a step, which per tensor, which per element.

The analysis gives every value of the rule a level. Values of level FIXED depend on hyperparameters
alone, STEP also on the rate, the decay or the step, TENSOR on a reduction over the tensor, ELEMENT on
the element. Whatever is not ELEMENT is hoisted out of the element loop into a *slot*: the host computes
FIXED and STEP slots in float64, the kernel computes TENSOR slots between its passes over memory.

A reduction splits the loop: what it needs runs in one pass, what depends on its result in a later one.
Values are in single-assignment form (``m__0`` as loaded, ``m__1`` after the first assignment, …), which
lets a later pass load a state that an earlier one has stored, or recompute what was never stored.
"""

from __future__ import annotations

import ast
import copy
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from tinyms_core.kernels.errors import RuleError
from tinyms_core.kernels.math import FUNCTIONS, REDUCTIONS, canonical_name
from tinyms_core.kernels.rule import GRADIENT, PARAMETER, SUPPLIED_SCALARS, Rule

# Marks a function's name in a program's expressions, where every other name is a variable.
CALL = "@"
OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}
COMPARISONS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}


class Level(IntEnum):
    """What a value depends on; a value has the highest level among its operands."""

    FIXED = 0
    STEP = 1
    TENSOR = 2
    ELEMENT = 3


@dataclass(frozen=True)
class Definition:
    """One assignment in single-assignment form."""

    name: str
    expression: ast.expr
    level: Level


@dataclass(frozen=True)
class ReductionUse:
    """One reduction over the tensor: ``name`` is its result, ``expression`` the element it reduces."""

    name: str
    kind: str
    expression: ast.expr
    stage: int


@dataclass(frozen=True)
class Store:
    """The state (or ``w``) that receives the value ``name`` in pass ``stage``."""

    slot: str
    name: str
    stage: int


@dataclass(frozen=True)
class Program:
    """A rule, analysed for one setting of its flags; what the backends print as source.

    Attributes:
        name: the rule's name.
        tensors: ``w``, ``g`` and the elementwise state, in the order of a kernel's addresses; without state
            that is neither read nor written with these flags.
        scalar_state: state that is one number for the optimizer, with the host value that it takes.
        scalars: names that the host computation reads.
        host: FIXED and STEP definitions, in order.
        slots: FIXED and STEP values that the element loop reads.
        tensor_definitions: TENSOR definitions, in order; those of ``tensor_slots`` are read by the loop.
        tensor_slots: TENSOR values that the element loop reads.
        reductions: in order of stage.
        definitions: ELEMENT definitions, in order.
        stores: where each new value goes.
        stages: number of passes over memory.
    """

    name: str
    tensors: tuple[str, ...]
    scalar_state: Mapping[str, str]
    scalars: tuple[str, ...]
    host: tuple[Definition, ...]
    slots: tuple[str, ...]
    tensor_definitions: tuple[Definition, ...]
    tensor_slots: tuple[str, ...]
    reductions: tuple[ReductionUse, ...]
    definitions: tuple[Definition, ...]
    stores: tuple[Store, ...]
    stages: int
    stage_of: Mapping[str, int]

    @property
    def state(self) -> tuple[str, ...]:
        """The elementwise state."""
        return self.tensors[2:]


def names_in(expression: ast.expr) -> list[str]:
    """The variables that an expression reads, without repetition, in order."""
    found = dict.fromkeys(node.id for node in ast.walk(expression) if isinstance(node, ast.Name))
    return [name for name in found if not name.startswith(CALL)]


def analyse(rule: Rule, flags: Mapping[str, Any], steps: frozenset[str] = frozenset()) -> Program:
    """Analyse a rule for one setting of its hyperparameters.

    Arguments:
        rule: the rule.
        flags: hyperparameters known now, by name. Conditions of ``if`` are decided with them; their
            values enter the program in no other way.
        steps: hyperparameters that may change from step to step, besides ``lr``, ``t``, ``weight_decay``.

    Returns:
        The program.

    Raises:
        RuleError: the rule contains what cannot be compiled; the message names the line and the way out.
    """
    return _Analysis(rule, flags, steps).run()


def _call(name: str, arguments: list[ast.expr]) -> ast.expr:
    if name == "where" and isinstance(arguments[0], ast.Name):
        # A condition on scalars reaches the element loop as a number.
        arguments = [ast.Compare(arguments[0], [ast.NotEq()], [ast.Constant(0)]), *arguments[1:]]
    return ast.Call(ast.Name(CALL + name, ast.Load()), arguments, [])


def _is_small_integer(value: object) -> bool:
    """Whether a literal is exact in every arithmetic, so that it may stay where it is."""
    return isinstance(value, int | float) and float(value).is_integer() and abs(value) < 2**24


def _slot_of(name: str) -> str:
    return name.rpartition("__")[0]


class _Analysis:
    def __init__(self, rule: Rule, flags: Mapping[str, Any], steps: frozenset[str]) -> None:
        self.rule = rule
        self.flags = flags
        self.globals = getattr(rule.function, "__globals__", {})
        self.versions: dict[str, int] = {}
        self.current: dict[str, str] = {}
        self.levels: dict[str, Level] = {}
        self.stage_of: dict[str, int] = {}
        self.host: list[Definition] = []
        self.element: list[Definition] = []
        self.tensor: list[Definition] = []
        self.reductions: list[ReductionUse] = []
        self.slots: dict[str, str] = {}
        self.tensor_slots: dict[str, str] = {}
        self.used_scalars: dict[str, None] = {}
        self.result: list[ast.expr] | None = None
        for name in (PARAMETER, GRADIENT, *rule.state):
            self._bind(name, Level.ELEMENT, 0)
        for name in rule.scalars:
            varies = name in SUPPLIED_SCALARS or name in steps
            self.current[name] = name
            self.levels[name] = Level.STEP if varies else Level.FIXED
            self.stage_of[name] = 0

    # -- errors -----------------------------------------------------------------------------------

    def _fail(self, node: ast.AST, why: str) -> RuleError:
        code = getattr(self.rule.function, "__code__", None)
        where = ""
        if code is not None and hasattr(node, "lineno"):
            where = f" ({code.co_filename}, line {code.co_firstlineno + node.lineno - 1})"
        return RuleError(f"rule {self.rule.name!r}{where}: {why}")

    # -- statements -------------------------------------------------------------------------------

    def run(self) -> Program:
        module = ast.parse(self.rule.source)
        function = module.body[0]
        if not isinstance(function, ast.FunctionDef):
            raise self._fail(function, "a rule is a 'def', not a lambda or a class")
        self._block(function.body)
        if self.result is None:
            raise self._fail(function, "it returns nothing; return w and the new state")
        return self._finish(function)

    def _block(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            if self.result is not None:
                return  # what follows a return is never reached
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return  # a docstring
        if isinstance(node, ast.Pass):
            return
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            self._assign(node.targets[0].id, node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            self._assign(node.target.id, node.value)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            read = ast.copy_location(ast.Name(node.target.id, ast.Load()), node)
            self._assign(node.target.id, ast.copy_location(ast.BinOp(read, node.op, node.value), node))
        elif isinstance(node, ast.If):
            self._block(node.body if self._decide(node.test) else node.orelse)
        elif isinstance(node, ast.Return) and node.value is not None:
            values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            self.result = [self._expression(value) for value in values]
        else:
            raise self._fail(
                node, "only assignments to a name, 'if' on hyperparameters and one 'return' are allowed in a rule"
            )

    def _decide(self, test: ast.expr) -> bool:
        varying = self._varying_name(test)
        if varying is not None:
            raise self._fail(
                test,
                f"the condition depends on {varying!r}, which changes while training; "
                "write math.where(condition, x, y)",
            )
        code = compile(ast.fix_missing_locations(ast.Expression(test)), "<condition of a rule>", "eval")
        return bool(eval(code, dict(self.globals), dict(self.flags)))

    def _varying_name(self, test: ast.expr) -> str | None:
        """A name in a condition whose value is not known when the optimizer is built."""
        for node in ast.walk(test):
            if isinstance(node, ast.Name) and node.id in self.current:
                fixed = self.current[node.id] == node.id and self.levels[node.id] == Level.FIXED
                if not (fixed and node.id in self.flags):
                    return node.id
        return None

    def _assign(self, name: str, value: ast.expr) -> None:
        if name in self.rule.scalars and name not in self.versions:
            self.versions[name] = 0
        expression = self._expression(value)
        level = self._level(expression)
        target = self._bind(name, level, self._stage(expression))
        definitions = {Level.ELEMENT: self.element, Level.TENSOR: self.tensor}.get(level, self.host)
        definitions.append(Definition(target, expression, level))

    def _bind(self, name: str, level: Level, stage: int) -> str:
        version = self.versions.get(name, -1) + 1
        self.versions[name] = version
        target = f"{name}__{version}"
        self.current[name] = target
        self.levels[target] = level
        self.stage_of[target] = stage
        return target

    # -- expressions ------------------------------------------------------------------------------

    def _expression(self, node: ast.expr) -> ast.expr:
        """The expression over versioned names, with every non-element part of an element hoisted."""
        if isinstance(node, ast.Constant):
            return self._constant(node)
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd | ast.Not):
            return self._combine(node, [node.operand], lambda parts: ast.UnaryOp(node.op, parts[0]))
        if isinstance(node, ast.BinOp):
            return self._binary(node)
        if isinstance(node, ast.Compare):
            if len(node.ops) != 1 or type(node.ops[0]) not in COMPARISONS:
                raise self._fail(node, "a comparison compares two numbers with <, <=, >, >=, == or !=")
            parts = [node.left, node.comparators[0]]
            return self._combine(node, parts, lambda p: ast.Compare(p[0], node.ops, [p[1]]))
        if isinstance(node, ast.BoolOp):
            return self._combine(node, node.values, lambda parts: ast.BoolOp(node.op, parts))
        if isinstance(node, ast.IfExp) and self._varying_name(node.test) is None:
            return self._expression(node.body if self._decide(node.test) else node.orelse)
        if isinstance(node, ast.IfExp):
            parts = [node.test, node.body, node.orelse]
            return self._combine(node, parts, lambda p: _call("where", p))
        if isinstance(node, ast.Call):
            return self._call(node)
        raise self._fail(node, f"{ast.unparse(node)!r} is not arithmetic that every device can compute")

    def _binary(self, node: ast.BinOp) -> ast.expr:
        if isinstance(node.op, ast.BitAnd | ast.BitOr):
            operator: ast.boolop = ast.And() if isinstance(node.op, ast.BitAnd) else ast.Or()
            parts = [node.left, node.right]
            return self._combine(node, parts, lambda p: ast.BoolOp(operator, p))
        if type(node.op) not in OPERATORS:
            raise self._fail(node, f"the operator in {ast.unparse(node)!r} is not one of + - * / **")
        square = isinstance(node.op, ast.Pow) and isinstance(node.right, ast.Constant) and node.right.value == 2
        base = self._expression(node.left)
        if square and self._level(base) == Level.ELEMENT and isinstance(base, ast.Name):
            return ast.BinOp(base, ast.Mult(), copy.deepcopy(base))
        return self._combine(node, [node.left, node.right], lambda p: ast.BinOp(p[0], node.op, p[1]))

    def _constant(self, node: ast.Constant) -> ast.expr:
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            raise self._fail(node, f"the constant {node.value!r} is not a number")
        return ast.Constant(node.value)

    def _name(self, node: ast.Name) -> ast.expr:
        if node.id in self.current:
            target = self.current[node.id]
            if target in self.rule.scalars:
                self.used_scalars[target] = None
            return ast.Name(target, ast.Load())
        if node.id in self.globals:
            value = self.globals[node.id]
            if isinstance(value, numbers.Real) and not isinstance(value, bool):
                return ast.Constant(float(value))
            raise self._fail(
                node,
                f"{node.id!r} is neither an argument nor assigned before, and the module's {node.id!r} is no number",
            )
        raise self._fail(node, f"{node.id!r} is neither an argument nor assigned before")

    def _call(self, node: ast.Call) -> ast.expr:
        name = canonical_name(self._resolve(node.func))
        if name is None or node.keywords:
            allowed = ", ".join(sorted({*FUNCTIONS, *REDUCTIONS}))
            raise self._fail(node, f"{ast.unparse(node)!r} is not a call that every device knows; there are {allowed}")
        arity = 1 if name in REDUCTIONS else FUNCTIONS[name].arity
        if len(node.args) != arity:
            raise self._fail(node, f"{name} takes {arity} argument(s), got {len(node.args)}")
        if name in REDUCTIONS:
            return self._reduce(node, name)
        return self._combine(node, node.args, lambda p: _call(name, p))

    def _resolve(self, node: ast.expr) -> object:
        """The object that a dotted name in the rule's text stands for, or None."""
        if isinstance(node, ast.Name):
            builtins_ = self.globals.get("__builtins__", {})
            builtins_ = builtins_ if isinstance(builtins_, dict) else vars(builtins_)
            return self.globals.get(node.id, builtins_.get(node.id))
        if isinstance(node, ast.Attribute):
            return getattr(self._resolve(node.value), node.attr, None)
        return None

    def _reduce(self, node: ast.Call, kind: str) -> ast.expr:
        inner = self._expression(node.args[0])
        if self._level(inner) != Level.ELEMENT:
            raise self._fail(node, f"{kind} reduces over a tensor, and {ast.unparse(node.args[0])!r} is one number")
        stage = self._stage(inner)
        for known in self.reductions:
            if known.kind == kind and ast.dump(known.expression) == ast.dump(inner):
                return ast.Name(known.name, ast.Load())
        name = f"_r{len(self.reductions)}"
        self.reductions.append(ReductionUse(name, kind, inner, stage))
        self.levels[name] = Level.TENSOR
        self.stage_of[name] = stage + 1
        return ast.Name(name, ast.Load())

    def _combine(self, node: ast.expr, parts: list[ast.expr], build: Any) -> ast.expr:
        """Build an expression of its parts; a part that is computed less often than the whole becomes a slot."""
        done = [self._expression(part) for part in parts]
        level = max(self._level(part) for part in done)
        if level >= Level.TENSOR:
            done = [self._hoist(part) if self._level(part) < level else part for part in done]
        built: ast.expr = ast.copy_location(build(done), node)
        return built

    def _hoist(self, part: ast.expr) -> ast.expr:
        level = self._level(part)
        if level == Level.ELEMENT:
            return part
        if isinstance(part, ast.Constant) and _is_small_integer(part.value):
            return part
        if level == Level.TENSOR:
            return ast.Name(self._slot(part, self.tensor_slots, self.tensor, "_t"), ast.Load())
        return ast.Name(self._slot(part, self.slots, self.host, "_s"), ast.Load())

    def _slot(self, part: ast.expr, slots: dict[str, str], definitions: list[Definition], prefix: str) -> str:
        key = ast.dump(part)
        if key not in slots:
            name = f"{prefix}{len(slots)}"
            slots[key] = name
            definitions.append(Definition(name, part, self._level(part)))
            self.levels[name] = self._level(part)
            self.stage_of[name] = self._stage(part)
        return slots[key]

    def _level(self, expression: ast.expr) -> Level:
        return max((self.levels[name] for name in names_in(expression)), default=Level.FIXED)

    def _stage(self, expression: ast.expr) -> int:
        return max((self.stage_of[name] for name in names_in(expression)), default=0)

    # -- result -----------------------------------------------------------------------------------

    def _finish(self, function: ast.FunctionDef) -> Program:
        assert self.result is not None
        outputs = (PARAMETER, *self.rule.state)
        if len(self.result) != len(outputs):
            raise self._fail(function, f"it returns {len(self.result)} value(s); return {', '.join(outputs)}")
        scalar_state: dict[str, str] = {}
        stores: list[Store] = []
        for slot, value in zip(outputs, self.result, strict=True):
            level = self._level(value)
            if slot != PARAMETER and level < Level.ELEMENT:
                scalar_state[slot] = self._scalar_state(function, slot, value, level)
                continue
            name = self._output(slot, self._hoist(value))
            if name != f"{slot}__0":
                stores.append(Store(slot, name, self.stage_of[name]))
        unused = {slot for slot in self.rule.state if slot not in scalar_state and self._unused(slot, stores)}
        stages = 1 + max([r.stage for r in self.reductions] + [s.stage for s in stores], default=0)
        program = Program(
            name=self.rule.name,
            tensors=(PARAMETER, GRADIENT, *(s for s in self.rule.state if s not in scalar_state and s not in unused)),
            scalar_state=scalar_state,
            scalars=tuple(self.used_scalars),
            host=tuple(self.host),
            slots=tuple(self.slots.values()),
            tensor_definitions=tuple(self.tensor),
            tensor_slots=tuple(self.tensor_slots.values()),
            reductions=tuple(self.reductions),
            definitions=tuple(self.element),
            stores=tuple(stores),
            stages=stages,
            stage_of=dict(self.stage_of),
        )
        self._check_reads(function, program)
        return program

    def _unused(self, slot: str, stores: list[Store]) -> bool:
        """Whether, with these flags, a state is neither read nor written."""
        return slot not in self._element_reads() and all(slot not in (s.slot, _slot_of(s.name)) for s in stores)

    def _scalar_state(self, function: ast.FunctionDef, slot: str, value: ast.expr, level: Level) -> str:
        if level == Level.TENSOR:
            raise self._fail(function, f"the state {slot!r} is one number per tensor; keep it per element")
        if slot in self._element_reads():
            raise self._fail(function, f"the state {slot!r} is one number for all; it may be written, not read")
        for name in ("lr", "weight_decay"):
            if name in self._host_reads(value):
                raise self._fail(function, f"the state {slot!r} is one number for all groups, but depends on {name!r}")
        name = f"_state_{slot}"
        self.host.append(Definition(name, value, level))
        self.levels[name] = level
        self.stage_of[name] = 0
        return name

    def _element_reads(self) -> set[str]:
        read = {n for d in self.element for n in names_in(d.expression)}
        read |= {n for r in self.reductions for n in names_in(r.expression)}
        return {_slot_of(name) for name in read if name.endswith("__0")}

    def _host_reads(self, value: ast.expr) -> set[str]:
        """The scalars behind a host expression, through the definitions that it uses."""
        by_name = {d.name: d.expression for d in self.host}
        found: set[str] = set()
        todo = names_in(value)
        while todo:
            name = todo.pop()
            if name in by_name and name not in found:
                todo.extend(names_in(by_name[name]))
            found.add(name)
        return found

    def _output(self, slot: str, value: ast.expr) -> str:
        if isinstance(value, ast.Name) and self.levels.get(value.id) == Level.ELEMENT:
            return value.id
        name = self._bind(f"{slot}__out", Level.ELEMENT, self._stage(value))
        self.element.append(Definition(name, value, Level.ELEMENT))
        return name

    def _check_reads(self, function: ast.FunctionDef, program: Program) -> None:
        """A pass after a store sees the new value: refuse a rule that still needs the old one there."""
        for stage in range(program.stages):
            for name in pass_walk(program, stage).reads:
                slot = _slot_of(name)
                stored = [s for s in program.stores if s.slot == slot and s.stage < stage]
                if name.endswith("__0") and stored and stored[0].name != name:
                    raise self._fail(
                        function,
                        f"the value of {slot!r} from before the step is needed after its new value is stored, "
                        "because a reduction lies between; keep what is needed in a state of its own",
                    )


def pass_outputs(program: Program, stage: int) -> list[ast.expr]:
    """What a pass has to compute: the operands of its reductions and the values that it stores."""
    reduced = [r.expression for r in program.reductions if r.stage == stage]
    stored: list[ast.expr] = [ast.Name(s.name, ast.Load()) for s in program.stores if s.stage == stage]
    return reduced + stored


@dataclass(frozen=True)
class Walk:
    """What it takes to compute some values in a pass.

    Attributes:
        definitions: the element definitions to compute, in order.
        reads: the values from before the step that are read.
        loads: the values that are loaded from memory: value name to tensor.
    """

    definitions: tuple[Definition, ...]
    reads: tuple[str, ...]
    loads: Mapping[str, str]


def walk(program: Program, outputs: Sequence[ast.expr], stage: int) -> Walk:
    """Find what it takes to compute values in a pass; what an earlier pass stored is loaded.

    Arguments:
        program: the program.
        outputs: the expressions to compute.
        stage: the pass.

    Returns:
        Its definitions, reads and loads.
    """
    definitions = {d.name: d for d in program.definitions}
    reloaded = {s.name: s.slot for s in program.stores if s.stage < stage and s.slot != PARAMETER}
    initial = {f"{slot}__0": slot for slot in program.tensors}
    needed: set[str] = set()
    reads: dict[str, None] = {}
    loads: dict[str, str] = {}
    todo = [name for output in outputs for name in names_in(output)]
    while todo:
        name = todo.pop()
        if name in reloaded:
            loads[name] = reloaded[name]
        elif name in initial:
            loads[name] = initial[name]
            reads[name] = None
        elif name in definitions and name not in needed:
            needed.add(name)
            todo.extend(names_in(definitions[name].expression))
    return Walk(tuple(d for d in program.definitions if d.name in needed), tuple(reads), loads)


def pass_walk(program: Program, stage: int) -> Walk:
    """What a pass computes, reads and loads."""
    return walk(program, pass_outputs(program, stage), stage)


def repeated_walk(program: Program, use: ReductionUse) -> Walk | None:
    """What it takes to compute a reduction's operand once more after its pass, from what is in memory then.

    Returns:
        None where that needs the gradient, or a value that the pass has overwritten.
    """
    again = walk(program, [use.expression], use.stage + 1)
    overwritten = {f"{s.slot}__0" for s in program.stores if s.stage <= use.stage}
    return None if overwritten & set(again.reads) or f"{GRADIENT}__0" in again.reads else again

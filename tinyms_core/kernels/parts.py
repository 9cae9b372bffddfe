"""Kernels of updates that treat some parameters in another way: those of a rule, and the choice between two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinyms_core.kernels.batch import Batch, Floats, Integers, make_batch
from tinyms_core.kernels.cpu import CpuKernel
from tinyms_core.kernels.cpu_source import PREPROCESSING
from tinyms_core.kernels.errors import RuleError
from tinyms_core.kernels.host import host_function
from tinyms_core.kernels.program import analyse
from tinyms_core.kernels.rule import Rule
from tinyms_core.kernels.traffic import KernelCall, Traffic
from tinyms_core.kernels.update import KernelFactory, Plan

# Says of a parameter's shape and the hyperparameters which kernel is for it.
Choice = Callable[[tuple[int, ...], Mapping[str, Any]], bool]


def by_rule(rule: Rule) -> KernelFactory:
    """Make a kernel factory of a rule, for an update that is a rule on the elements of these parameters.

    Arguments:
        rule: its state and scalars have the names that they have in the update; it needs not all of them, and state
            that it has not stays as it is.

    Returns:
        The factory. Its kernels are those that an optimizer with the rule has: one fused pass over all tensors.

    Example:
        >>> from tinyms_core import Update
        >>> from tinyms_core.examples import sign_descent, unit_step
        >>> from tinyms_core.kernels.parts import by_rule
        >>> Update(unit_step, host=by_rule(sign_descent))
        <update unit_step(w, g, lr)>
    """

    def factory(plan: Plan, parameter: str, gradient: str) -> RuleKernel:
        return RuleKernel(rule, plan, parameter, gradient)

    return factory


def divided(chosen: Choice, first: KernelFactory, second: KernelFactory) -> KernelFactory:
    """Make a kernel factory of two, for an update that treats parameters in two ways.

    Arguments:
        chosen: says of a parameter's shape, with the hyperparameters of its group, whether it is for ``first``.
        first: makes the kernel for these parameters.
        second: makes the kernel for the others.

    Returns:
        The factory.

    Example:
        >>> from tinyms_core import Update, on_arrays
        >>> from tinyms_core.examples import sign_descent, unit_step
        >>> from tinyms_core.kernels.parts import by_rule, divided
        >>> def is_matrix(shape, hyperparameters):
        ...     return len(shape) == 2
        >>> Update(unit_step, host=divided(is_matrix, on_arrays(unit_step), by_rule(sign_descent)))
        <update unit_step(w, g, lr)>
    """

    def factory(plan: Plan, parameter: str, gradient: str) -> DividedKernel:
        kernels = first(plan, parameter, gradient), second(plan, parameter, gradient)
        return DividedKernel(lambda shape: chosen(shape, plan.hyperparameters), *kernels)

    return factory


class RuleKernel:
    """A rule's kernel, called as an update's is.

    Arguments:
        rule: the rule.
        plan: the update's plan.
        parameter: storage type of the parameters.
        gradient: storage type of the gradients.

    Raises:
        RuleError: the rule has state or scalars that the update has not.
    """

    def __init__(self, rule: Rule, plan: Plan, parameter: str, gradient: str) -> None:
        strange = sorted({*rule.state, *rule.scalars} - {*plan.update.state, *plan.update.scalars})
        if strange:
            raise RuleError(f"rule {rule.name!r}: {strange} are no arguments of the update {plan.name!r}")
        program = analyse(rule, plan.hyperparameters, plan.steps)
        missing = sorted(set(program.tensors) - set(plan.tensors))
        if missing or program.scalar_state:
            raise RuleError(
                f"rule {rule.name!r}: the state {[*missing, *program.scalar_state]} is not kept for each parameter "
                f"by the update {plan.name!r}"
            )
        self.scalars = plan.step_scalars
        self._kernel = CpuKernel(program, parameter, gradient)
        self._host = host_function(program)
        self._names = program.scalars
        self._hyperparameters = plan.hyperparameters
        self._rows = [plan.tensors.index(name) for name in program.tensors]

    def __call__(self, batch: Batch, addresses: Integers, groups: Integers, scalars: Floats) -> None:
        """Update all tensors of a batch by one step, in place; arguments are those of every kernel."""
        self._kernel(batch, np.ascontiguousarray(addresses[self._rows]), groups, self._table(scalars))

    def traffic(self, batch: Batch, groups: Integers, scalars: Floats) -> tuple[Traffic, ...]:
        """What a call moves at least; arguments are those of a call."""
        return self._kernel.traffic(batch, groups, self._table(scalars))

    def _table(self, scalars: Floats) -> Floats:
        return np.array([self._slots(row) for row in scalars.tolist()], dtype=np.float64)

    def _slots(self, row: list[float]) -> list[float]:
        """A group's scalars as the rule's kernel takes them."""
        prepared, given = row[: len(PREPROCESSING)], row[len(PREPROCESSING) :]
        named = {**self._hyperparameters, **dict(zip(self.scalars, given, strict=True))}
        return [*prepared, *self._host(**{name: named[name] for name in self._names})]


class DividedKernel:
    """Two kernels that share the tensors of a batch.

    Arguments:
        chosen: says of a tensor's shape whether it is the first one's.
        first: the kernel for these.
        second: the kernel for the others.
    """

    def __init__(self, chosen: Callable[[tuple[int, ...]], bool], first: Any, second: Any) -> None:
        self.scalars = tuple(dict.fromkeys((*first.scalars, *second.scalars)))
        self._chosen = chosen
        names = (*PREPROCESSING, *self.scalars)
        self._parts = [
            (kernel, [names.index(name) for name in (*PREPROCESSING, *kernel.scalars)]) for kernel in (first, second)
        ]
        self._batch: Batch | None = None
        self._members: list[tuple[Integers, Batch]] = []

    def __call__(self, batch: Batch, addresses: Integers, groups: Integers, scalars: Floats) -> None:
        """Update all tensors of a batch by one step, in place; arguments are those of every kernel."""
        if batch is not self._batch:
            self._batch, self._members = batch, self._divide(batch)
        for (kernel, columns), (members, part) in zip(self._parts, self._members, strict=True):
            if len(members):
                own = np.ascontiguousarray(addresses[:, members])
                kernel(part, own, groups[members], np.ascontiguousarray(scalars[:, columns]))

    def traffic(self, batch: Batch, groups: Integers, scalars: Floats) -> tuple[Traffic, ...] | None:
        """What a call moves at least; None where one of the two kernels has tensors and does not say."""
        found: list[Traffic] = []
        for (kernel, columns), (members, part) in zip(self._parts, self._divide(batch), strict=True):
            if len(members):
                moved = KernelCall(kernel, part, groups[members], scalars[:, columns]).traffic()
                if moved is None:
                    return None
                found += moved
        return tuple(found)

    def flops(self, batch: Batch) -> int:
        """Operations of matrix products in a call."""
        divided = zip(self._parts, self._divide(batch), strict=True)
        return sum(kernel.flops(part) for (kernel, _), (_, part) in divided if hasattr(kernel, "flops"))

    def _divide(self, batch: Batch) -> list[tuple[Integers, Batch]]:
        first = np.array([self._chosen(shape) for shape in batch.shapes], dtype=bool)
        found = []
        for members in (np.flatnonzero(first), np.flatnonzero(~first)):
            shapes = [batch.shapes[k] for k in members]
            own = make_batch(batch.sizes[members], batch.rows[members], shapes=shapes, centralized=batch.centralized)
            found.append((members, own))
        return found

"""What an optimizer computes, found by its name or given as a rule, apart from the arrays that it will update."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tinyms_core.kernels.buffers import CPU
from tinyms_core.kernels.factor import Factor, analyse_factor
from tinyms_core.kernels.host import host_function
from tinyms_core.kernels.program import Program, analyse
from tinyms_core.kernels.rule import GRADIENT, PARAMETER, SUPPLIED_SCALARS, Rule
from tinyms_core.kernels.update import Plan, Update
from tinyms_core.registry import api
from tinyms_core.registry.arguments import checked_hyperparameters
from tinyms_core.registry.errors import MissingKernelError
from tinyms_core.registry.probe import resolve
from tinyms_core.registry.specs import Capabilities, Hyperparameter, KernelStatus, OptimizerSpec, StateSlot
from tinyms_core.registry.validation import describe

# Given to every optimizer, under names of its own.
COMMON = ("learning_rate", "weight_decay", "loss_scale")


@dataclass(frozen=True)
class Algorithm:
    """An optimizer for one setting of its hyperparameters.

    Attributes:
        name: what errors call it.
        capabilities: what it can do.
        hyperparameters: their values, by name.
        program: its rule's program, or its update's plan.
        slots: its state, by name.
        rate: its declared learning rate; None for a rule, which takes one where it names ``lr``.
        factory: makes the kernel of a plan; None for a program.
    """

    name: str
    capabilities: Capabilities
    hyperparameters: Mapping[str, Any]
    program: Program | Plan
    slots: Mapping[str, StateSlot]
    rate: Hyperparameter | None = None
    factory: Callable[[Any, str, str], Any] | None = None

    @property
    def needs_rate(self) -> bool:
        """Whether there has to be a learning rate."""
        if self.rate is None:
            return isinstance(self.program, Program) and "lr" in self.program.scalars
        return self.rate.goes_with(self.hyperparameters)

    def host(self) -> Callable[..., tuple[float, ...]]:
        """The scalar part of a step, computed on the host."""
        return host_function(self.program)


def find_algorithm(source: str | Rule, device: str, given: Mapping[str, Any]) -> Algorithm:
    """Find what an optimizer computes.

    Arguments:
        source: an optimizer's name, or a rule.
        device: the device that its kernels are for.
        given: its hyperparameters.

    Returns:
        The algorithm.

    Raises:
        TypeError: neither a name nor a rule, or a hyperparameter that is unknown, missing, or of a wrong type.
        ValueError: a hyperparameter out of range, or an optimizer that is not a function of arrays alone.
        MissingKernelError: there is no kernel for the device.
    """
    if isinstance(source, Rule):
        return _of_rule(source, given)
    if not isinstance(source, str):
        raise TypeError(f"ArrayOptimizer: 'optimizer' must be an optimizer's name or a rule, got {describe(source)}")
    spec = api.optimizer_info(source)
    for wrong, what in (
        (spec.capabilities.consumes_network, "is built from a network; give its rule in place of its name"),
        (spec.capabilities.wraps_optimizer, "goes around another optimizer; give it as 'factor=ArrayFactor(...)'"),
    ):
        if wrong:
            raise ValueError(f"ArrayOptimizer: {spec.name!r} {what}")
    kinds = {h.name: h for h in spec.hyperparameters if h.name not in COMMON}
    values = checked_hyperparameters(spec.name, tuple(kinds.values()), given)
    rate = next((h for h in spec.hyperparameters if h.kind == "rate"), None)
    slots = {slot.name: slot for slot in spec.state}
    implementation = _implementation(spec, api.kernels_for(source), device)
    if isinstance(implementation, Rule):
        program = analyse(implementation, values, frozenset(h.name for h in kinds.values() if h.saved_as))
        return Algorithm(spec.name, spec.capabilities, values, program, slots, rate)
    plan = _plan(spec, values)
    return Algorithm(spec.name, spec.capabilities, values, plan, slots, rate, implementation)


def _of_rule(rule: Rule, given: Mapping[str, Any]) -> Algorithm:
    names = [name for name in rule.scalars if name not in SUPPLIED_SCALARS]
    if sorted(names) != sorted(given):
        raise TypeError(f"{rule.name}: its hyperparameters are {sorted(names)}, got {sorted(given)}")
    in_update = "weight_decay" in rule.scalars
    capabilities = Capabilities(weight_decay="update" if in_update else "gradient", sparse="lazy")
    program = analyse(rule, given)
    if program.reductions:
        capabilities = Capabilities(weight_decay=capabilities.weight_decay, layerwise=True)
    slots = {name: StateSlot(name, prefix=name) for name in rule.state}
    return Algorithm(rule.name, capabilities, dict(given), program, slots)


def _implementation(spec: OptimizerSpec, kernels: tuple[KernelStatus, ...], device: str) -> Any:
    """The kernel of a device: the best that is registered for it, else a rule that another device's is made from."""
    own = [status for status in kernels if status.spec.device == device]
    for status in own:
        if status.available:
            found = resolve(status.spec.implementation)
            return found.host if isinstance(found, Update) and device == CPU else found
    for status in kernels:
        if status.available and not own:
            found = resolve(status.spec.implementation)
            if isinstance(found, Rule):
                return found
    raise MissingKernelError.explain(spec.name, device, kernels)


def _plan(spec: OptimizerSpec, values: Mapping[str, Any]) -> Plan:
    """The plan of a written-out update; what it computes in operators of MindSpore is not needed here."""
    own = [slot for slot in spec.state if slot.per_parameter]
    names = [PARAMETER, GRADIENT, *(slot.name for slot in own), *SUPPLIED_SCALARS, *values]

    def arguments() -> None:
        raise NotImplementedError

    arguments.__name__ = spec.name
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    arguments.__signature__ = inspect.Signature([inspect.Parameter(n, kind) for n in names])  # type: ignore[attr-defined]
    counters = tuple(slot.name for slot in spec.state if not slot.per_parameter)
    update = Update(arguments, state=tuple(slot.name for slot in own), counters=counters)
    return Plan(update, tuple(slot for slot in own if slot.kept_with(values)), values)


class ArrayFactor:
    """A factor of the gradients, one number for each array, as LARS has around another optimizer.

    Arguments:
        optimizer: the name of an optimizer that goes around another one, such as ``"lars"``, or a rule of its factor.
        chosen: whether each array gets a factor, in the order of the arrays; all do when None.
        hyperparameters: the optimizer's, by name.

    Raises:
        TypeError: a hyperparameter is unknown, missing, or of a wrong type.
        ValueError: a hyperparameter is out of range, or the optimizer goes around no other one.

    Example:
        >>> from tinyms_core.kernels import ArrayFactor
        >>> from tinyms_core import math, rule
        >>> @rule()
        ... def to_unit_length(w, g):
        ...     return 1.0 / math.norm(g)
        >>> ArrayFactor(to_unit_length).name
        'to_unit_length'
    """

    def __init__(
        self, optimizer: str | Rule, *, chosen: list[bool] | tuple[bool, ...] | None = None, **hyperparameters: Any
    ) -> None:
        rule: Any = optimizer
        values: dict[str, Any] = dict(hyperparameters)
        if not isinstance(optimizer, Rule):
            spec = api.optimizer_info(optimizer)
            if not spec.capabilities.wraps_optimizer:
                raise ValueError(f"ArrayFactor: {spec.name!r} goes around no other optimizer; 'lars' does")
            declared = tuple(h for h in spec.hyperparameters if h.kind != "any")
            values = checked_hyperparameters(spec.name, declared, hyperparameters)
            rule = _implementation(spec, api.kernels_for(optimizer), CPU)
        if chosen is not None and not all(isinstance(value, bool) for value in chosen):
            raise TypeError(f"ArrayFactor: 'chosen' must be a list of bools, got {describe(chosen)}")
        self.name: str = rule.name
        self.hyperparameters = values
        self.chosen = None if chosen is None else tuple(chosen)
        self.factor: Factor = analyse_factor(rule, values)
        self._host = host_function(self.factor.program)

    def slots(self, rate: float | None, t: int, decay: float) -> tuple[float, ...]:
        """The slots of the factor's program at a step."""
        named = {**self.hyperparameters, "lr": rate, "t": t, "weight_decay": decay}
        return self._host(**{name: named[name] for name in self.factor.program.scalars})

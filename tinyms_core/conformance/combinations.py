"""Which values go together, by what an optimizer declares of its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tinyms_core.conformance.values import default_value, other_value
from tinyms_core.conformance.workload import NO_RATE, Group, Workload
from tinyms_core.registry.hyperparameters import Hyperparameter
from tinyms_core.registry.specs import OptimizerSpec


def rate_of(spec: OptimizerSpec) -> Hyperparameter:
    """The declaration of the learning rate; of one that goes with everything where the optimizer has none."""
    return next((h for h in spec.hyperparameters if h.kind == "rate"), Hyperparameter("learning_rate", kind="rate"))


def takes_rate(spec: OptimizerSpec, values: Mapping[str, Any]) -> bool:
    """Whether a rate may be given beside values of the optimizer's own hyperparameters."""
    return rate_of(spec).goes_with({**spec.defaults, **values})


def with_flag_for(declared: Hyperparameter, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with the flag set such that an argument may be given."""
    if not declared.only_with:
        return dict(values)
    return {**values, declared.only_with_flag: not declared.only_with.startswith("not ")}


def fitting(spec: OptimizerSpec, workload: Workload) -> Workload:
    """The workload without what its flags rule out: the rates, and values of other arguments."""
    values = dict(workload.hyperparameters)
    known = {**spec.defaults, **values}
    ruled_out = {h.name: h.default for h in spec.hyperparameters if h.name in values and not h.goes_with(known)}
    if ruled_out:
        workload = workload.with_hyperparameters(ruled_out)
    if takes_rate(spec, values):
        return workload
    groups: tuple[Group, ...] = tuple(replace(group, rate=None) for group in workload.groups)
    return replace(workload, rate=NO_RATE, groups=groups)


def own_options(spec: OptimizerSpec, values: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """For a group, values that it may have of its own: none of them those that the optimizer has.

    Arguments:
        spec: the optimizer's declaration.
        values: its own hyperparameters.

    Returns:
        Names and values; without those that do not go with the rest.
    """
    known = {**spec.defaults, **values}
    found: dict[str, Any] = {}
    for declared in spec.hyperparameters:
        if declared.name in spec.capabilities.group_options and declared.goes_with(known):
            default = default_value(declared)
            found[declared.name] = other_value(declared) if known[declared.name] == default else default
    return tuple(found.items())


def without_options(workload: Workload) -> Workload:
    """The workload with the same hyperparameters for all groups."""
    groups: tuple[Group, ...] = tuple(replace(group, options=()) for group in workload.groups)
    return replace(workload, groups=groups)


def sides(spec: OptimizerSpec) -> tuple[bool, ...]:
    """Whether a rate is given, for each way in which an optimizer can be built: with a rate, then without one."""
    return (True, False) if rate_of(spec).only_with else (True,)


def on_side(spec: OptimizerSpec, rate: bool, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with the flag set such that a rate may be given, or must not be; the rest brought into line."""
    declared = rate_of(spec)
    if not declared.only_with:
        return dict(values)
    right = declared.only_with.startswith("not ") != rate
    changed = {**values, declared.only_with_flag: right}
    known = {**spec.defaults, **changed}
    allowed = {h.name: h.goes_with(known) for h in spec.hyperparameters}
    return {name: value if allowed[name] else spec.defaults[name] for name, value in changed.items()}

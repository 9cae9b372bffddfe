"""Numbers: every option does something, and those that are declared inert do nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tinyms_core.conformance.catalog import check
from tinyms_core.conformance.combinations import fitting, with_flag_for
from tinyms_core.conformance.compare import require
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.trial import Snapshot
from tinyms_core.conformance.values import of_optimizer, other_value
from tinyms_core.conformance.workload import Rate, Workload


@check("Numbers", {"pynative": ("float32",), "jit": ("float32",)})
def check_options_have_effect(subject: Subject) -> None:
    """Each hyperparameter changes the trajectory, except those that are declared inert, which change nothing."""
    usual = subject.plain(steps=5, hyperparameters=subject.settings[0])
    usual_reference = subject.history(usual)[-1]
    for declared in of_optimizer(subject.spec.hyperparameters):
        base, reference = usual, usual_reference
        if declared.only_with:
            flagged = with_flag_for(declared, dict(usual.hyperparameters))
            base = fitting(subject.spec, usual.with_hyperparameters(flagged))
            reference = subject.history(base)[-1]
        changed = _changed(base, declared)
        changed = None if changed is None else fitting(subject.spec, changed)
        if changed is None or not _accepted(subject, changed):
            continue
        if subject.mode != "pynative" and declared.kind != "flag":
            # What is not a flag is the same input to every compiled form; a graph for each would take long.
            continue
        name, value = declared.name, dict(changed.hyperparameters)[declared.name]
        same = _same(subject.history(changed)[-1], reference)
        if declared.inert:
            require(same, f"{name}={value!r} changes the trajectory, but is declared inert: {declared.inert}")
        else:
            require(not same, f"{name}={value!r} changes nothing, and is not declared inert")
    if subject.mode == "pynative":
        for what, other in _base_changes(subject, usual):
            require(not _same(subject.history(other)[-1], usual_reference), f"{what} changes nothing")


def _accepted(subject: Subject, workload: Workload) -> bool:
    """Whether the constructor takes the values together; no declaration says which contradict each other."""
    try:
        subject.trial(workload)
    except ValueError:
        return False
    return True


def _changed(base: Workload, declared: Any) -> Workload | None:
    """The workload with another value of a hyperparameter; None where the declaration names no other."""
    current = dict(base.hyperparameters)[declared.name]
    for value in (declared.default, other_value(declared)):
        known = not declared.required or value is not declared.default
        if known and value != current and (value is not None or declared.default is None):
            return base.with_hyperparameters({declared.name: value})
    if declared.required and declared.kind in ("float", "number"):
        return base.with_hyperparameters({declared.name: 0.5 * current})
    return None


def _base_changes(subject: Subject, base: Workload) -> list[tuple[str, Workload]]:
    changes = [("another learning rate", replace(base, rate=Rate((0.5 * base.rate.values[0],))))]
    if subject.capabilities.weight_decay != "none":
        changes.append(("another weight_decay", replace(base, decay=(2 * base.decay[0],))))
    return changes


def _same(one: Snapshot, other: Snapshot) -> bool:
    return all((one.parameters[name] == value).all() for name, value in other.parameters.items())

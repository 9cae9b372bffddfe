"""Optimizers around another one: what the other one is, what becomes of it, and what its update sees."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import nn

from tinyms_core.conformance.catalog import EVERY_MODE, ONCE, CheckSkipped, check
from tinyms_core.conformance.checkpoints import transfer
from tinyms_core.conformance.compare import require, require_close, require_same
from tinyms_core.conformance.composite import CompositeOracle, compose
from tinyms_core.conformance.construction import refusal, require_named
from tinyms_core.conformance.identity import require_equal
from tinyms_core.conformance.inner import CLASSIC, DECOUPLED, INNER, MINDSPORE, MINDSPORE_DECOUPLED
from tinyms_core.conformance.numbers import require_golden
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.trial import Trial, make_parameters, make_step, scratch_folder, values_of
from tinyms_core.conformance.workload import Rate, Workload
from tinyms_core.registry.specs import Capabilities, OptimizerSpec

_NEEDS = "a declared wraps_optimizer"
_EAGER_AND_GRAPH = {"pynative": ("float32",), "graph": ("float32",)}


def _wraps(can: Capabilities) -> bool:
    return can.wraps_optimizer


def around(subject: Subject, wrapped: OptimizerSpec) -> Subject:
    """The subject around another optimizer than usual."""
    return replace(subject, spec=compose(subject.declared, wrapped))


class Wrapped:
    """An optimizer of the kit's own, bare, and the one under test around it.

    Arguments:
        subject: the optimizer under test.
        workload: of the composite.
        spec: which optimizer to wrap.
    """

    def __init__(self, subject: Subject, workload: Workload, spec: OptimizerSpec = INNER) -> None:
        names = {h.name for h in spec.hyperparameters}
        given = dict(workload.hyperparameters)
        own = tuple((name, value) for name, value in given.items() if name in names)
        self.trial = bare(subject, replace(workload, hyperparameters=own), spec)
        self.optimizer = self.trial.optimizer
        self.arguments = {name: value for name, value in given.items() if name not in names}
        self.mode = subject.mode
        self.make = subject.declared_class

    def wrap(self) -> Callable[..., Any]:
        """Build the optimizer under test around the other one; a function that does one step of it."""
        self.outer = self.make(self.optimizer, **self.arguments)
        return make_step(self.outer, "pynative" if self.mode == "any" else self.mode)


def bare(subject: Subject, workload: Workload, spec: OptimizerSpec = INNER) -> Trial:
    """A trial of an optimizer of the kit's own, without another one around it."""
    return replace(subject, spec=spec, own=None).trial(workload)


@check("Construction", ONCE, requirement=_wraps, needs=_NEEDS)
def check_wraps_optimizers_alone(subject: Subject) -> None:
    """What is no optimizer cannot be wrapped: a class, Parameters, another Cell, None; the error names the argument."""
    argument = next(iter(inspect.signature(subject.declared_class).parameters))
    parameters = list(make_parameters(subject.plain()).values())
    wrong: list[tuple[str, Any]] = [
        ("None", None),
        ("a str", "momentum"),
        ("a list of Parameters", parameters),
        ("an optimizer's class", nn.Momentum),
        ("a Cell that is no optimizer", nn.Dense(2, 3)),
    ]
    for what, value in wrong:
        message = refusal(partial(subject.declared_class, value), (TypeError,), what)
        require_named(message, (argument,), what)


@check("Execution", _EAGER_AND_GRAPH, requirement=_wraps, needs=_NEEDS)
def check_wrapped_optimizer_unchanged(subject: Subject) -> None:
    """The wrapped optimizer works as without one around it: before, after and between steps, and after an error."""
    workload = replace(subject.workload(), steps=4)
    wrapped = Wrapped(subject, workload)
    free = bare(subject, wrapped.trial.workload)
    before = _attributes(wrapped.optimizer)
    step = wrapped.wrap()
    _require_attributes(wrapped.optimizer, before, "building")
    _step_both(wrapped.trial, free, "before the first step of the one around it")
    before = _attributes(wrapped.optimizer)
    step(wrapped.trial.gradients())
    wrapped.trial.steps += 1
    with scratch_folder():
        refusal(lambda: step(wrapped.trial.gradients()[:1]), (TypeError, ValueError), "a step with one gradient")
    _require_attributes(wrapped.optimizer, before, "a step and an error")
    free = bare(subject, wrapped.trial.workload)
    with tempfile.TemporaryDirectory(prefix="tinyms_conformance_") as folder:
        transfer(wrapped.optimizer, free.optimizer, Path(folder))
    free.steps = wrapped.trial.steps
    _copy_parameters(wrapped.trial, free)
    _step_both(wrapped.trial, free, "after a step and an error of the one around it")


def _attributes(optimizer: Any) -> dict[str, Any]:
    """What an optimizer holds."""
    # In attributes that any Cell has, MindSpore notes what it has checked and compiled.
    common = vars(nn.Cell(auto_prefix=False))
    return {name: value for name, value in vars(optimizer).items() if name not in common}


def _require_attributes(optimizer: Any, before: dict[str, Any], what: str) -> None:
    now = _attributes(optimizer)
    changed = sorted(name for name in before if name not in now or not _alike(now[name], before[name]))
    require(not changed, f"{what} changes these attributes of the wrapped optimizer: {', '.join(changed)}")


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, bool | int | float | str):
        return type(one) is type(other) and one == other
    return one is other


def _copy_parameters(source: Trial, target: Trial) -> None:
    for name, parameter in source.parameters.items():
        require_same(values_of(target.parameters[name]), values_of(parameter), f"{name} after loading a checkpoint")


def _step_both(one: Trial, other: Trial, when: str) -> None:
    one.run(1)
    other.run(1)
    require_equal(one.snapshot(), other.snapshot(), f"after a step of the wrapped optimizer itself, {when}")


@check("Execution", EVERY_MODE, requirement=_wraps, needs=_NEEDS)
def check_wrapped_step_advances_once(subject: Subject) -> None:
    """Each step advances the wrapped optimizer's step by one, and shows the same step, rate and parameters."""
    wrapped = Wrapped(subject, replace(subject.workload(), steps=3))
    step = wrapped.wrap()
    for count in range(1, 4):
        step(wrapped.trial.gradients(count - 1))
        found = wrapped.trial.snapshot().global_step
        require(found == count, f"after {count} step(s) the wrapped optimizer's global_step is {found}")
        shown = int(wrapped.outer.global_step.asnumpy().reshape(-1)[0])
        require(shown == count, f"after {count} step(s) global_step is {shown}")
    same = all(map(_alike, wrapped.outer.parameters, wrapped.optimizer.parameters))
    require(same, "its parameters are not the wrapped optimizer's")


@check("Numbers", _EAGER_AND_GRAPH, requirement=_wraps, needs=_NEEDS)
def check_refused_parameters_ordinary(subject: Subject) -> None:
    """Parameters that it does not choose take the wrapped optimizer's ordinary path, decay and scale included."""
    workload = replace(subject.workload(), steps=5)
    oracle = subject.oracle(workload)
    assert isinstance(oracle, CompositeOracle)
    first = workload.gradients(0)
    refused = [place.member.name for place in workload.places if oracle.refuses(place, first)]
    if not refused:
        raise CheckSkipped("by its oracle it chooses every parameter of the kit's")
    alone = Wrapped(subject, workload).trial.workload
    expected = replace(subject, spec=INNER, own=None).history(alone)[-1]
    found = subject.history(workload)[-1]
    for name in refused:
        what = f"{name} after 5 steps, and without the optimizer around"
        if subject.mode == "pynative":
            require_same(found.parameters[name], expected.parameters[name], what)
        else:
            require_close(found.parameters[name], expected.parameters[name], "float32", what)


@check(
    "Numbers",
    {"pynative": ("float32", "bfloat16", "float64"), "graph": ("float32",)},
    requirement=_wraps,
    needs=_NEEDS,
)
def check_wraps_decoupled_decay(subject: Subject) -> None:
    """Around an optimizer with decay in its own update, that decay is part of the gradient, and applied once."""
    other = around(subject, DECOUPLED)
    require_golden(other, other.workload())


@check("Numbers", _EAGER_AND_GRAPH, requirement=_wraps, needs=_NEEDS)
def check_wraps_classic_optimizers(subject: Subject) -> None:
    """It works around an optimizer of this library that writes its own `construct`."""
    other = around(subject, CLASSIC)
    require_golden(other, replace(other.workload(), steps=5))


@check("Numbers", EVERY_MODE, requirement=_wraps, needs=_NEEDS)
def check_wraps_mindspore_optimizers(subject: Subject) -> None:
    """It works around MindSpore's own optimizers, with groups, decay in the gradient or the update, and loss scale."""
    for wrapped in (MINDSPORE, MINDSPORE_DECOUPLED):
        other = around(subject, wrapped)
        workload = replace(other.workload(), steps=5)
        # Beside a rate that varies MindSpore rounds the others.
        rates = (Rate((0.03,)), Rate((0.015,)), None)
        groups = tuple(replace(group, rate=rate) for group, rate in zip(workload.groups, rates, strict=True))
        workload = replace(workload, groups=groups, rate=other.plain().rate)
        oracle = other.oracle(workload)
        history = other.history(workload)
        for snapshot in history[1:]:
            oracle.step()
            for name, value in oracle.parameters.items():
                what = f"{name} after step {oracle.steps} around mindspore.nn's {wrapped.name}"
                require_close(snapshot.parameters[name], value, "float32", what, 1e-5)
                moved = float(np.abs(value - workload.initial()[name]).max(initial=0.0))
                error = float(np.abs(snapshot.parameters[name] - value).max(initial=0.0))
                require(error <= 0.01 * moved, f"{what}: off by {error:g}, where the parameter moved by {moved:g}")


@check("State", {"pynative": ("float32",)}, requirement=_wraps, needs=_NEEDS)
def check_wrapped_checkpoint(subject: Subject) -> None:
    """A checkpoint is the wrapped optimizer's own: each loads the other's, with nothing missing and nothing more."""
    workload = replace(subject.workload(), steps=6)
    for what in ("from the bare optimizer", "into the bare optimizer"):
        first, second = Wrapped(subject, workload), Wrapped(subject, workload)
        step, other = first.wrap(), second.wrap()
        for count in range(3):
            step(first.trial.gradients(count))
        ends = (first.optimizer, second.outer) if what.startswith("from") else (first.outer, second.optimizer)
        with tempfile.TemporaryDirectory(prefix="tinyms_conformance_") as folder:
            transfer(*ends, Path(folder))
        for count in range(3, 6):
            step(first.trial.gradients(count))
            other(first.trial.gradients(count))
        require_equal(second.trial.snapshot(), first.trial.snapshot(), f"3 steps after a checkpoint was loaded {what}")

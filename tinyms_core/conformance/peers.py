"""Numbers: beside the optimizer of ``mindspore.nn`` of the same name, where a plugin's table says which is right."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np
from mindspore import nn

from tinyms_core.conformance.catalog import CheckFailure, CheckSkipped, check
from tinyms_core.conformance.combinations import fitting
from tinyms_core.conformance.compare import require
from tinyms_core.conformance.declared import declared_table
from tinyms_core.conformance.oracle import Oracle
from tinyms_core.conformance.rounding import NARROW, unit
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.tables import Decider, PeerOptions
from tinyms_core.conformance.trial import Snapshot, Trial, make_arguments, make_parameters, make_params
from tinyms_core.conformance.values import LOSS_SCALE
from tinyms_core.conformance.workload import NO_RATE, Group, Member, Rate, Workload

# What MindSpore calls a Parameter without a name; some of its optimizers hold such, which mean nothing.
UNNAMED = re.compile(r"Parameter\$\d+")
_EQUAL = 1e-5
_DIFFERENT = 1e-3
_WEIGHT = Member("dense.weight", (5, 8))
_OTHERS = (Member("dense.bias", (19,)), Member("norm.gamma", (9,)), Member("conv.weight", (4, 3, 3, 2)))


def peer_class(subject: Subject) -> Any:
    """MindSpore's optimizer of the same class name.

    Raises:
        CheckSkipped: there is none.
    """
    name = subject.optimizer_class.__name__
    found = getattr(nn, name, None)
    if not (inspect.isclass(found) and issubclass(found, nn.Optimizer)):
        raise CheckSkipped(f"mindspore.nn has no optimizer named {name}")
    return found


def build_peer(optimizer_class: Any, subject: Subject, workload: Workload, needed: Collection[str] = ()) -> Trial:
    """Another class with the same arguments, as far as it has them, in a trial of its own.

    Arguments:
        optimizer_class: the other class.
        subject: the optimizer under test.
        workload: what both step.
        needed: arguments that are given even where the other class has no such, which is for it to refuse.

    Returns:
        The trial.
    """
    trial = subject.trial(workload)
    # MindSpore's decorators hide the signature; what is left of it takes anything.
    accepted = inspect.signature(inspect.unwrap(optimizer_class.__init__)).parameters
    anything = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in accepted.values())
    given = make_arguments(subject.spec, workload)
    trial.parameters = make_parameters(workload)
    trial.optimizer = optimizer_class(
        make_params(workload, trial.parameters),
        **{k: v for k, v in given.items() if anything or k in accepted or k in needed},
    )
    trial._step = lambda gradients: trial.optimizer(tuple(gradients))
    return trial


def compare_layout(ours: Any, theirs: Any) -> None:
    """Require that two optimizers have Parameters of the same names, shapes and dtypes.

    Raises:
        CheckFailure: one has not.
    """

    def layout(optimizer: Any) -> dict[str, tuple[Any, ...]]:
        return {p.name: (tuple(p.shape), str(p.dtype)) for p in optimizer.get_parameters()}

    found = layout(ours)
    expected = {name: value for name, value in layout(theirs).items() if not UNNAMED.fullmatch(name)}
    missing, surplus = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    require(not missing and not surplus, f"against mindspore.nn's state, missing: {missing}, more: {surplus}")
    for name, value in expected.items():
        require(found[name] == value, f"{name} has shape and dtype {found[name]}, in mindspore.nn {value}")


@check("Numbers", {"pynative": ("float32",)})
def check_peer_trajectories(subject: Subject) -> None:
    """With each row of the plugin's table of options, 20 steps are those of the oracle that the row names.

    Where a row names the reference, ``mindspore.nn`` must differ from it or fail, so that the table is mended when
    MindSpore is.
    """
    table = declared_table(subject, "peers", PeerOptions)
    theirs = peer_class(subject)
    for row in table:
        for grouped in (False, True):
            workload = _workload(subject, row, grouped)
            when = f"({row.described}, {'grouped' if grouped else 'ungrouped'})"
            ours = subject.trial(workload)
            peer = _built(theirs, subject, workload, row, row.oracle_for(grouped))
            if peer is not None:
                compare_layout(ours.optimizer, peer.optimizer)
            found = ours.run(workload.steps).snapshot()
            right = _reference(subject, workload)
            _require_near(found, right, f"the reference {when}")
            if peer is not None and row.oracle_for(grouped) == "mindspore.nn":
                _require_near(found, _run(peer, workload.steps, when), f"mindspore.nn {when}")
            elif peer is not None and not (grouped and row.oracle == "reference"):
                _require_different(peer, workload.steps, right, f"{when}: {row.why}")


def _workload(subject: Subject, row: PeerOptions, grouped: bool) -> Workload:
    own = dict(subject.defaults)
    by_kind = {h.kind: h for h in subject.spec.hyperparameters if h.kind in ("rate", "decay")}
    known = {h.name for h in subject.spec.hyperparameters}
    unknown = sorted(set(row.options) - known)
    require(not unknown, f"the table of options has {unknown}, which are no arguments")
    values = {h.name: h.default for h in subject.spec.hyperparameters if not h.required} | dict(row.options)
    rate, decay = by_kind["rate"], by_kind.get("decay")
    require(rate.name in values, f"the options {row.described} need a {rate.name!r}, which has no default")
    first = Group((_WEIGHT,), decay=(0.05,) if decay else None)
    if subject.capabilities.grouped_rates:
        first = replace(first, rate=Rate((0.01,)))
    workload = Workload(
        (first, Group(_OTHERS)) if grouped else (Group((_WEIGHT, *_OTHERS)),),
        grouped=grouped,
        rate=_given(values[rate.name]),
        decay=(float(values[decay.name]),) if decay else (0.0,),
        loss_scale=float(values.get(LOSS_SCALE, 1.0)),
        hyperparameters=tuple((name, row.options.get(name, value)) for name, value in own.items()),
        filtered=subject.capabilities.decay_filter == "names",
    )
    return fitting(subject.spec, workload)


def _given(rate: Any) -> Rate:
    """A rate as a row has it: a number, a list of rates, or None."""
    if rate is None:
        return NO_RATE
    return Rate(tuple(rate), "list") if isinstance(rate, list | tuple) else Rate((rate,))


def _built(theirs: Any, subject: Subject, workload: Workload, row: PeerOptions, oracle: Decider) -> Trial | None:
    """MindSpore's optimizer; None where it cannot be built, which only a row that names the reference may mean."""
    try:
        return build_peer(theirs, subject, workload, row.options)
    except Exception as error:
        if oracle == "reference":
            return None
        raise CheckFailure(f"mindspore.nn's cannot be built ({row.described}): {type(error).__name__}") from error


def _reference(subject: Subject, workload: Workload) -> dict[str, Any]:
    """What the float64 reference has after all steps: parameters and each parameter's own state, by name."""
    oracle: Oracle = subject.oracle(workload)
    for _ in range(workload.steps):
        oracle.step()
    own = {slot.name: slot for slot in subject.spec.state if slot.per_parameter}
    state = {
        own[slot].parameter_name(name): value
        for name, kept in oracle.state.items()
        for slot, value in kept.items()
        if slot in own
    }
    return {**oracle.parameters, **state}


def _run(peer: Trial, steps: int, when: str) -> dict[str, Any]:
    try:
        snapshot = peer.run(steps).snapshot()
    except Exception as error:
        raise CheckFailure(
            f"mindspore.nn's fails {when}, which the table has as the oracle: {type(error).__name__}"
        ) from error
    return {**snapshot.state, **snapshot.parameters}


def _require_near(found: Snapshot, right: dict[str, Any], what: str) -> None:
    ours = {**found.state, **found.parameters}
    for name, value in right.items():
        # State that is only kept with some options is no part of the others.
        if name not in ours:
            continue
        usual = _EQUAL * max(1.0, float(np.abs(value).max()) if name not in found.parameters else 1.0)
        # What is stored in 16 bits may be rounded the other way.
        allowed = np.maximum(usual, unit(value, found.dtypes[name])) if found.dtypes[name] in NARROW else usual
        error = np.abs(ours[name] - value)
        require((error <= allowed).all(), f"{name} is {float(error.max()):.3g} off after 20 steps from {what}")


def _require_different(peer: Trial, steps: int, right: dict[str, Any], what: str) -> None:
    try:
        found = peer.run(steps).snapshot().parameters
    except Exception:
        # That it fails is what the row says; with which error is MindSpore's own affair.
        return
    error = max(float(np.abs(value - right[name]).max()) for name, value in found.items())
    require(
        not error <= _DIFFERENT,
        f"mindspore.nn is right, to within {error:.3g}; its row can name it as the oracle {what}",
    )

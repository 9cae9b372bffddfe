"""Probes: one thing at a time, each by itself, so that what is wrong has a name.

The kit's checks turn every option on at once. An optimizer with one wrong option would fail nearly all of them, and
nobody would learn anything of the rest. So each option, each capability, each dtype and each mode is tried first, and
the checks are run with what has passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from types import MappingProxyType
from typing import Any, Final

import mindspore
import numpy as np
from mindspore import nn
from mindspore.dataset import NumpySlicesDataset

from tinyms_core.conformance.catalog import EVERY_MODE, PYNATIVE, Check, CheckFailure, CheckSkipped
from tinyms_core.conformance.cells import Network, regression
from tinyms_core.conformance.combinations import fitting, on_side, with_flag_for
from tinyms_core.conformance.compare import require
from tinyms_core.conformance.foreign.peers import NETWORK_ARGUMENTS, ForeignOptimizer
from tinyms_core.conformance.foreign.rows import REPEATED, UNIQUE, refuse_outside, step_rows
from tinyms_core.conformance.numbers import require_golden
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.training import train
from tinyms_core.conformance.trial import scratch_folder
from tinyms_core.conformance.values import LOSS_SCALE, default_value, of_optimizer, other_value
from tinyms_core.conformance.workload import Group, Member, Rate, Workload
from tinyms_core.registry.errors import describe
from tinyms_core.registry.hyperparameters import Hyperparameter
from tinyms_core.registry.specs import DTYPES, MODES, OptimizerSpec

STEP_RUNS: Final = "step_runs"
"""The probe without which no other says anything."""

DEFAULT_NUMBERS: Final = "default_numbers"
"""The probe of the defaults; where it fails, the others need options to begin with."""

SCALARS: Final = "shape_scalar"
"""The probe of parameters without dimensions, which the kit's full workload has one of."""

ROWS_OUTSIDE: Final = "rows_outside"
"""The probe that may write into memory that is not the optimizer's."""

_STEPS: Final = 20
_CONVOLUTION, _DENSE = Member("conv.weight", (4, 3, 3, 2)), Member("dense.weight", (9, 7))
_VARYING: Final = tuple(0.02 + 0.001 * (step % 7) for step in range(_STEPS))
_DECAYS: Final = ((0.05,), (0.02,))

Options = tuple[tuple[str, Any], ...]
Narrow = Callable[[OptimizerSpec], OptimizerSpec]


@dataclass(frozen=True)
class Probe:
    """One thing that is tried by itself.

    Attributes:
        check: the probe as a check, which the kit can run.
        what: the thing, for a report, such as ``"use_nesterov=True"``.
        without: the declaration without it; the checks are run with that where the probe fails.
        options: the options that it is about; empty for all else.
    """

    check: Check
    what: str
    without: Narrow
    options: Options = ()


def probes_of(peer: ForeignOptimizer) -> list[Probe]:
    """The probes for an optimizer, by what it is declared to be able to do.

    Arguments:
        peer: the optimizer.

    Returns:
        The probes, first the one that says whether it runs at all.
    """
    if peer.from_network:
        return _network_probes(peer)
    runs = _probe(STEP_RUNS, "a step with the defaults", "Steps with the defaults run.", _run)
    numbers = _probe(DEFAULT_NUMBERS, "the defaults", "With the defaults 20 steps follow the reference.", _golden)
    scalar = _probe(SCALARS, "parameters without dimensions", "A parameter may be 0-d.", _scalar)
    parts = (_option_probes(peer), _edge_probes(peer), _capability_probes(peer.spec), _dtype_probes(peer.spec))
    return [runs, numbers, *chain.from_iterable(parts), scalar, *_mode_probes(peer.spec), *_row_probes(peer.spec)]


def _same(spec: OptimizerSpec) -> OptimizerSpec:
    return spec


def _probe(
    name: str,
    what: str,
    summary: str,
    function: Callable[[Subject], None],
    runs: Mapping[str, tuple[str, ...]] = PYNATIVE,
    subject: str = "Numbers",
    without: Narrow = _same,
    options: Options = (),
) -> Probe:
    def named(under_test: Subject) -> None:
        try:
            function(under_test)
        except CheckSkipped:
            raise
        except CheckFailure as failure:
            raise CheckFailure(f"{what}: {failure}") from failure
        except Exception as error:
            raise CheckFailure(f"{what}: it raised {describe(error)}") from error

    own = MappingProxyType(dict(runs))
    check = Check(name, subject, summary.rstrip("."), own, None, "", "1.0", named, networks=True)
    return Probe(check, what, without, options)


# -- does it run, and are the defaults right ------------------------------------------------------


def _plain(subject: Subject, options: Mapping[str, Any] | None = None, **changes: Any) -> Workload:
    """A workload without groups, decay and scale, with the defaults but for some options."""
    values = {**dict(subject.defaults), **(options or {})}
    usual: dict[str, Any] = {"steps": _STEPS, "decay": (0.0,), "hyperparameters": tuple(values.items())}
    return subject.plain(_CONVOLUTION, _DENSE, Member("first.bias", (19,)), **{**usual, **changes})


def _run(subject: Subject) -> None:
    subject.history(_plain(subject))


def _golden(subject: Subject, options: Mapping[str, Any] | None = None, **changes: Any) -> None:
    require_golden(subject, _plain(subject, options, **changes))


def _scalar(subject: Subject) -> None:
    require_golden(subject, replace(_plain(subject), groups=(Group((_DENSE, Member("temperature", ()))),)))


def _network_probes(peer: ForeignOptimizer) -> list[Probe]:
    """Of an optimizer that is built from a network, a step in its place, and training as MindSpore documents it."""
    modes = dict.fromkeys((mode for mode in MODES if mode != "jit"), ("float32",))
    step, model = partial(_network_step, peer), partial(_network_model, peer)
    return [
        _probe(STEP_RUNS, "a step of a network's training", "A network is trained.", step, modes, "Execution"),
        _probe("documented_training", "Model.train", "Model.train works.", model, {"graph": ("float32",)}, "Execution"),
    ]


def _for_network(peer: ForeignOptimizer) -> tuple[Network, Any]:
    """A network that is converted as such optimizers want it, and the optimizer."""
    from mindspore.train.train_thor import ConvertNetUtils

    network = Network()
    ConvertNetUtils().convert_to_thor_net(network)
    name = peer.label.rpartition(".")[2]
    return network, peer.spec.implementation(network, **NETWORK_ARGUMENTS[name]())  # type: ignore[operator]


def _network_step(peer: ForeignOptimizer, _: Subject) -> None:
    network, optimizer = _for_network(peer)
    with scratch_folder():
        losses = train(network, optimizer, 3)
    require(bool(np.isfinite(losses).all()), f"the losses are {losses}")


def _network_model(peer: ForeignOptimizer, _: Subject) -> None:
    from mindspore.train.train_thor import ConvertModelUtils

    network, optimizer = _for_network(peer)
    loss = nn.MSELoss()
    model = mindspore.Model(network, loss, optimizer)
    model = ConvertModelUtils().convert_to_thor_model(model=model, network=network, loss_fn=loss, optimizer=optimizer)
    with scratch_folder():
        model.train(1, NumpySlicesDataset(regression(), shuffle=False).batch(32), dataset_sink_mode=False)


# -- options --------------------------------------------------------------------------------------


def _option_probes(peer: ForeignOptimizer) -> Iterator[Probe]:
    for declared in of_optimizer(peer.spec.hyperparameters):
        options = _options(peer, declared)
        if options is not None:
            shown = ", ".join(f"{name}={value!r}" for name, value in options.items())
            summary = f"With {shown} 20 steps follow the reference."
            name = f"option_{declared.name}"
            golden = partial(_golden, options=options)
            yield _probe(
                name,
                shown,
                summary,
                golden,
                without=partial(_without_option, declared.name),
                options=tuple(options.items()),
            )


def _options(peer: ForeignOptimizer, declared: Hyperparameter) -> dict[str, Any] | None:
    """Another value of an option, with what else has to be changed for our own class to take it; None for no other."""
    value = other_value(declared)
    ours = Subject(peer.ours)
    usual = dict(ours.defaults)
    if declared.required or value == usual[declared.name]:
        return None
    first = {**_changed(usual, with_flag_for(declared, usual)), declared.name: value}
    more = ({h.name: other_value(h)} for h in of_optimizer(peer.spec.hyperparameters) if h.name != declared.name)
    for options in chain([first], ({**other, **first} for other in more)):
        try:
            ours.trial(_plain(ours, options))
        except (TypeError, ValueError):
            continue
        fitted = dict(_plain(ours, options).hyperparameters)
        return {name: fitted[name] for name in options}
    return None


def _edge_probes(peer: ForeignOptimizer) -> Iterator[Probe]:
    """Options at the lower ends of their intervals, where formulas divide by zero, with gradients of zero."""
    for declared in of_optimizer(peer.spec.hyperparameters):
        low, _, with_low, _ = declared.bounds
        if declared.kind not in ("float", "number") or not with_low or declared.default == low:
            continue
        what = f"{declared.name}={low!r} with gradients of zero"
        run = partial(_still, options={declared.name: low})
        yield _probe(f"edge_{declared.name}", what, f"With {what} 20 steps follow the reference.", run)


def _still(subject: Subject, options: Mapping[str, Any]) -> None:
    still = replace(_DENSE, name="still.weight", gradient_scale=0.0)
    require_golden(subject, replace(_plain(subject, options), groups=(Group((_DENSE, still)),)))


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in after.items() if value != before[name]}


def _without_option(name: str, spec: OptimizerSpec) -> OptimizerSpec:
    """The option stays, at its default: nothing is declared from which another value could be made."""
    return replace(
        spec,
        hyperparameters=tuple(
            replace(h, kind="any", default=default_value(h)) if h.name == name else h for h in spec.hyperparameters
        ),
    )


# -- capabilities ---------------------------------------------------------------------------------


def _able(spec: OptimizerSpec, **changes: Any) -> OptimizerSpec:
    return replace(spec, capabilities=replace(spec.capabilities, **changes))


def _without_argument(spec: OptimizerSpec, wrong: Callable[[Hyperparameter], bool], **changes: Any) -> OptimizerSpec:
    kept = tuple(h for h in spec.hyperparameters if not wrong(h))
    return _able(replace(spec, hyperparameters=kept), **changes)


def _without_decay(spec: OptimizerSpec) -> OptimizerSpec:
    return _without_argument(spec, lambda h: h.kind == "decay", weight_decay="none")


def _without_scale(spec: OptimizerSpec) -> OptimizerSpec:
    return _without_argument(spec, lambda h: h.name == LOSS_SCALE, loss_scale=False)


def _with_rate(subject: Subject) -> dict[str, Any]:
    """The defaults, brought into line so that a rate is taken."""
    return on_side(subject.spec, True, dict(subject.defaults))


def _rate_form(subject: Subject, form: str) -> None:
    _golden(subject, _with_rate(subject), rate=Rate(_VARYING, form))


def _grouped(subject: Subject, first: Group, options: Mapping[str, Any] | None = None, **changes: Any) -> None:
    """A group that has something of its own, and one that has not."""
    groups = (first, Group((_DENSE,)))
    workload = _plain(subject, options, **changes)
    require_golden(subject, fitting(subject.spec, replace(workload, groups=groups, grouped=True)))


def _group_rate(subject: Subject) -> None:
    _grouped(subject, Group((_CONVOLUTION,), Rate((0.03,))), _with_rate(subject))


def _group_decay(subject: Subject) -> None:
    _grouped(subject, Group((_CONVOLUTION,), decay=_DECAYS[1]), decay=_DECAYS[0])


def _spared(subject: Subject) -> None:
    require_golden(subject, replace(_plain(subject, decay=_DECAYS[0]), groups=(Group((Member("norm.gamma", (7,)),)),)))


def _capability_probes(spec: OptimizerSpec) -> Iterator[Probe]:
    can, rates = spec.capabilities, "Groups and rates"
    takes = partial(_probe, subject=rates)
    if can.dynamic_rates:
        narrow = partial(_able, dynamic_rates=False)
        for form, word in (("schedule", "a schedule"), ("list", "a list of rates")):
            run = partial(_rate_form, form=form)
            yield takes(f"rate_{form}", word, f"The learning rate may be {word}.", run, without=narrow)
    if can.grouped_rates:
        narrow = partial(_able, grouped_rates=False)
        yield takes("rate_of_group", "a group's rate", "A group may have a rate.", _group_rate, without=narrow)
    if can.weight_decay != "none":
        golden = partial(_golden, decay=_DECAYS[0])
        yield takes("decay", "weight_decay=0.05", "Weight decay is applied.", golden, without=_without_decay)
        if can.decay_filter == "names":
            what = "weight_decay=0.05 of parameters named gamma"
            yield takes("decay_of_gamma", what, "Ungrouped, such parameters are spared.", _spared)
        what = "a group's weight_decay"
        yield takes("decay_of_group", what, "A group may have a decay.", _group_decay, without=_without_decay)
    if can.loss_scale:
        golden = partial(_golden, loss_scale=16.0)
        yield _probe("scale", "loss_scale=16.0", "Gradients are unscaled.", golden, without=_without_scale)
    if can.centralization:
        narrow = partial(_able, centralization=False)
        run = partial(_grouped, first=Group((_CONVOLUTION,), centralize=True))
        yield _probe("centralization", "grad_centralization", "A group may be centralized.", run, without=narrow)


# -- dtypes, modes and rows -----------------------------------------------------------------------


def _dtype_probes(spec: OptimizerSpec) -> Iterator[Probe]:
    declared = spec.capabilities.dtypes
    for dtype in (dtype for dtype in DTYPES if dtype in declared and dtype != "float32"):
        runs = {"pynative": (dtype,)}
        narrow = partial(_without_dtype, dtype)
        what = f"parameters of {dtype}"
        yield _probe(f"dtype_{dtype}", what, f"Parameters may be of {dtype}.", _golden, runs, without=narrow)


def _without_dtype(dtype: str, spec: OptimizerSpec) -> OptimizerSpec:
    return _able(spec, dtypes=tuple(d for d in spec.capabilities.dtypes if d != dtype))


def _mode_probes(spec: OptimizerSpec) -> Iterator[Probe]:
    for mode in (mode for mode in MODES if mode in spec.capabilities.modes and mode != "pynative"):
        runs: dict[str, tuple[str, ...]] = {mode: ("float32",)}
        narrow = partial(_without_mode, mode)
        summary = f"Steps in the mode {mode} follow the reference."
        yield _probe(f"mode_{mode}", f"mode {mode}", summary, _golden, runs, "Execution", narrow)


def _without_mode(mode: str, spec: OptimizerSpec) -> OptimizerSpec:
    return _able(spec, modes=tuple(m for m in spec.capabilities.modes if m != mode))


def _row_probes(spec: OptimizerSpec) -> Iterator[Probe]:
    """Nothing is run without what they are about: the kit's own checks of rows have gradients in a form of ours."""
    if spec.capabilities.sparse == "none":
        return
    tries: dict[str, tuple[str, Callable[[Subject], None]]] = {
        "rows": ("sparse gradients", partial(step_rows, indices=UNIQUE)),
        "rows_repeated": (
            "sparse gradients with rows that occur several times",
            partial(_after_rows, step_rows, indices=REPEATED),
        ),
    }
    if spec.capabilities.weight_decay != "none":
        what = "sparse gradients with weight_decay=0.05"
        tries["rows_decayed"] = (what, partial(_after_rows, step_rows, indices=UNIQUE, decay=_DECAYS[0][0]))
    tries[ROWS_OUTSIDE] = ("sparse gradients with rows that are not there", partial(_after_rows, refuse_outside))
    for name, (what, function) in tries.items():
        yield _probe(name, what, f"Right with {what}.", function, EVERY_MODE, "Sparse")


def _after_rows(function: Callable[..., None], subject: Subject, **arguments: Any) -> None:
    """What is asked of rows only where plain ones are right."""
    try:
        step_rows(subject, UNIQUE)
    except Exception as error:
        raise CheckSkipped("plain sparse gradients are wrong already, or refused") from error
    function(subject, **arguments)

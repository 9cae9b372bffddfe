"""Execution: every mode gives the same numbers, and what goes wrong goes wrong cleanly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import mindspore
import numpy as np
from mindspore import Parameter, Tensor, ops

from tinyms_core.conformance.catalog import EVERY_MODE, check
from tinyms_core.conformance.cells import Network
from tinyms_core.conformance.compare import require, require_close, require_parameter, require_same
from tinyms_core.conformance.conditioning import Conditioning
from tinyms_core.conformance.construction import refusal, require_named
from tinyms_core.conformance.identity import require_equal
from tinyms_core.conformance.numbers import compare_with_oracle
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.training import train
from tinyms_core.conformance.trial import Trial, make_arguments, make_tensor, scratch_folder, values_of
from tinyms_core.conformance.workload import Member, Rate
from tinyms_core.optimizer.dtypes import DTYPES, dtype_name

_COMPARED = ("float32",)


@check("Execution", {"graph": _COMPARED}, requirement=lambda can: "pynative" in can.modes, needs="mode pynative")
def check_graph_equals_eager(subject: Subject) -> None:
    """Graph mode gives PyNative's numbers, parameters and state."""
    _compare_modes(subject, "graph")


@check("Execution", {"jit": _COMPARED}, requirement=lambda can: "pynative" in can.modes, needs="mode pynative")
def check_jit_equals_eager(subject: Subject) -> None:
    """A function under ``ms.jit`` gives PyNative's numbers, parameters and state."""
    _compare_modes(subject, "jit")


def _compare_modes(subject: Subject, mode: str) -> None:
    workload = subject.workload()
    conditioning = Conditioning(subject, workload) if subject.spec.oracle else None
    state = {
        slot.parameter_name(place.member.name): (place.member.name, slot.name)
        for place in workload.places
        for slot in subject.spec.state
        if slot.shape == "like"
    }
    pairs = zip(subject.history(workload, mode), subject.history(workload, "pynative"), strict=True)
    for step, (found, expected) in enumerate(pairs):
        when = f"after step {step} in {mode} and in pynative"
        for place in workload.places:
            name, dtype = place.member.name, place.member.dtype
            allowance = partial(conditioning.allowance, step, name) if conditioning else None
            require_parameter(found.parameters[name], expected.parameters[name], dtype, f"{name} {when}", allowance)
        require(set(found.state) == set(expected.state), f"the state in {mode} is {sorted(found.state)}")
        for name, value in expected.state.items():
            # Counters are whole numbers, which float32 holds exactly.
            kind = expected.dtypes[name] if expected.dtypes[name] in DTYPES else "float32"
            allowance = partial(conditioning.allowance, step, *state[name]) if conditioning and name in state else None
            require_parameter(found.state[name], value, kind, f"{name} {when}", allowance)
        require(found.global_step == expected.global_step, f"global_step differs after step {step}")


@check("Execution", {"jit": _COMPARED, "graph": _COMPARED})
def check_no_recompile(subject: Subject) -> None:
    """From the second step on steps compile nothing: neither rates, steps nor gradients make a new graph.

    A compilation that comes now and then with a later step is MindSpore's own, where it has freed another optimizer
    whose gradients looked alike. What an optimizer causes, it causes at the same step of a second run.
    """
    workload = subject.workload()
    counts = [snapshot.compilations for snapshot in subject.history(workload)]
    more = _late_compilations(counts)
    if more:
        trial = subject.trial(workload)
        repeated = [trial.compilations] + [trial.run(1).compilations for _ in range(workload.steps)]
        more &= _late_compilations(repeated)
    require(not more, f"{len(more)} of {len(counts) - 1} steps compile a graph: steps {sorted(more)}")
    require(counts[1] > counts[0], "the first step compiles no graph, so the count of this check sees nothing")


def _late_compilations(counts: Sequence[int]) -> set[int]:
    """The steps from the second on with which something was compiled."""
    return {step for step in range(2, len(counts)) if counts[step] > counts[step - 1]}


@check("Execution", EVERY_MODE)
def check_bad_gradients_leave_state_untouched(subject: Subject) -> None:
    """Gradients of a wrong count, shape or type are refused, with the parameter's name, before anything changes."""
    workload = subject.plain(Member("first.weight", (6, 5)), Member("second.weight", (4, 3)))
    kind = subject.parameter_dtype
    whole = Tensor(np.ones((4, 3), np.int32))
    turned = make_tensor(np.ones((3, 4)), kind)
    cases: list[tuple[str, Callable[[list[Any]], Any], tuple[str, ...]]] = [
        ("too few gradients", lambda good: good[:1], ("1", "2")),
        ("too many gradients", lambda good: [*good, good[0]], ("3", "2")),
        ("a gradient of another shape", lambda good: [good[0], turned], ("second.weight",)),
        ("a gradient of integers", lambda good: [good[0], whole], ("second.weight",)),
    ]
    if subject.mode == "pynative":
        cases += [
            ("no gradients", lambda good: [], ("0", "2")),
            ("None as a gradient", lambda good: [good[0], None], ("second.weight",)),
            ("an array as a gradient", lambda good: [good[0], np.ones((4, 3))], ("second.weight",)),
        ]
        trial = subject.trial(workload)
        lone = trial.gradients()[0]
        before = trial.snapshot()
        refusal(lambda: trial.optimizer(lone), (TypeError, ValueError), "one Tensor without a tuple")
        require_equal(trial.snapshot(), before, "after one Tensor without a tuple was refused")
    for what, spoil, parts in cases:
        _require_untouched(subject.trial(workload).run(1 if subject.mode == "pynative" else 0), what, spoil, parts)


def _require_untouched(
    trial: Trial, what: str, spoil: Callable[[list[Any]], Sequence[Any]], parts: tuple[str, ...]
) -> None:
    before = trial.snapshot()
    good = trial.gradients()
    with scratch_folder():
        message = refusal(lambda: trial.step(spoil(good)), (TypeError, ValueError), what)
    require_equal(trial.snapshot(), before, f"after {what} was refused")
    require_named(message, parts, what)


@check("Execution", {"pynative": ("float32", "bfloat16"), "graph": ("float32",)})
def check_survives_rebinding(subject: Subject) -> None:
    """Parameters and state that get new memory between steps are stepped on from there.

    In a function under ``ms.jit`` MindSpore itself keeps the old memory, whatever the optimizer.
    """
    ways: dict[str, Callable[[Parameter, Tensor], Any]] = {
        "set_data": lambda held, value: held.set_data(value),
        "load_param_into_net": _load,
        "assign_value": lambda held, value: held.assign_value(value),
    }
    if subject.mode != "pynative":
        ways = {name: ways[name] for name in ("set_data", "load_param_into_net")}
    elif subject.dtype == "float32":
        # MindSpore has no kernel of it for bfloat16.
        ways["ops.assign"] = lambda held, value: ops.assign(held, value)
    # Listed rates: where a graph branches to refuse a step past the last one, MindSpore may keep the old memory.
    listed = Rate(tuple(0.02 + 0.001 * step for step in range(12)), "list")
    workload = subject.plain(steps=6, **({"rate": listed} if subject.capabilities.dynamic_rates else {}))
    slots = [slot.name for slot in subject.spec.state if slot.per_parameter]
    name = "first.weight"
    trial, oracle = subject.trial(workload), subject.oracle(workload)
    for what, rebind in ways.items():
        if subject.mode == "pynative":
            # After one way MindSpore refuses some of the others for the same Parameter.
            trial, oracle = subject.trial(workload), subject.oracle(workload)
        _step_both(subject, trial, oracle, f"before {what}")
        value = 1.0 + 0.25 * np.arange(30.0).reshape(6, 5) / 30 + 0.5 * oracle.steps
        new = make_tensor(value, subject.parameter_dtype)
        oracle.parameters[name] = values_of(new)
        rebind(trial.parameters[name], new)
        for slot, held in trial.state_of(name).items():
            if slot in slots:
                numbers = np.resize(np.abs(value) * 0.125, tuple(held.shape))
                kept = make_tensor(numbers, dtype_name(held.dtype) or "float32")
                oracle.state[name][slot] = values_of(kept)
                rebind(held, kept)
        _step_both(subject, trial, oracle, f"after {what}")
        _step_both(subject, trial, oracle, f"two steps after {what}")


def _load(held: Parameter, value: Tensor) -> None:
    # The smallest of MindSpore's Cells that hold a Parameter.
    cell = mindspore.nn.ParameterUpdate(held)
    mindspore.load_param_into_net(cell, {held.name: Parameter(value, name=held.name)})


def _step_both(subject: Subject, trial: Trial, oracle: Any, what: str) -> None:
    before = trial.snapshot()
    trial.step(trial.gradients(oracle.steps))
    oracle.step()
    found = trial.snapshot()
    for name, value in before.parameters.items():
        require((found.parameters[name] != value).any(), f"{name} does not move any more in the step {what}")
    compare_with_oracle(subject.spec, oracle, trial.workload, found, True, True)


@check("Execution", {"pynative": ("float32",)})
def check_pending_work_not_overtaken(subject: Subject) -> None:
    """Operators that were queued before a step and read a parameter read its old value."""
    size = 700
    workload = subject.plain(Member("first.weight", (size, size)), steps=3)
    for attempt in range(3):
        trial = subject.trial(workload).run(1)
        gradients = trial.gradients()
        parameter = trial.parameters["first.weight"]
        old = values_of(parameter)
        other = make_tensor(np.eye(size), "float32")
        product = other
        for _ in range(4):
            # Long enough that the step would come first if it did not wait.
            product = ops.matmul(product, other)
        read = ops.matmul(product, parameter + 0.0)
        late = parameter * 1.0
        trial.step(gradients)
        require_same(values_of(late), old, f"what an operator read that was queued before the step, attempt {attempt}")
        require_close(values_of(read), old, "float32", f"a long operator's result, attempt {attempt}", 1e-5)
        require((values_of(parameter) != old).any(), "the step did not change the parameter")


@check("Execution", {"pynative": ("float32",), "graph": ("float32",)})
def check_frozen_untouched(subject: Subject) -> None:
    """What is not the optimizer's is not touched: frozen parameters, neighbours in memory, gradients."""
    network = Network(frozen=True)
    frozen = values_of(network.second.bias)
    data = np.arange(64, dtype=np.float32)
    workload = replace(subject.plain(), loss_scale=1.0)
    optimizer = subject.optimizer_class(network.trainable_params(), **make_arguments(subject.spec, workload))
    train(network, optimizer, 3)
    require_same(values_of(network.second.bias), frozen, "a frozen bias after 3 steps of training")
    kept = [p.name for p in optimizer.get_parameters() if network.second.bias.name in p.name]
    require(not kept, f"state for a frozen parameter: {kept}")
    stated = any(getattr(subject.optimizer_class, kind, None) is not None for kind in ("rule", "update"))
    if subject.mode == "pynative" and stated:
        # A Parameter that is a view is more than MindSpore's operators take.
        _check_neighbours(subject, data)


def _check_neighbours(subject: Subject, data: Any) -> None:
    """Views into one memory: the optimizer has the middle of it."""
    whole = Tensor(data)
    trial = subject.trial(subject.plain(Member("middle", (32,))))
    trial.parameters["middle"].set_data(whole[16:48])
    gradient = make_tensor(np.ones(32), "float32")
    before = values_of(gradient)
    trial.step([gradient])
    require_same(values_of(gradient), before, "the gradient after a step")
    after = values_of(whole)
    require_same(np.r_[after[:16], after[48:]], np.r_[data[:16], data[48:]], "memory beside a parameter after a step")
    require((values_of(trial.parameters["middle"]) != data[16:48]).any(), "the parameter did not move")

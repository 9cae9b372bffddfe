"""Rates: every form of a learning rate, when it takes effect, and what happens at its end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from mindspore import Tensor, ops

from tinyms_core.conformance.catalog import EVERY_MODE, check
from tinyms_core.conformance.cells import ConstantSchedule
from tinyms_core.conformance.compare import require, require_same
from tinyms_core.conformance.construction import refusal, require_named
from tinyms_core.conformance.identity import require_equal
from tinyms_core.conformance.numbers import compare_with_oracle, require_golden
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.trial import scratch_folder
from tinyms_core.conformance.workload import Group, Member, Rate
from tinyms_core.registry.specs import Capabilities

_VALUES = (0.03, 0.01, 0.02, 0.015, 0.025, 0.02)


def _dynamic(can: Capabilities) -> bool:
    return can.dynamic_rates


@check("Groups and rates", {"pynative": ("float32", "bfloat16", "float64")})
def check_rate_forms(subject: Subject) -> None:
    """A rate may be a float, an int, a 0-d or 1-D Tensor, an array, a list, any iterable or a schedule."""
    forms = [Rate((0.015,)), Rate((1,), "integer"), Rate((0.015,), "tensor")]
    if subject.capabilities.dynamic_rates:
        forms += [Rate(_VALUES, form) for form in ("tensor", "array", "list", "iterable", "schedule")]
    for rate in forms:
        # A rate of 1 would let the numbers grow beyond what a tolerance over many steps is meant for.
        require_golden(subject, subject.plain(rate=rate, steps=2 if rate.form == "integer" else 5))
        if subject.capabilities.grouped_rates:
            groups = (Group((Member("a.weight", (6, 5)),), rate), Group((Member("b.weight", (9,)),)))
            steps = 2 if rate.form == "integer" else 5
            require_golden(subject, subject.plain(grouped=True, groups=groups, steps=steps))


@check(
    "Groups and rates",
    {"pynative": ("float32", "bfloat16"), "graph": ("float32",)},
    requirement=_dynamic,
    needs="declared dynamic_rates",
)
def check_constant_schedule_equals_float(subject: Subject) -> None:
    """A schedule, or a list, that is constant gives the trajectory of the number, bit for bit."""
    name = next(h.name for h in subject.spec.hyperparameters if h.kind == "rate")
    workload = subject.plain(rate=Rate((0.0173,)), steps=5)
    expected = subject.history(workload)[-1].parameters
    forms: dict[str, Any] = {"a schedule": ConstantSchedule(0.0173)}
    if subject.mode == "pynative":
        forms["a list"] = [0.0173] * 5
    for what, rate in forms.items():
        found = subject.trial(workload, **{name: rate}).run(5).snapshot().parameters
        for parameter, value in expected.items():
            require_same(found[parameter], value, f"{parameter} after 5 steps with {what} of 0.0173 and the number")


@check("Groups and rates", EVERY_MODE, requirement=_dynamic, needs="declared dynamic_rates")
def check_rate_list_exhausted_is_clean(subject: Subject) -> None:
    """A step past the last listed rate is an error that says how many there are, and changes nothing.

    The steps before it follow the oracle, in each mode.
    """
    workload = subject.plain(rate=Rate(_VALUES[:3], "list"), steps=3)
    trial, oracle = subject.trial(workload), subject.oracle(workload)
    for _ in range(3):
        trial.step()
        oracle.step()
        before = trial.snapshot()
        compare_with_oracle(subject.spec, oracle, workload, before, True, True)
    with scratch_folder():
        message = refusal(trial.step, (ValueError, IndexError), "step 4 with a list of 3 rates")
        require_named(message, ("3",), "step 4 with a list of 3 rates")
        require_equal(trial.snapshot(), before, "after the step that was refused")
    require(before.global_step == 3, f"after 3 steps global_step is {before.global_step}")


@check("Groups and rates", EVERY_MODE)
def check_live_rate_change(subject: Subject) -> None:
    """A rate that is set between two steps takes effect with the next one.

    Within a function under ``ms.jit`` it is assigned in place: MindSpore's compiled function keeps the memory
    that a Parameter had when it was compiled, whatever the optimizer.
    """
    changed = (0.03, 0.03, 0.007, 0.007)
    workload = subject.plain(rate=Rate((0.03,)), steps=4)
    oracle = subject.oracle(replace(workload, rate=Rate(changed, "schedule")))
    trial = subject.trial(workload)
    for step in range(4):
        if step == 2:
            if subject.mode == "jit":
                ops.assign(trial.optimizer.learning_rate, Tensor(np.float32(0.007)))
            else:
                trial.optimizer.learning_rate.set_data(Tensor(np.float32(0.007)))
            shown = float(trial.optimizer.get_lr().asnumpy())
            require(abs(shown - 0.007) < 1e-9, f"after the rate was set to 0.007 get_lr() is {shown!r}")
        trial.step()
        oracle.step()
        compare_with_oracle(subject.spec, oracle, workload, trial.snapshot(), True, True)
    if subject.capabilities.grouped_rates and subject.mode == "pynative":
        _change_in_group(subject)


def _change_in_group(subject: Subject) -> None:
    first, second = Member("a.weight", (6, 5)), Member("b.weight", (9,))
    rates = (Rate((0.02,)), Rate((0.02, 0.005), "schedule"))
    changed = subject.plain(grouped=True, groups=(Group((first,), rates[0]), Group((second,), rates[1])))
    given = replace(changed, groups=(changed.groups[0], Group((second,), rates[0])))
    oracle = subject.oracle(changed)
    trial = subject.trial(given)
    for step in range(2):
        if step == 1:
            held = trial.optimizer.get_lr_parameter(trial.parameters["b.weight"])
            held.set_data(Tensor(np.float32(0.005)))
        trial.step()
        oracle.step()
        compare_with_oracle(subject.spec, oracle, given, trial.snapshot(), True, True)


@check("Groups and rates", {"pynative": ("float32",), "jit": ("float32",), "graph": ("float32",)})
def check_step_advances_once(subject: Subject) -> None:
    """The step counter starts at 0 and goes up by one with each step."""
    for step, snapshot in enumerate(subject.history(subject.workload())):
        require(snapshot.global_step == step, f"after {step} steps global_step is {snapshot.global_step}")


@check("Groups and rates", {"pynative": ("float32",), "graph": ("float32",)})
def check_get_lr_has_no_side_effect(subject: Subject) -> None:
    """`get_lr` gives the current step's rates, one for each parameter where groups differ, and changes nothing."""
    workload = replace(subject.workload(), steps=5)
    trial = subject.trial(workload)
    for step in range(3):
        before = trial.snapshot()
        for _ in range(2):
            found = trial.optimizer.get_lr()
            rates = [float(r.asnumpy()) for r in found] if isinstance(found, tuple) else [float(found.asnumpy())]
            right = [place.rate.at(step, "float32") for place in workload.places]
            right = right if isinstance(found, tuple) else right[:1]
            require(rates == right, f"get_lr() before step {step + 1} is {rates}, not {right}")
        require_equal(trial.snapshot(), before, f"after get_lr() before step {step + 1}")
        trial.step()
    require_equal(trial.snapshot(), subject.history(workload)[3], "after 3 steps with get_lr() between them")


@check("Groups and rates", {"pynative": ("float32",)})
def check_get_lr_parameter(subject: Subject) -> None:
    """`get_lr_parameter` finds what holds a parameter's rate, and refuses a parameter that is not the optimizer's."""
    trial = subject.trial(subject.plain())
    first, second = trial.parameters.values()
    found = trial.optimizer.get_lr_parameter(first)
    require(abs(float(found.asnumpy()) - 0.02) < 1e-8, f"get_lr_parameter gives {found!r}, the rate is 0.02")
    both = trial.optimizer.get_lr_parameter([first, second])
    require(isinstance(both, list) and len(both) == 2, f"for a list of two parameters it gives {both!r}")
    stranger = next(iter(subject.trial(subject.plain()).parameters.values()))
    get = trial.optimizer.get_lr_parameter
    require_named(refusal(lambda: get(stranger), (ValueError,), "a stranger"), (stranger.name,), "a stranger")
    refusal(lambda: get("first.weight"), (TypeError,), "get_lr_parameter of a str")

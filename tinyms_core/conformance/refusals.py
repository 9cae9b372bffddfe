"""A capability that is not declared is refused clearly, never ignored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import mindspore
import numpy as np
from mindspore import Parameter, Tensor

from tinyms_core.conformance.catalog import EVERY_MODE, ONCE, check
from tinyms_core.conformance.cells import TableSchedule
from tinyms_core.conformance.compare import require
from tinyms_core.conformance.construction import refusal, require_named
from tinyms_core.conformance.identity import require_equal
from tinyms_core.conformance.numbers import require_golden
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.trial import (
    make_arguments,
    make_parameters,
    make_tensor,
    scratch_folder,
)
from tinyms_core.conformance.workload import Group, Member, Workload
from tinyms_core.optimizer.modes import execution_mode
from tinyms_core.registry.specs import DTYPES, MODES


@check("Sparse", EVERY_MODE, requirement=lambda can: can.sparse == "none", needs="no declared sparse gradients")
def check_sparse_refused(subject: Subject) -> None:
    """A sparse gradient is refused with the parameter's name, and nothing is changed."""
    workload = subject.plain(Member("table", (5, 4)), Member("bias", (3,)))
    indices, values = Tensor(np.array([0, 2], np.int32)), make_tensor(np.ones((2, 4)), subject.parameter_dtype)
    forms: list[tuple[str, Callable[[], Any]]] = [
        ("a RowTensor", lambda: mindspore.RowTensor(indices, values, (5, 4))),
        ("(indices, values, shape)", lambda: (indices, values, (5, 4))),
    ]
    if subject.mode == "jit":
        # MindSpore itself takes no RowTensor as an argument of a compiled function.
        forms = forms[1:]
    for what, make in forms:
        trial = subject.trial(workload)
        before = trial.snapshot()
        with scratch_folder():
            message = refusal(
                partial(trial.step, [make(), trial.gradients()[1]]),
                (TypeError, ValueError, NotImplementedError),
                f"{what} as a gradient",
            )
        require_named(message, ("table", "sparse"), f"{what} as a gradient")
        require_equal(trial.snapshot(), before, f"after {what} was refused")


@check("Groups and rates", ONCE, requirement=lambda can: not can.grouped_rates, needs="no declared grouped_rates")
def check_grouped_rates_refused(subject: Subject) -> None:
    """Without grouped rates, a group with a rate of its own is refused with the group's place."""
    _refuse_groups(subject, {"lr": 0.0123}, ("group", "lr"))


@check("Groups and rates", ONCE, requirement=lambda can: not can.dynamic_rates, needs="no declared dynamic_rates")
def check_dynamic_rates_refused(subject: Subject) -> None:
    """Without dynamic rates, a schedule and a list of rates are refused with the argument's name."""
    name = next(h.name for h in subject.spec.hyperparameters if h.kind == "rate")
    for what, rate in (("a schedule", TableSchedule([0.1, 0.2])), ("a list", [0.1, 0.2])):
        argument: dict[str, Any] = {name: rate}
        build = partial(subject.trial, subject.plain(), **argument)
        message = refusal(build, (TypeError, ValueError), f"{name}: {what}")
        require_named(message, (name,), f"{name}: {what}")


@check("Groups and rates", ONCE, requirement=lambda can: can.weight_decay == "none", needs="no declared weight_decay")
def check_weight_decay_refused(subject: Subject) -> None:
    """Without weight decay, the argument and a group's decay are refused."""
    message = refusal(lambda: subject.trial(subject.plain(), weight_decay=0.1), (TypeError,), "weight_decay=0.1")
    require_named(message, ("weight_decay",), "weight_decay=0.1")
    _refuse_groups(subject, {"weight_decay": 0.1}, ("group", "weight_decay"))


@check("Construction", ONCE, requirement=lambda can: not can.loss_scale, needs="no declared loss_scale")
def check_loss_scale_refused(subject: Subject) -> None:
    """Without a loss scale, the argument is refused."""
    message = refusal(lambda: subject.trial(subject.plain(), loss_scale=8.0), (TypeError,), "loss_scale=8.0")
    require_named(message, ("loss_scale",), "loss_scale=8.0")


@check("Construction", ONCE, requirement=lambda can: set(can.dtypes) != set(DTYPES), needs="an undeclared dtype")
def check_undeclared_dtypes_refused(subject: Subject) -> None:
    """Parameters of a dtype that is not declared are refused with the parameter's name."""
    for dtype in DTYPES:
        if dtype not in subject.capabilities.dtypes:
            what = f"a parameter of {dtype}"
            workload = replace(subject.plain(Member("narrow.weight", (3,))), dtype=dtype)
            message = refusal(partial(subject.trial, workload), (TypeError, ValueError), what)
            require_named(message.lower(), ("narrow.weight", dtype), what)


@check("Execution", ONCE, requirement=lambda can: set(can.modes) != set(MODES), needs="an undeclared mode")
def check_undeclared_modes_refused(subject: Subject) -> None:
    """A step in a mode that is not declared is refused, and nothing is changed."""
    for mode in MODES:
        if mode in subject.capabilities.modes:
            continue
        with execution_mode(mode), scratch_folder():
            trial = subject.trial(subject.plain(), mode=mode)
            before = trial.snapshot()
            refusal(trial.step, (RuntimeError, NotImplementedError, TypeError, ValueError), f"a step in mode {mode}")
            require_equal(trial.snapshot(), before, f"after a step in mode {mode} was refused")


@check("Numbers", {"pynative": ("float32", "bfloat16", "float64"), "graph": ("float32",)})
def check_centralization_effective_or_refused(subject: Subject) -> None:
    """Centralization, where declared, takes the mean of every convolution's gradient; elsewhere it is an error."""
    convolutions = (
        Member("one.weight", (6, 5, 3, 3)), Member("two.weight", (4, 7, 3)), Member("three.weight", (1, 1, 1, 9)),
        Member("one.bias", (6,)),
    )  # fmt: skip
    wanted = Group(convolutions, centralize=True)
    workload = replace(
        subject.workload(), groups=(wanted, Group((Member("plain.weight", (4, 3, 3)),))), order=None, steps=5
    )
    if not subject.capabilities.centralization:
        refusal(lambda: subject.trial(workload), (TypeError, ValueError), "a group with grad_centralization")
        return
    require_golden(subject, workload)
    for shape in ((4, 3), ()):
        what = f"grad_centralization for a parameter of shape {shape}"
        bad = replace(workload, groups=(Group((Member("dense.weight", shape),), centralize=True),))
        message = refusal(partial(subject.trial, bad), (ValueError,), what)
        require_named(message, ("dense.weight", "grad_centralization"), what)


def _refuse_groups(subject: Subject, extra: dict[str, Any], parts: tuple[str, ...]) -> None:
    workload = Workload((Group((Member("w", (3,)),)),), dtype=subject.parameter_dtype)
    workload = workload.with_hyperparameters(dict(subject.defaults))
    parameters: list[Parameter] = list(make_parameters(workload).values())
    arguments = make_arguments(subject.spec, workload)
    what = f"a group with {extra}"
    message = refusal(
        lambda: subject.optimizer_class([{"params": parameters, **extra}], **arguments), (TypeError, ValueError), what
    )
    require_named(message, parts, what)
    require(parameters[0].name == "w", f"{what}: the refused parameter is now named {parameters[0].name!r}")

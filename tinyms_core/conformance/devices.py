"""Execution: which device's kernel is used, and what is said where there is none."""

from __future__ import annotations

from dataclasses import replace

import mindspore

from tinyms_core.conformance.catalog import check
from tinyms_core.conformance.compare import require
from tinyms_core.conformance.composite import parts_of
from tinyms_core.conformance.construction import refusal, require_named
from tinyms_core.conformance.identity import require_equal
from tinyms_core.conformance.subject import Subject
from tinyms_core.registry import api
from tinyms_core.registry.errors import MissingKernelError
from tinyms_core.registry.specs import DEVICES


@check("Execution", {"pynative": ("float32",)})
def check_missing_kernel_named(subject: Subject) -> None:
    """A device that is not here is refused with its name and the kernels that exist, and nothing changes."""
    workload = subject.plain(steps=4)
    present = ("CPU", mindspore.get_context("device_target"))
    parts = parts_of(subject.spec)
    # An optimizer around another one has the other one's target, which that one refuses with its own kernels.
    updating = subject if parts is None else replace(subject, spec=parts.wrapped, own=None)
    with updating.registered() as name:
        kernels = [status.spec.implementation_name for status in api.kernels_for(name)]
    trial = subject.trial(workload).run(2)
    for device in DEVICES:
        if device in present:
            continue
        before, target = trial.snapshot(), trial.optimizer.target

        def choose(device: str = device) -> None:
            trial.optimizer.target = device

        message = refusal(choose, (MissingKernelError,), f"target = {device!r}")
        require_named(message, (device, *kernels), f"target = {device!r}")
        now = trial.optimizer.target
        require(now == target, f"after {device!r} was refused the target is {now!r}")
        require_equal(trial.snapshot(), before, f"after target = {device!r} was refused")
    require_equal(trial.run(2).snapshot(), subject.history(workload)[-1], "after 4 steps with refused targets between")


@check("Execution", {"pynative": ("float32",)})
def check_target_switch(subject: Subject) -> None:
    """Setting the target between steps keeps the trajectory; what is no device is refused."""
    workload = subject.plain(steps=4)
    trial = subject.trial(workload).run(2)
    trial.optimizer.target = "CPU"
    for wrong, error in (("cpu", ValueError), ("TPU", ValueError), ("", ValueError), (3, TypeError), (None, TypeError)):

        def choose(wrong: object = wrong) -> None:
            trial.optimizer.target = wrong

        require_named(refusal(choose, (error,), f"target = {wrong!r}"), ("target", repr(wrong)), f"target = {wrong!r}")
    require(trial.optimizer.target == "CPU", f"the target is {trial.optimizer.target!r} after wrong ones were refused")
    for wrong in (1, "yes", None):

        def set_unique(wrong: object = wrong) -> None:
            trial.optimizer.unique = wrong

        require_named(refusal(set_unique, (TypeError,), f"unique = {wrong!r}"), ("unique",), f"unique = {wrong!r}")
    require_equal(trial.run(2).snapshot(), subject.history(workload)[-1], "after 4 steps with the target set between")

"""What a planted defect is, and the table that collects them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np

from tinyms_core.optimizer import base
from tinyms_core.registry.specs import Hyperparameter, KernelSpec, OptimizerSpec


@dataclass(frozen=True)
class Defect:
    """An optimizer with exactly one thing wrong.

    Attributes:
        name: its name.
        summary: what is broken, in one sentence.
        module: the module that it is in.
        spec: the broken optimizer.
        caught_by: the checks that must fail.
        sign: a regular expression that the reasons of these failures have to match. Without one, the reason must
            be the check's own: that the optimizer raised an error of its own accord does not count.
        modes: the modes to run; None for all that the optimizer declares.
        dtypes: the dtypes to run, likewise.
        plugin: source of a module that states the optimizer, to be installed as the spec's distribution.
        kernels: kernels to register for it.
    """

    name: str
    summary: str
    module: str
    spec: OptimizerSpec
    caught_by: tuple[str, ...]
    sign: str = ""
    modes: tuple[str, ...] | None = ("pynative",)
    dtypes: tuple[str, ...] | None = ("float32",)
    plugin: str = ""
    kernels: tuple[KernelSpec, ...] = ()


PLANTED: list[Defect] = []


def planted(
    summary: str,
    *caught_by: str,
    sign: str = "",
    modes: tuple[str, ...] | None = ("pynative",),
    dtypes: tuple[str, ...] | None = ("float32",),
    plugin: str = "",
    kernel: Any = None,
    **changes: Any,
) -> Callable[[type], type]:
    """Enter a class into the table of defects.

    Arguments:
        summary: what is broken, in one sentence.
        caught_by: the checks that must fail.
        sign: a regular expression that the reasons must match.
        modes: the modes to run.
        dtypes: the dtypes to run.
        plugin: source of a module that states the optimizer.
        kernel: a kernel to register for it: a factory, or a rule.
        changes: fields in which the spec differs from that of the sound class; the name is the class's unless told.

    Returns:
        A decorator that gives the class a spec of its own.
    """

    def plant(cls: Any) -> Any:
        name = changes.get("name") or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__.replace("NaN", "Nan")).lower()
        _keep_signature(cls)
        own = {"name": name, "implementation": f"{cls.__module__}:{cls.__qualname__}", "summary": summary}
        cls.spec = replace(cls.spec, **{**own, **changes})
        kernels = () if kernel is None else (KernelSpec(name, "CPU", kernel),)
        PLANTED.append(Defect(name, summary, cls.__module__, cls.spec, caught_by, sign, modes, dtypes, plugin, kernels))
        return cls

    return plant


def _keep_signature(cls: type) -> None:
    """Let a constructor that hands its arguments on show the signature of the one that it hands them to."""
    own = vars(cls).get("__init__")
    if own is not None and any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(own).parameters.values()):
        own.__wrapped__ = super(cls, cls).__init__


@contextmanager
def unguarded() -> Iterator[None]:
    """Build an optimizer without the base's refusal of what its spec does not declare."""
    with mock.patch.object(base, "require_capabilities", return_value=None):
        yield


def declared(spec: OptimizerSpec, name: str, **changes: Any) -> tuple[Hyperparameter, ...]:
    """The hyperparameters of a spec, with one of them declared otherwise."""
    return tuple(replace(h, **changes) if h.name == name else h for h in spec.hyperparameters)


class ThroughViews:
    """For a momentum whose steps on the host write through numpy views of the tensors' memory."""

    def _build_host_step(self) -> Any:
        return self.step

    def step(self: Any, gradients: Any) -> None:
        """One step of all parameters."""
        for index, gradient in enumerate(gradients):
            self.step_one(index, self.parameters[index].asnumpy(), self.moments[index].asnumpy(), gradient)
        self.global_step.asnumpy()[...] += 1

    def step_one(self: Any, index: int, weights: Any, velocity: Any, gradient: Any) -> None:
        """One step of one parameter, given the views."""
        setting = self.settings[index]
        rate = setting.rate.on_host(False)(int(self.global_step.asnumpy()[0]))
        decayed = (
            gradient.asnumpy() / np.float32(self.loss_scale) + (setting.decay if setting.decays else 0.0) * weights
        )
        momentum = np.float32(self.momentum.asnumpy())
        new = momentum * velocity + decayed
        velocity[...] = new
        weights -= (rate * (decayed + momentum * new if self.hyperparameters["use_nesterov"] else new)).astype(
            weights.dtype
        )

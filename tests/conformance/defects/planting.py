"""What a planted defect is, and the table that collects them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tinyms_core.kernels.cpu import CpuKernel
from tinyms_core.optimizer.step import HostStep
from tinyms_core.registry.specs import Hyperparameter, OptimizerSpec


@dataclass(frozen=True)
class Defect:
    """An optimizer with exactly one thing wrong.

    Attributes:
        name: its name.
        summary: what is broken, in one sentence.
        spec: the broken optimizer.
        caught_by: the checks that must fail.
        sign: a regular expression that the reason of each of these failures has to match.
        modes: the modes to run; None for all that the optimizer declares.
        dtypes: the dtypes to run, likewise.
    """

    name: str
    summary: str
    spec: OptimizerSpec
    caught_by: tuple[str, ...]
    sign: str = ""
    modes: tuple[str, ...] | None = ("pynative",)
    dtypes: tuple[str, ...] | None = ("float32",)


PLANTED: list[Defect] = []


def planted(
    summary: str,
    *caught_by: str,
    sign: str = "",
    modes: tuple[str, ...] | None = ("pynative",),
    dtypes: tuple[str, ...] | None = ("float32",),
    **changes: Any,
) -> Callable[[type], type]:
    """Enter a class into the table of defects.

    Arguments:
        summary: what is broken, in one sentence.
        caught_by: the checks that must fail.
        sign: a regular expression that the reasons must match.
        modes: the modes to run.
        dtypes: the dtypes to run.
        changes: fields in which the spec differs from that of the sound class, beside name and implementation.

    Returns:
        A decorator that gives the class a spec of its own.
    """

    def plant(cls: Any) -> Any:
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        own = {"name": name, "implementation": f"{cls.__module__}:{cls.__qualname__}", "summary": summary}
        cls.spec = replace(cls.spec, **{**own, **changes})
        PLANTED.append(Defect(name, summary, cls.spec, caught_by, sign, modes, dtypes))
        return cls

    return plant


def declared(spec: OptimizerSpec, name: str, **changes: Any) -> tuple[Hyperparameter, ...]:
    """The hyperparameters of a spec, with one of them declared otherwise."""
    return tuple(replace(h, **changes) if h.name == name else h for h in spec.hyperparameters)


class OwnKernel:
    """For an optimizer whose steps on the host use a kernel of its own, whatever is registered."""

    kernel: type[CpuKernel] = CpuKernel

    def _build_host_step(self) -> HostStep:
        return HostStep(self, self._program, self.kernel)  # type: ignore[attr-defined]


class OwnStep:
    """For an optimizer whose steps on the host are a function of the optimizer and the gradients."""

    @staticmethod
    def step(optimizer: Any, gradients: Any) -> None:
        """One step."""
        raise NotImplementedError

    def _build_host_step(self) -> Any:
        return lambda gradients: self.step(self, gradients)

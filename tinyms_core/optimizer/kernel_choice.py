"""Which kernel an optimizer uses on a device."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mindspore import context

from tinyms_core.kernels.cpu import CpuKernel
from tinyms_core.kernels.program import analyse
from tinyms_core.kernels.rule import Rule
from tinyms_core.kernels.update import Update
from tinyms_core.registry import api
from tinyms_core.registry.errors import MissingKernelError, UnknownOptimizerError
from tinyms_core.registry.probe import resolve
from tinyms_core.registry.specs import DEVICES, KernelStatus, OptimizerSpec
from tinyms_core.registry.validation import describe

if TYPE_CHECKING:
    from tinyms_core.optimizer.base import Optimizer

# Where a step on the host writes through addresses; elsewhere MindSpore's operators serve.
HOST_DEVICES = ("CPU",)


def choose_kernel(optimizer: Optimizer) -> Any:
    """The kernel for an optimizer on its target.

    Of the registered kernels that are available and take the parameters' dtypes, the one of the highest
    priority; without one, the kernel that is derived from the rule, or the written-out update's own.

    Arguments:
        optimizer: an optimizer with a rule or an update.

    Returns:
        ``factory(program, parameter_dtype, gradient_dtype) -> kernel``, with the update's plan in place of a
        program, or None where steps are made of MindSpore's operators.

    Raises:
        MissingKernelError: the target is a device with neither.
    """
    if optimizer.target not in HOST_DEVICES:
        return None
    kinds = set(optimizer._parameter_kinds)
    for status in registered_kernels(optimizer, optimizer.target):
        if status.available and kinds <= set(status.spec.dtypes):
            return _factory(optimizer, resolve(status.spec.implementation))
    return CpuKernel if optimizer.update is None else optimizer.update.host


def _factory(optimizer: Optimizer, implementation: Any) -> Any:
    """A registered implementation is a rule, from which the kernel is derived, an update, or a factory of kernels."""
    if isinstance(implementation, Update):
        return implementation.host
    if not isinstance(implementation, Rule):
        return implementation
    if implementation is optimizer.rule:
        return CpuKernel
    program = analyse(implementation, optimizer.hyperparameters, frozenset(optimizer.saved_hyperparameters))
    return lambda _, parameter, gradient: CpuKernel(program, parameter, gradient)


def registered_kernels(optimizer: Optimizer, device: str | None = None) -> tuple[KernelStatus, ...]:
    """The kernels that plugins registered for an optimizer's class; none for a class that is not registered."""
    cls = type(optimizer)
    if cls.spec is None:
        return ()
    try:
        known = api.optimizer_info(cls.spec.name)
    except UnknownOptimizerError:
        return ()
    if not _is_of(cls, known):
        return ()
    return api.kernels_for(cls.spec.name, device)


def _is_of(cls: type[Optimizer], known: OptimizerSpec) -> bool:
    """Whether a class computes what a registered optimizer does, whose implementation may be a function."""
    owner = resolve(known.implementation)
    if not isinstance(owner, type):
        return replace(known, distribution="") == cls.spec
    same = all(getattr(cls, kind) is getattr(owner, kind, None) for kind in ("rule", "update"))
    return issubclass(cls, owner) and same


def check_target(optimizer: Optimizer, value: Any) -> None:
    """Refuse a target that is no device, is not present, or has no kernel.

    Raises:
        TypeError: not a str.
        ValueError: another name than 'CPU', 'GPU' or 'Ascend'.
        MissingKernelError: not present, or without a kernel.
    """
    if not isinstance(value, str):
        raise TypeError(f"{optimizer.name}: 'target' must be one of {DEVICES}, got {describe(value)}")
    if value not in DEVICES:
        raise ValueError(f"{optimizer.name}: 'target' must be one of {DEVICES}, got {value!r}")
    present = ("CPU", context.get_context("device_target"))
    if value not in present:
        raise MissingKernelError.explain(optimizer.name, value, registered_kernels(optimizer))

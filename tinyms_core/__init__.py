"""Optimizers for MindSpore: correct, fast on the device at hand, and open to anyone's plugin.

Every public name is imported when it is first used, so that importing this package imports neither
MindSpore nor numba.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tinyms_core.kernels import math
    from tinyms_core.kernels.errors import RuleError
    from tinyms_core.kernels.on_arrays import on_arrays
    from tinyms_core.kernels.rule import Rule, rule
    from tinyms_core.kernels.update import Update
    from tinyms_core.optimizer.base import Optimizer
    from tinyms_core.optimizer.checkpoint import save_checkpoint
    from tinyms_core.optimizer.create import create_optimizer
    from tinyms_core.optimizer.errors import InvalidGroupError
    from tinyms_core.optimizer.listed_rates import listed_rates
    from tinyms_core.optimizer.parameter_groups import parameter_groups
    from tinyms_core.optimizer.wrapping import WrappingOptimizer
    from tinyms_core.registry.api import (
        get_optimizer,
        list_optimizers,
        optimizer_info,
        refresh,
        register,
        unregister,
    )
    from tinyms_core.registry.errors import (
        InvalidSpecError,
        MissingKernelError,
        PluginConflictError,
        PluginError,
        PluginWarning,
        TinymsOptimError,
        UnknownOptimizerError,
    )
    from tinyms_core.registry.hooks import hookimpl
    from tinyms_core.registry.specs import (
        REQUIRED,
        Capabilities,
        Hyperparameter,
        KernelSpec,
        KernelStatus,
        OptimizerSpec,
        StateSlot,
    )

_HOMES = {
    "Capabilities": "registry.specs",
    "Hyperparameter": "registry.specs",
    "InvalidGroupError": "optimizer.errors",
    "InvalidSpecError": "registry.errors",
    "KernelSpec": "registry.specs",
    "KernelStatus": "registry.specs",
    "MissingKernelError": "registry.errors",
    "Optimizer": "optimizer.base",
    "OptimizerSpec": "registry.specs",
    "PluginConflictError": "registry.errors",
    "PluginError": "registry.errors",
    "PluginWarning": "registry.errors",
    "REQUIRED": "registry.specs",
    "Rule": "kernels.rule",
    "RuleError": "kernels.errors",
    "StateSlot": "registry.specs",
    "TinymsOptimError": "registry.errors",
    "UnknownOptimizerError": "registry.errors",
    "Update": "kernels.update",
    "WrappingOptimizer": "optimizer.wrapping",
    "create_optimizer": "optimizer.create",
    "get_optimizer": "registry.api",
    "hookimpl": "registry.hooks",
    "list_optimizers": "registry.api",
    "listed_rates": "optimizer.listed_rates",
    "math": "kernels",
    "on_arrays": "kernels.on_arrays",
    "optimizer_info": "registry.api",
    "parameter_groups": "optimizer.parameter_groups",
    "refresh": "registry.api",
    "register": "registry.api",
    "rule": "kernels.rule",
    "save_checkpoint": "optimizer.checkpoint",
    "unregister": "registry.api",
}

__all__ = [
    "REQUIRED",
    "Capabilities",
    "Hyperparameter",
    "InvalidGroupError",
    "InvalidSpecError",
    "KernelSpec",
    "KernelStatus",
    "MissingKernelError",
    "Optimizer",
    "OptimizerSpec",
    "PluginConflictError",
    "PluginError",
    "PluginWarning",
    "Rule",
    "RuleError",
    "StateSlot",
    "TinymsOptimError",
    "UnknownOptimizerError",
    "Update",
    "WrappingOptimizer",
    "__version__",
    "create_optimizer",
    "get_optimizer",
    "hookimpl",
    "list_optimizers",
    "listed_rates",
    "math",
    "on_arrays",
    "optimizer_info",
    "parameter_groups",
    "refresh",
    "register",
    "rule",
    "save_checkpoint",
    "unregister",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'tinyms_core' has no attribute {name!r}")
    module = import_module(f"tinyms_core.{home}")
    # A module that is itself public, such as `math`, is an attribute of its package once imported.
    value = import_module(f"tinyms_core.{home}.{name}") if name == "math" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

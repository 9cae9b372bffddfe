"""Which optimizers there are: what plugins state about them, how plugins are found, and what can go wrong."""

from tinyms_core.registry.api import (
    active_switches,
    diagnose,
    get_optimizer,
    kernels_for,
    list_optimizers,
    optimizer_info,
    refresh,
    register,
    unregister,
)
from tinyms_core.registry.discovery import ENTRY_POINT_GROUP
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
from tinyms_core.registry.known import KNOWN_OPTIMIZERS, KnownOptimizer
from tinyms_core.registry.probe import resolve
from tinyms_core.registry.registry import OptimizerRegistry
from tinyms_core.registry.report import PluginReport
from tinyms_core.registry.specs import (
    CONTRACT_VERSION,
    REQUIRED,
    Capabilities,
    Hyperparameter,
    KernelSpec,
    KernelStatus,
    OptimizerSpec,
    StateSlot,
)

__all__ = [
    "CONTRACT_VERSION",
    "ENTRY_POINT_GROUP",
    "KNOWN_OPTIMIZERS",
    "REQUIRED",
    "Capabilities",
    "Hyperparameter",
    "InvalidSpecError",
    "KernelSpec",
    "KernelStatus",
    "KnownOptimizer",
    "MissingKernelError",
    "OptimizerRegistry",
    "OptimizerSpec",
    "PluginConflictError",
    "PluginError",
    "PluginReport",
    "PluginWarning",
    "StateSlot",
    "TinymsOptimError",
    "UnknownOptimizerError",
    "active_switches",
    "diagnose",
    "get_optimizer",
    "hookimpl",
    "kernels_for",
    "list_optimizers",
    "optimizer_info",
    "refresh",
    "register",
    "resolve",
    "unregister",
]

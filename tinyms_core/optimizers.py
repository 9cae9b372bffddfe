"""The optimizers of the TinyMS reference by their class names, each looked up in the registry when it is used.

Code that imports from ``tinyms.optimizers`` changes that one import:

>>> from tinyms_core.optimizers import Adam, Momentum
>>> Adam.__name__, Momentum.__name__
('Adam', 'Momentum')

It holds the names of the reference and no others, so that it means the same wherever it stands in for that module,
also behind a ``*``; what the reference has not is asked for by name: ``tinyms_core.get_optimizer("adamw")``.

Importing this module imports no plugin, neither MindSpore nor numba.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tinyms_core.registry.api import get_optimizer, list_optimizers
from tinyms_core.registry.names import fold

if TYPE_CHECKING:
    from tinyms_core.optimizer.base import Optimizer as Optimizer

NAMES: Final = (
    "AdaFactor",
    "Adagrad",
    "Adam",
    "AdamOffload",
    "AdamWeightDecay",
    "FTRL",
    "LARS",
    "Lamb",
    "LazyAdam",
    "Momentum",
    "ProximalAdagrad",
    "RMSProp",
    "SGD",
    "thor",
)
"""The names of the reference, whether or not a distribution that gives them is installed."""


def __getattr__(name: str) -> Any:
    """Look a name up; nothing is kept, so that it is always what the registry says now.

    Raises:
        AttributeError: it is none of `NAMES`.
        UnknownOptimizerError: it is, but what gives it is not installed; the message says how to install it.
        PluginError: what gives it does not work.
    """
    if name == "__all__":
        return _available()
    if name == "Optimizer":
        import tinyms_core

        return tinyms_core.Optimizer
    if name not in NAMES:
        raise AttributeError(
            f"module 'tinyms_core.optimizers' has no attribute {name!r}; it holds the optimizers of the TinyMS "
            f"reference, {', '.join(NAMES)}. Others are asked for by name: tinyms_core.get_optimizer(...)"
        )
    return get_optimizer(name)


def __dir__() -> list[str]:
    return ["NAMES", *_available()]


def _available() -> list[str]:
    """What ``from tinyms_core.optimizers import *`` gives: the base class, and what is installed."""
    registered = {fold(name) for name in list_optimizers()}
    return ["Optimizer", *(name for name in NAMES if fold(name) in registered)]

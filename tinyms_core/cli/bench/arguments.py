"""With what an optimizer is built for timing: weight decay and loss scale on, the rest as it is."""

from __future__ import annotations

from typing import Any, Final

from tinyms_core.conformance.values import default_value
from tinyms_core.registry.specs import OptimizerSpec

LEARNING_RATE: Final = 1e-3
WEIGHT_DECAY: Final = 0.01
LOSS_SCALE: Final = 1024.0


def bench_arguments(spec: OptimizerSpec) -> dict[str, Any]:
    """Return the arguments that differ from the defaults, or have none.

    Args:
        spec: The optimizer.

    Returns:
        The arguments by name: a rate, a decay and a loss scale where the optimizer has them, and an allowed value
        for whatever is required.
    """
    arguments: dict[str, Any] = {}
    capabilities = spec.capabilities
    for declared in spec.hyperparameters:
        if declared.kind == "rate":
            # One that a flag rules out is left to the optimizer.
            if declared.goes_with(spec.defaults):
                arguments[declared.name] = LEARNING_RATE
        elif declared.kind == "decay" and capabilities.weight_decay != "none":
            arguments[declared.name] = WEIGHT_DECAY
        elif declared.name == "loss_scale" and capabilities.loss_scale:
            arguments[declared.name] = LOSS_SCALE
        elif declared.required:
            arguments[declared.name] = default_value(declared)
    return arguments

"""Which optimizers of a listing are all that is asked for."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from tinyms_core.registry.specs import Capabilities, OptimizerSpec

KINDS: Final = ("elementwise", "layerwise", "wrapper", "network")
# The capabilities that an optimizer has or has not.
FLAGS: Final = tuple(field.name for field in fields(Capabilities) if isinstance(field.default, bool))


def kind(capabilities: Capabilities) -> str:
    """Return in which of `KINDS` a step is computed."""
    if capabilities.consumes_network:
        return "network"
    if capabilities.wraps_optimizer:
        return "wrapper"
    return "layerwise" if capabilities.layerwise else "elementwise"


@dataclass(frozen=True)
class Filters:
    """What is asked for; an empty field asks for nothing.

    Attributes:
        kinds: One of these kinds.
        sparse: One of these ways with sparse gradients.
        devices: A kernel for each of these, whether it can be used here or not.
        dtypes: Parameters of each of these dtypes.
        modes: Each of these modes.
        decays: One of these ways with weight decay.
        able: Each of these capabilities.
        unable: None of these capabilities.
        most_state: So many bytes of state at most, for each element of a float32 parameter.
    """

    kinds: tuple[str, ...] = ()
    sparse: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    decays: tuple[str, ...] = ()
    able: tuple[str, ...] = ()
    unable: tuple[str, ...] = ()
    most_state: float | None = None

    def accept(self, spec: OptimizerSpec) -> bool:
        """Return whether an optimizer is all that is asked for."""
        can = spec.capabilities
        return (
            (not self.kinds or kind(can) in self.kinds)
            and (not self.sparse or can.sparse in self.sparse)
            and (not self.decays or can.weight_decay in self.decays)
            and {status.spec.device for status in spec.kernels} >= set(self.devices)
            and set(can.dtypes) >= set(self.dtypes)
            and set(can.modes) >= set(self.modes)
            and all(getattr(can, name) for name in self.able)
            and not any(getattr(can, name) for name in self.unable)
            and (self.most_state is None or spec.state_bytes_per_element() <= self.most_state)
        )

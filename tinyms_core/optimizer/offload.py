"""Where an optimizer's state is: on the device of the parameters, or offloaded to the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mindspore import context

from tinyms_core.kernels.displacement import not_elementwise
from tinyms_core.optimizer.kernel_choice import HOST_DEVICES
from tinyms_core.registry.errors import MissingKernelError
from tinyms_core.registry.validation import flag

if TYPE_CHECKING:
    from tinyms_core.optimizer.base import Optimizer


class Offloading:
    """Whether state is offloaded; ``offload`` itself is a method of MindSpore's Cells, about something else."""

    _offload = False

    @property
    def use_offload(self) -> bool:
        """Whether state is in the host's memory and updated there.

        Where MindSpore's device is the CPU, it is there in any case: the step is the same, and nothing is copied.

        Raises:
            TypeError: set to something that is not a bool.
            ValueError: set to True where a step is not elementwise.
            MissingKernelError: set to True where MindSpore's device is not the CPU.
        """
        return self._offload

    @use_offload.setter
    def use_offload(self, value: bool) -> None:
        if flag(self.name, "use_offload", value):  # type: ignore[attr-defined]
            require_offload(self)  # type: ignore[arg-type]
        self._offload = value


def require_offload(optimizer: Optimizer) -> None:
    """Refuse to offload where the state cannot be apart from the parameters, or the host cannot reach these.

    Raises:
        ValueError: a step is not elementwise.
        MissingKernelError: MindSpore's device is not the CPU.
    """
    name = optimizer.name
    why = _not_elementwise(optimizer)
    if why:
        raise ValueError(f"{name}: 'use_offload' must be False: {why}")
    device = context.get_context("device_target")
    if device not in HOST_DEVICES:
        raise MissingKernelError(
            f"{name}: state cannot be offloaded where MindSpore's device is {device!r}: the host reaches Parameters on "
            f"the CPU alone; tinyms_core.kernels.ArrayOptimizer({name!r}, ..., offload=True) does it for plain arrays "
            "on a GPU",
            optimizer=name,
            device=device,
        )


def _not_elementwise(optimizer: Optimizer) -> str:
    """Why a step cannot be done on some of a parameter's elements at a time; empty where it can."""
    program: Any = optimizer._program
    if program is None or optimizer._classic:
        return "its steps are operators of its own, and state can be offloaded where there is a rule of single elements"
    if optimizer.preconditions:
        return "its gradients are preconditioned as a whole, and state can be offloaded where elements are enough"
    return not_elementwise(program)

"""What is timed: one step of an optimizer, of MindSpore's interface or of PyTorch's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

import mindspore
import numpy as np
from mindspore import Parameter, Tensor

from tinyms_core.cli.bench.setting import Setting
from tinyms_core.cli.bench.timing import Step
from tinyms_core.optimizer.addresses import wait_for_queued_work
from tinyms_core.optimizer.flat_step import DenseStep
from tinyms_core.optimizer.work import done_on_return

# Of the least gradient that can be centralized: a convolution's.
CENTRALIZED_DIMENSIONS: Final = 3

Arrays = Iterable[np.ndarray[Any, np.dtype[np.float32]]]


class CellStep:
    """The step of an optimizer of MindSpore's interface, with the wait for the work that it queues.

    Args:
        make: The optimizer's class.
        arguments: Its arguments beside the parameters.
        values: The parameters' initial values.
        gradients: The gradients; they are copied, so that no contestant finds them in a cache that another filled.
        setting: Mode, dtype and preprocessing.
    """

    def __init__(
        self,
        make: Callable[..., Any],
        arguments: Mapping[str, Any],
        values: Arrays,
        gradients: Arrays,
        setting: Setting = Setting(),  # noqa: B008
    ) -> None:
        dtype = getattr(mindspore, setting.dtype)
        parameters = [Parameter(_copied(value, dtype), name=f"parameter_{i}") for i, value in enumerate(values)]
        given = _centralized(parameters) if setting.centralize else parameters
        self.optimizer = make(given, **arguments)
        self.gradients = tuple(_copied(array, dtype) for array in gradients)
        self._step = _STEPS[setting.mode](self.optimizer, self.gradients)
        # In cold caches the question whether something is queued takes longer than many a small step.
        self._waits = setting.mode != "pynative" or not done_on_return(self.optimizer)

    def __call__(self) -> None:
        """Do one step, until the work that it queued is done."""
        self._step()
        if self._waits:
            wait_for_queued_work()

    def release(self) -> None:
        """Give the memory of parameters and state back; no step can follow.

        MindSpore 2.10 keeps an optimizer of its own alive once it has done a step in PyNative.
        """
        for parameter in self.optimizer.get_parameters():
            if parameter.size > 1:
                nothing = Tensor(np.zeros((1,) * parameter.ndim, np.float32))
                parameter.set_data(nothing.astype(parameter.dtype), slice_shape=True)


def _copied(array: Any, dtype: Any) -> Tensor:
    tensor = Tensor(array)
    return tensor if tensor.dtype == dtype else tensor.astype(dtype)


def _centralized(parameters: list[Parameter]) -> list[dict[str, Any]]:
    """Groups in which gradients of convolutions are centralized, as optimizers allow it, in the parameters' order."""
    kernels = [parameter for parameter in parameters if parameter.ndim >= CENTRALIZED_DIMENSIONS]
    others = [parameter for parameter in parameters if parameter.ndim < CENTRALIZED_DIMENSIONS]
    groups: list[dict[str, Any]] = [{"params": kernels, "grad_centralization": True}] if kernels else []
    return [*groups, *([{"params": others}] if others else []), {"order_params": parameters}]


def _pynative(optimizer: Any, gradients: tuple[Tensor, ...]) -> Step:
    return partial(optimizer, gradients)


def _graph(optimizer: Any, gradients: tuple[Tensor, ...]) -> Step:
    cell = DenseStep(optimizer)
    return lambda: cell(*gradients)


def _jit(optimizer: Any, gradients: tuple[Tensor, ...]) -> Step:
    @mindspore.jit
    def step(*given: Any) -> Any:
        return optimizer(given)

    return lambda: step(*gradients)


# A tuple as an argument costs MindSpore time that grows with the square of its length, so in graphs every
# gradient is an argument of its own, for all optimizers.
_STEPS: Final[Mapping[str, Callable[[Any, tuple[Tensor, ...]], Step]]] = {
    "pynative": _pynative,
    "graph": _graph,
    "jit": _jit,
}


def torch_step(
    class_name: str, arguments: Mapping[str, Any], values: Arrays, gradients: Arrays, setting: Setting
) -> Step:
    """Build an optimizer of PyTorch.

    Args:
        class_name: Its class in ``torch.optim``.
        arguments: Its arguments beside the parameters.
        values: The parameters' initial values.
        gradients: The gradients, which are copied.
        setting: Only its dtype counts: PyTorch's steps are eager in any case.

    Returns:
        Its step.
    """
    import torch

    dtype = getattr(torch, setting.dtype)
    # In PyTorch's own memory, as in a program of its own: NumPy's has large pages, which is faster.
    parameters = [torch.from_numpy(value).to(dtype, copy=True).requires_grad_() for value in values]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = torch.from_numpy(gradient).to(dtype, copy=True)
    optimizer = getattr(torch.optim, class_name)(parameters, **arguments)
    step: Step = optimizer.step
    return step

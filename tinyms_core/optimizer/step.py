"""A step on the host: the whole optimizer in one kernel call for each pair of dtypes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mindspore
import numpy as np
from mindspore import Tensor, nn

from tinyms_core.kernels.batch import make_batch
from tinyms_core.kernels.cpu import PREPROCESSING, compute_type
from tinyms_core.kernels.host import host_function
from tinyms_core.kernels.program import Program
from tinyms_core.kernels.rule import SUPPLIED_SCALARS
from tinyms_core.optimizer.addresses import ParameterAddresses, gradient_addresses, wait_for_queued_work
from tinyms_core.optimizer.dtypes import dtype_name

if TYPE_CHECKING:
    from tinyms_core.optimizer.base import Optimizer

# Makes a kernel for the storage types of parameters and gradients.
KernelFactory = Callable[[Program, str, str], Any]


@dataclass(frozen=True)
class ScalarGroup:
    """Parameters for which every scalar of a step is the same.

    Attributes:
        rate: their learning rate.
        rate_index: its place among the optimizer's rates.
        decay: their weight decay, a float or a Cell of the step.
        decays: whether it applies.
        kind: their dtype.
        member: index of the first of them.
    """

    rate: Any
    rate_index: int
    decay: float | nn.Cell
    decays: bool
    kind: str
    member: int

    @property
    def wide(self) -> bool:
        """Whether their arithmetic is in float64."""
        return compute_type(self.kind) == "float64"

    def decay_value(self, step: int) -> float:
        """Their weight decay at a 0-based step, on the host."""
        if not self.decays:
            return 0.0
        if not isinstance(self.decay, nn.Cell):
            return self.decay
        value = self.decay(Tensor([step], mindspore.int32))
        return float(value.asnumpy().reshape(())) if isinstance(value, Tensor) else float(value)


class _Bucket:
    """The tensors of one parameter dtype and one gradient dtype, updated by one kernel call."""

    def __init__(self, optimizer: Optimizer, kernel: Any, members: list[int], groups: list[int]) -> None:
        settings = optimizer.settings
        parameters = [settings[i].parameter for i in members]
        self.members = members
        self.kernel = kernel
        self.groups = np.array(groups, dtype=np.int64)
        self.batch = make_batch([p.size for p in parameters], [_row_length(settings[i]) for i in members])
        states = [[row[i] for i in members] for row in optimizer.states.values()]
        self.addresses = ParameterAddresses([parameters, *states])

    def run(self, gradients: Sequence[Tensor], scalars: list[dict[str, float]]) -> None:
        found, alive = gradient_addresses([gradients[i] for i in self.members])
        own = self.addresses.current()
        addresses = np.concatenate((own[:1], np.array([found], dtype=np.int64), own[1:]))
        columns = (*PREPROCESSING, *self.kernel.scalars)
        table = np.array([[group[name] for name in columns] for group in scalars], dtype=np.float64)
        self.kernel(self.batch, addresses, self.groups, table)
        # Copies of views have to live until here.
        del alive


def _row_length(setting: Any) -> int:
    shape = setting.parameter.shape
    if not setting.centralize or 0 in shape:
        return 0
    return int(np.prod(shape[1:]))


class HostStep:
    """Runs an optimizer's steps on the host, in place.

    Arguments:
        optimizer: whose steps.
        program: its rule.
        factory: makes the kernel for a pair of dtypes.
    """

    def __init__(self, optimizer: Optimizer, program: Program, factory: KernelFactory) -> None:
        self._optimizer = optimizer
        self._program = program
        self._factory = factory
        self._host = host_function(program)
        self._shapes = [s.parameter.shape for s in optimizer.settings]
        self._kinds = optimizer._parameter_kinds
        self._group_of, self._groups = optimizer.scalar_groups()
        self._bucket_kinds: list[Any] = []
        self._buckets: list[_Bucket] = []

    def __call__(self, gradients: Sequence[Tensor]) -> None:
        """Do one step; on an error nothing has changed."""
        optimizer = self._optimizer
        kinds = check_gradients(optimizer.name, gradients, optimizer.settings, self._shapes)
        wait_for_queued_work()
        step = int(optimizer.global_step.asnumpy()[0])
        scalars, scalar_state = self._scalars(step)
        for bucket in self._buckets_for(kinds):
            bucket.run(gradients, scalars)
        for name, value in scalar_state.items():
            optimizer.scalar_states[name].asnumpy()[...] = value
        optimizer.global_step.asnumpy()[0] = step + 1

    def _buckets_for(self, kinds: list[Any]) -> list[_Bucket]:
        """The kernel calls for gradients of these dtypes, laid out anew when the dtypes change."""
        if kinds != self._bucket_kinds:
            members: dict[tuple[str, str], list[int]] = {}
            for index, kind in enumerate(kinds):
                members.setdefault((self._kinds[index], dtype_name(kind) or ""), []).append(index)
            self._buckets = [self._make_bucket(pair, indices) for pair, indices in members.items()]
            self._bucket_kinds = kinds
        return self._buckets

    def _make_bucket(self, pair: tuple[str, str], members: list[int]) -> _Bucket:
        kernel = self._factory(self._program, *pair)
        return _Bucket(self._optimizer, kernel, members, [self._group_of[i] for i in members])

    def _scalars(self, step: int) -> tuple[list[dict[str, float]], dict[str, float]]:
        """All scalars of a step by name, for each group, and the scalar state after the step."""
        optimizer, program = self._optimizer, self._program
        named: list[dict[str, float]] = []
        values: tuple[float, ...] = ()
        rates: dict[tuple[int, bool], float] = {}
        for group in self._groups:
            key = (group.rate_index, group.wide)
            if key not in rates:
                rates[key] = group.rate.value(step, group.wide)
            decay = group.decay_value(step)
            scalars = optimizer.current_hyperparameters(group.wide)
            scalars.update(zip(SUPPLIED_SCALARS, (rates[key], step + 1, decay), strict=True))
            values = self._host(**{name: scalars[name] for name in program.scalars})
            scalars.update(zip(program.slots, values, strict=False))
            in_gradient = decay * optimizer.loss_scale if optimizer.decays_gradient else 0.0
            scale = 1.0 / optimizer.loss_scale if optimizer.scales_gradient else 1.0
            scalars.update(zip(PREPROCESSING, (in_gradient, scale), strict=True))
            named.append(scalars)
        return named, dict(zip(program.scalar_state, values[len(program.slots) :], strict=True))


def check_gradients(owner: str, gradients: Any, settings: Sequence[Any], shapes: list[Any]) -> list[Any]:
    """Refuse gradients that do not fit, before anything is changed.

    Arguments:
        owner: the optimizer's name, for errors.
        gradients: what the optimizer was called with.
        settings: one for each parameter.
        shapes: the parameters' shapes.

    Returns:
        The gradients' dtypes.

    Raises:
        TypeError: not a tuple or list of dense floating-point tensors.
        ValueError: another count or shape than the parameters'.
    """
    if not isinstance(gradients, tuple | list):
        raise TypeError(
            f"{owner}: gradients must be a tuple or list of Tensors, one for each parameter, "
            f"got {type(gradients).__name__}"
        )
    if len(gradients) != len(settings):
        raise ValueError(f"{owner}: got {len(gradients)} gradient(s) for {len(settings)} parameter(s)")
    if not all(issubclass(kind, Tensor) for kind in set(map(type, gradients))):
        culprit = next(i for i, g in enumerate(gradients) if not isinstance(g, Tensor))
        raise TypeError(_not_dense(owner, gradients[culprit], settings[culprit].parameter.name))
    if [gradient.shape for gradient in gradients] != shapes:
        culprit = next(i for i, g in enumerate(gradients) if g.shape != shapes[i])
        raise ValueError(
            f"{owner}: the gradient of {settings[culprit].parameter.name!r} has shape "
            f"{tuple(gradients[culprit].shape)}, the parameter has {tuple(shapes[culprit])}"
        )
    kinds = [gradient.dtype for gradient in gradients]
    for kind in set(kinds):
        if dtype_name(kind) is None:
            name = settings[kinds.index(kind)].parameter.name
            raise TypeError(f"{owner}: the gradient of {name!r} is of {kind}; it must be a floating-point Tensor")
    return kinds


def _not_dense(owner: str, gradient: Any, name: str) -> str:
    found = type(gradient).__name__
    if found.startswith("RowTensor") or (isinstance(gradient, tuple) and len(gradient) == 3):
        return f"{owner}: the gradient of {name!r} is sparse, which {owner} does not support; make it dense"
    return f"{owner}: the gradient of {name!r} must be a Tensor, got {found}"

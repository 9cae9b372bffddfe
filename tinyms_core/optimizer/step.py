"""A step on the host: the whole optimizer in one kernel call for each pair of dtypes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mindspore
import numpy as np
from mindspore import Tensor, nn

from tinyms_core.kernels.arrays import cell_at
from tinyms_core.kernels.batch import Floats, Integers, make_batch
from tinyms_core.kernels.cpu import PREPROCESSING, compute_type
from tinyms_core.kernels.host import host_function
from tinyms_core.kernels.program import Program
from tinyms_core.kernels.rule import SUPPLIED_SCALARS
from tinyms_core.kernels.traffic import KernelCall
from tinyms_core.kernels.trampoline import KINDS
from tinyms_core.kernels.update import Plan
from tinyms_core.optimizer.addresses import (
    GradientReader,
    Gradients,
    ParameterAddresses,
    element_of,
    wait_for_queued_work,
)
from tinyms_core.optimizer.dtypes import NAMES, dtype_name
from tinyms_core.optimizer.groups import Options
from tinyms_core.optimizer.sparse import SparseGradient, is_sparse, read_sparse
from tinyms_core.optimizer.sparse_step import SparseStep

if TYPE_CHECKING:
    from tinyms_core.optimizer.base import Optimizer
    from tinyms_core.optimizer.host_factors import HostFactors, StepFactors

# Makes a kernel for the storage types of parameters and gradients, of a rule's program or of a written-out
# update's plan.
KernelFactory = Callable[[Any, str, str], Any]


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
        options: hyperparameters for which their group has values of its own.
    """

    rate: Any
    rate_index: int
    decay: float | nn.Cell
    decays: bool
    kind: str
    member: int
    options: Options = ()

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


@dataclass(frozen=True)
class GroupValues:
    """What a group's scalars of one step are made from.

    Attributes:
        rate: its learning rate.
        decay: its weight decay.
        hyperparameters: those that may change from step to step, by name.
    """

    rate: float
    decay: float
    hyperparameters: dict[str, Any]


class _Bucket:
    """The tensors of one parameter dtype and one gradient dtype, updated by one kernel call."""

    def __init__(self, optimizer: Optimizer, kernel: Any, members: list[int], groups: list[int]) -> None:
        settings = optimizer.settings
        parameters = [settings[i].parameter for i in members]
        self.members = members
        # All of them are a view, others a copy.
        self.chosen = slice(None) if len(members) == len(settings) else np.array(members, dtype=np.int64)
        self.kernel = kernel
        self.groups = np.array(groups, dtype=np.int64)
        self.batch = make_batch(
            [p.size for p in parameters],
            [_row_length(settings[i]) for i in members],
            shapes=[tuple(p.shape) for p in parameters],
        )

    def run(
        self, own: Integers, gradients: Integers, scalars: list[dict[str, float]], factors: StepFactors | None
    ) -> None:
        """Update: ``own`` has the addresses of all parameters and states, ``gradients`` those of all gradients."""
        own, gradients = own[:, self.chosen], gradients[self.chosen]
        addresses = np.concatenate((own[:1], gradients[np.newaxis], own[1:]))
        table = self.table(scalars)
        groups = self.groups
        if factors is not None:
            table, groups = factors.rows(self.members, addresses, table[groups])
        self.kernel(self.batch, addresses, groups, table)

    def table(self, scalars: list[dict[str, float]]) -> Floats:
        """The scalars of each group, in the order in which the kernel takes them."""
        columns = (*PREPROCESSING, *self.kernel.scalars)
        return np.array([[group[name] for name in columns] for group in scalars], dtype=np.float64)


def _row_length(setting: Any) -> int:
    shape = setting.parameter.shape
    if not setting.centralize or 0 in shape:
        return 0
    return int(np.prod(shape[1:]))


class HostStep:
    """Runs an optimizer's steps on the host, in place.

    Arguments:
        optimizer: whose steps.
        program: its rule's program, or its update's plan.
        factory: makes the kernel for a pair of dtypes.
        factors: what a wrapping optimizer multiplies gradients by.
        owner: the optimizer that errors name; ``optimizer`` without one.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        program: Program | Plan,
        factory: KernelFactory,
        factors: HostFactors | None = None,
        owner: Any = None,
    ) -> None:
        self._factors = factors
        self._owner = optimizer if owner is None else owner
        self._optimizer = optimizer
        self._program = program
        self._factory = factory
        self._host = program.host_values if isinstance(program, Plan) else host_function(program)
        self._shapes = [s.parameter.shape for s in optimizer.settings]
        self._kinds = optimizer._parameter_kinds
        self._group_of, self._groups = optimizer.scalar_groups()
        self._gradients = GradientReader(self._shapes)
        self._bucket_kinds = b""
        self._buckets: list[_Bucket] = []
        self._sparse_steps: dict[int, SparseStep] = {}
        rows = [[setting.parameter for setting in optimizer.settings], *optimizer.states.values()]
        self._shape = len(rows), len(optimizer.settings)
        counters = [optimizer.global_step, *optimizer.scalar_states.values()]
        own = [parameter for row in (*rows, counters) for parameter in row]
        self._addresses = ParameterAddresses(own, optimizer.built_addresses)
        self._scalar_kinds = {name: NAMES[state.dtype] for name, state in optimizer.scalar_states.items()}

    def __call__(self, gradients: Sequence[Tensor]) -> None:
        """Do one step; on an error nothing has changed."""
        optimizer = self._optimizer
        wait_for_queued_work()
        read, sparse = self._read(gradients)
        own, (counter, *others) = self._own()
        number = cell_at(counter, "int32")
        step = int(number.value)
        scalars, scalar_state = self._scalars(step, self._values_at(step))
        given = optimizer.precondition_on_host(gradients, step)
        if given is not gradients:
            # What made them may be on its way still.
            wait_for_queued_work()
            read = self._gradients.dense(given) or self._gradients.checked(given)
        factors = None if self._factors is None else self._factors.at_step(step, read.kinds)
        for bucket in self._buckets_for(read.kinds):
            bucket.run(own, read.addresses, scalars, factors)
        for index, gradient in sparse.items():
            self._sparse_step_of(index)(gradient, own[:, index].tolist(), scalars[self._group_of[index]])
        for address, (name, kind) in zip(others, self._scalar_kinds.items(), strict=True):
            cell_at(address, kind).value = scalar_state[name]
        number.value = step + 1

    def at_addresses(
        self,
        step: int,
        values: list[GroupValues],
        kinds: bytes,
        own: Integers,
        gradients: Integers,
        factors: StepFactors | None,
    ) -> dict[str, float]:
        """Do the step of dense gradients at given addresses, which are those of the moment.

        Arguments:
            step: the number of steps that were done.
            values: for each group.
            kinds: the gradients' dtypes, as numbers into `trampoline.KINDS`.
            own: addresses of the parameters, then of each state, shape (rows, parameters).
            gradients: addresses of the gradients.
            factors: what they are multiplied by.

        Returns:
            The scalar state after the step, by name.
        """
        scalars, scalar_state = self._scalars(step, values)
        for bucket in self._buckets_for(kinds):
            bucket.run(own, gradients, scalars, factors)
        return scalar_state

    def calls(self, gradients: Sequence[Any]) -> list[KernelCall]:
        """The kernel calls of the next step, with dense gradients, in order."""
        wait_for_queued_work()
        read, _ = self._read(gradients)
        step = int(self._optimizer.global_step.asnumpy()[0])
        scalars, _ = self._scalars(step, self._values_at(step))
        factors = None if self._factors is None else self._factors.at_step(step, read.kinds)
        found = []
        for bucket in self._buckets_for(read.kinds):
            if factors is not None:
                found += factors.calls(bucket.members)
            found.append(KernelCall(bucket.kernel, bucket.batch, bucket.groups, bucket.table(scalars)))
        return found

    def _own(self) -> tuple[Integers, list[int]]:
        """The addresses of parameters and states, a row for each, and of the step number and scalar states."""
        found = self._addresses.current()
        size = self._shape[0] * self._shape[1]
        return found[:size].reshape(self._shape), found[size:].tolist()

    def _read(self, gradients: Any) -> tuple[Gradients, dict[int, SparseGradient]]:
        """The gradients, checked, and by index the sparse ones among them with distinct rows."""
        read = self._gradients.dense(gradients)
        if read is not None:
            return read, {}
        owner = self._owner
        check_gradients(owner, gradients, self._shapes)
        settings = self._optimizer.settings
        rows = {i: settings[i].parameter for i, gradient in enumerate(gradients) if not isinstance(gradient, Tensor)}
        sparse = {i: read_sparse(owner.name, gradients[i], p, owner.unique) for i, p in rows.items()}
        return self._gradients.checked(gradients), sparse

    def _sparse_step_of(self, index: int) -> SparseStep:
        if index not in self._sparse_steps:
            kind = self._kinds[index]
            kernel = self._factory(self._program, kind, compute_type(kind))
            self._sparse_steps[index] = SparseStep(self._optimizer, kernel, index)
        return self._sparse_steps[index]

    def _buckets_for(self, kinds: bytes) -> list[_Bucket]:
        """The kernel calls for gradients of these dtypes, laid out anew when the dtypes change."""
        if kinds != self._bucket_kinds:
            members: dict[tuple[Options, str, str], list[int]] = {}
            for index, kind in enumerate(kinds):
                if kind:
                    options = self._groups[self._group_of[index]].options
                    members.setdefault((options, self._kinds[index], KINDS[kind]), []).append(index)
            self._buckets = [self._make_bucket(*key, indices) for key, indices in members.items()]
            self._bucket_kinds = kinds
        return self._buckets

    def _make_bucket(self, options: Options, parameter: str, gradient: str, members: list[int]) -> _Bucket:
        program = self._optimizer.program_for(options) if options else self._program
        kernel = self._factory(program, parameter, gradient)
        return _Bucket(self._optimizer, kernel, members, [self._group_of[i] for i in members])

    def _values_at(self, step: int) -> list[GroupValues]:
        """What the scalars of each group are made from, asked of MindSpore."""
        optimizer = self._optimizer
        rates: dict[tuple[int, bool], float] = {}
        values = []
        for group in self._groups:
            key = (group.rate_index, group.wide)
            if key not in rates:
                rates[key] = group.rate.value(step, group.wide, element_of)
            held = optimizer.held_hyperparameters(group.wide, element_of)
            values.append(GroupValues(rates[key], group.decay_value(step), held))
        return values

    def _scalars(self, step: int, values: list[GroupValues]) -> tuple[list[dict[str, float]], dict[str, float]]:
        """All scalars of a step by name, for each group, and the scalar state after the step."""
        optimizer, program = self._optimizer, self._program
        named: list[dict[str, float]] = []
        results: tuple[float, ...] = ()
        for group, own in zip(self._groups, values, strict=True):
            scalars = {**optimizer.hyperparameters, **own.hyperparameters, **dict(group.options)}
            scalars.update(zip(SUPPLIED_SCALARS, (own.rate, step + 1, own.decay), strict=True))
            results = self._host(**{name: scalars[name] for name in program.scalars})
            scalars.update(zip(program.slots, results, strict=False))
            in_gradient = own.decay * optimizer.loss_scale if optimizer.decays_gradient else 0.0
            scale = 1.0 / optimizer.loss_scale if optimizer.scales_gradient else 1.0
            scalars.update(zip(PREPROCESSING, (in_gradient, scale), strict=True))
            named.append(scalars)
        return named, dict(zip(program.scalar_state, results[len(program.slots) :], strict=True))


def check_gradients(optimizer: Optimizer, gradients: Any, shapes: list[Any]) -> list[Any]:
    """Refuse gradients that do not fit, before anything is changed.

    Arguments:
        optimizer: whose gradients they are.
        gradients: what it was called with.
        shapes: the parameters' shapes.

    Returns:
        The gradients' dtypes, None for sparse ones.

    Raises:
        TypeError: not a tuple or list of floating-point tensors, or a sparse one where that is not supported.
        ValueError: another count or shape than the parameters'.
    """
    owner = optimizer.name
    if not isinstance(gradients, tuple | list):
        raise TypeError(
            f"{owner}: gradients must be a tuple or list of Tensors, one for each parameter, "
            f"got {type(gradients).__name__}"
        )
    if len(gradients) != len(shapes):
        raise ValueError(f"{owner}: got {len(gradients)} gradient(s) for {len(shapes)} parameter(s)")
    kinds = [_checked_kind(optimizer, i, gradient) for i, gradient in enumerate(gradients)]
    _refuse_shapes(optimizer, gradients, shapes)
    for kind in set(kinds):
        if kind is not None and dtype_name(kind) is None:
            name = optimizer.parameters[kinds.index(kind)].name
            raise TypeError(f"{owner}: the gradient of {name!r} is of {kind}; it must be a floating-point Tensor")
    return kinds


def _checked_kind(optimizer: Optimizer, index: int, gradient: Any) -> Any:
    """The dtype of a gradient, None for a sparse one that the optimizer supports."""
    if isinstance(gradient, Tensor):
        return gradient.dtype
    name = optimizer.parameters[index].name
    if not is_sparse(gradient):
        raise TypeError(
            f"{optimizer.name}: the gradient of {name!r} must be a Tensor, or rows as a RowTensor or "
            f"(indices, values, shape), got {type(gradient).__name__}"
        )
    if optimizer.sparse == "none":
        raise TypeError(
            f"{optimizer.name}: the gradient of {name!r} is sparse, which {optimizer.name} does not support; "
            "make it dense"
        )
    return None


def _refuse_shapes(optimizer: Optimizer, gradients: Sequence[Any], shapes: list[Any]) -> None:
    for gradient, shape, parameter in zip(gradients, shapes, optimizer.parameters, strict=True):
        if isinstance(gradient, Tensor) and gradient.shape != shape:
            rows_only = len(shape) > 1 and tuple(gradient.shape[1:]) == tuple(shape[1:])
            raise ValueError(
                f"{optimizer.name}: the gradient of {parameter.name!r} has shape {tuple(gradient.shape)}, "
                f"the parameter has {tuple(shape)}" + (_ROWS_ONLY if rows_only else "")
            )


_ROWS_ONLY = (
    ". In PyNative mode the gradient of a sparse embedding arrives without its indices: compute gradients and step "
    "in one function under ms.jit, train in graph mode, or give the rows as (indices, values, shape)"
)

"""A step on the host: the whole optimizer in one kernel call for each pair of dtypes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from mindspore import Tensor

from tinyms_core.kernels.arrays import cell_at
from tinyms_core.kernels.batch import Batch, Integers, make_batch
from tinyms_core.kernels.cpu import bound_call, compute_type
from tinyms_core.kernels.host import row_function
from tinyms_core.kernels.program import Program
from tinyms_core.kernels.rule import SUPPLIED_SCALARS
from tinyms_core.kernels.traffic import KernelCall
from tinyms_core.kernels.trampoline import KINDS
from tinyms_core.kernels.update import Plan
from tinyms_core.optimizer.addresses import (
    GradientReader,
    Gradients,
    ParameterAddresses,
    wait_for_queued_work,
)
from tinyms_core.optimizer.dtypes import NAMES, dtype_name
from tinyms_core.optimizer.groups import Options
from tinyms_core.optimizer.sparse import SparseGradient, is_sparse, read_sparse
from tinyms_core.optimizer.sparse_step import SparseStep
from tinyms_core.optimizer.step_scalars import GroupReader, GroupValues, ScalarTable

if TYPE_CHECKING:
    from tinyms_core.optimizer.base import Optimizer
    from tinyms_core.optimizer.host_factors import HostFactors, StepFactors

# Makes a kernel for the storage types of parameters and gradients, of a rule's program or of a written-out
# update's plan.
KernelFactory = Callable[[Any, str, str], Any]


class _Bucket:
    """The tensors of one parameter dtype and one gradient dtype, updated by one kernel call.

    Arguments:
        kernel: what updates them.
        batch: the tensors.
        members: which of the optimizer's parameters they are.
        table: their scalars.
        rows: how many addresses a tensor has besides its gradient's.
        among: how many parameters the optimizer has.
    """

    def __init__(
        self, kernel: Any, batch: Batch, members: list[int], table: ScalarTable, rows: int, among: int
    ) -> None:
        self.kernel = kernel
        self.batch = batch
        self.members = members
        self.table = table
        # All of them are a view, others a copy.
        self._chosen = slice(None) if len(members) == among else np.array(members, dtype=np.int64)
        self._own: Integers | None = None
        self._addresses = np.zeros((1 + rows, len(members)), dtype=np.int64)
        self._call = bound_call(kernel, batch, self._addresses, table.rows, table.values)

    def run(self, own: Integers, gradients: Integers, factors: StepFactors | None) -> None:
        """Update, with the scalars that the table has.

        Arguments:
            own: addresses of all parameters and states; an array that was given before holds what it held.
            gradients: addresses of all gradients.
            factors: what gradients are multiplied by.
        """
        if own is not self._own:
            self._addresses[0] = own[0, self._chosen]
            self._addresses[2:] = own[1:, self._chosen]
            self._own = own
        self._addresses[1] = gradients[self._chosen]
        if factors is None:
            self._call()
        else:
            table, rows = factors.rows(self.members, self._addresses, self.table.values[self.table.rows])
            self.kernel(self.batch, self._addresses, rows, table)


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
        self._counter_values = row_function(
            program,
            tuple(program.scalar_state.values()),
            optimizer.hyperparameters,
            (*SUPPLIED_SCALARS, *optimizer.saved_hyperparameters),
        )
        self._shapes = [s.parameter.shape for s in optimizer.settings]
        self._kinds = optimizer._parameter_kinds
        self._group_of, self._groups = optimizer.scalar_groups()
        self._values_at = GroupReader(optimizer, self._groups)
        self._gradients = GradientReader(self._shapes)
        self._bucket_kinds = b""
        self._buckets: list[_Bucket] = []
        self._sparse_steps: dict[int, SparseStep] = {}
        rows = [[setting.parameter for setting in optimizer.settings], *optimizer.states.values()]
        self._shape = len(rows), len(optimizer.settings)
        counters = [optimizer.global_step, *optimizer.scalar_states.values()]
        own = [parameter for row in (*rows, counters) for parameter in row]
        self._addresses = ParameterAddresses(own, optimizer.built_addresses)
        self._found: Integers | None = None
        self._places: tuple[Integers, list[Any]] = np.empty(self._shape, dtype=np.int64), []
        self._counter_kinds = ["int32", *(NAMES[state.dtype] for state in optimizer.scalar_states.values())]

    @property
    def preconditions(self) -> bool:
        """Whether a step computes something in place of the gradients, in operators of MindSpore."""
        return self._optimizer.preconditions

    def __call__(self, gradients: Sequence[Tensor]) -> None:
        """Do one step; on an error nothing has changed."""
        optimizer = self._optimizer
        wait_for_queued_work()
        read, sparse = self._read(gradients)
        own, (number, *others) = self._own()
        step = int(number.value)
        values = self._values_at(step)
        buckets = self._filled_buckets(read.kinds, step, values)
        rows = [(self._sparse_step_of(index), gradient, index) for index, gradient in sparse.items()]
        for sparse_step, _, _ in rows:
            sparse_step.table.fill(step, values)
        counted = self._counted(step, values)
        given = optimizer.precondition_on_host(gradients, step)
        if given is not gradients:
            # What made them may be on its way still.
            wait_for_queued_work()
            read = self._gradients.dense(given) or self._gradients.checked(given)
            buckets = self._filled_buckets(read.kinds, step, values)
        factors = None if self._factors is None else self._factors.at_step(step, read.kinds)
        for bucket in buckets:
            bucket.run(own, read.addresses, factors)
        for sparse_step, gradient, index in rows:
            sparse_step(gradient, own[:, index].tolist())
        for cell, value in zip(others, counted, strict=True):
            cell.value = value
        number.value = step + 1

    def at_addresses(
        self,
        step: int,
        values: list[GroupValues],
        kinds: bytes,
        own: Integers,
        gradients: Integers,
        factors: StepFactors | None,
    ) -> tuple[float, ...]:
        """Do the step of dense gradients at given addresses, which are those of the moment.

        Arguments:
            step: the number of steps that were done.
            values: for each group.
            kinds: the gradients' dtypes, as numbers into `trampoline.KINDS`.
            own: addresses of the parameters, then of each state, shape (rows, parameters).
            gradients: addresses of the gradients.
            factors: what they are multiplied by.

        Returns:
            The scalar state after the step, in the optimizer's order.
        """
        for bucket in self._filled_buckets(kinds, step, values):
            bucket.run(own, gradients, factors)
        return self._counted(step, values)

    def calls(self, gradients: Sequence[Any]) -> list[KernelCall]:
        """The kernel calls of the next step, with dense gradients, in order."""
        wait_for_queued_work()
        read, _ = self._read(gradients)
        step = int(self._optimizer.global_step.asnumpy()[0])
        factors = None if self._factors is None else self._factors.at_step(step, read.kinds)
        found = []
        for bucket in self._filled_buckets(read.kinds, step, self._values_at(step)):
            if factors is not None:
                found += factors.calls(bucket.members)
            found.append(KernelCall(bucket.kernel, bucket.batch, bucket.table.rows, bucket.table.values.copy()))
        return found

    def _own(self) -> tuple[Integers, list[Any]]:
        """The addresses of parameters and states, a row for each, and the cells of step number and scalar states."""
        found = self._addresses.current()
        if found is not self._found:
            size = self._shape[0] * self._shape[1]
            cells = list(map(cell_at, found[size:].tolist(), self._counter_kinds))
            self._found, self._places = found, (found[:size].reshape(self._shape), cells)
        return self._places

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
            table = self._table(kernel, self._program, [index])
            self._sparse_steps[index] = SparseStep(self._optimizer, kernel, index, table)
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
        settings = [self._optimizer.settings[index] for index in members]
        batch = make_batch(
            [setting.parameter.size for setting in settings],
            [_row_length(setting) for setting in settings],
            shapes=[tuple(setting.parameter.shape) for setting in settings],
            centralized=any(setting.centralize for setting in self._optimizer.settings),
        )
        if self._optimizer.divided_sums is not None:
            batch = self._optimizer.divided_sums.batch(batch, members, [setting.centralize for setting in settings])
        return _Bucket(kernel, batch, members, self._table(kernel, program, members), *self._shape)

    def _table(self, kernel: Any, program: Program | Plan, members: list[int]) -> ScalarTable:
        return ScalarTable(self._optimizer, kernel, program, self._groups, [self._group_of[index] for index in members])

    def _filled_buckets(self, kinds: bytes, step: int, values: Sequence[GroupValues]) -> list[_Bucket]:
        """The kernel calls for gradients of these dtypes, with the scalars of a 0-based step."""
        buckets = self._buckets_for(kinds)
        for bucket in buckets:
            bucket.table.fill(step, values)
        return buckets

    def _counted(self, step: int, values: Sequence[GroupValues]) -> tuple[float, ...]:
        """The state that is one number for the optimizer, after a 0-based step."""
        if not self._program.scalar_state:
            return ()
        own = values[-1]
        return self._counter_values(own.rate, step + 1, own.decay, *own.held)


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

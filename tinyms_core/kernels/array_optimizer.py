"""`ArrayOptimizer`: an optimizer on plain arrays, without MindSpore, on the CPU or a GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from tinyms_core.kernels.array_algorithm import Algorithm, ArrayFactor, find_algorithm
from tinyms_core.kernels.array_groups import (
    ArrayGroup,
    ArraySetting,
    read_groups,
    require_one_device,
    require_supported,
    schedule,
    value_at,
)
from tinyms_core.kernels.array_rows import RowGradient, RowStep, is_rows, read_rows
from tinyms_core.kernels.backends import Backend, backend_for, offloading
from tinyms_core.kernels.batch import Floats, Integers, make_batch
from tinyms_core.kernels.buffers import CPU, Buffer, read_buffer
from tinyms_core.kernels.cpu import compute_type
from tinyms_core.kernels.cpu_source import PREPROCESSING
from tinyms_core.kernels.displacement import not_elementwise
from tinyms_core.kernels.overlaps import Placed, Written
from tinyms_core.kernels.rule import Rule
from tinyms_core.kernels.update import Plan
from tinyms_core.registry.validation import describe, flag, integer, number


class ArrayOptimizer:
    r"""An optimizer on plain arrays: no MindSpore, no modules, no graph.

    A step is that of the optimizer of the same name, with the same kernels:

    .. math::
        (w, s) \leftarrow u\bigl(w, \tfrac{1}{\sigma} (g + \sigma \lambda w - \bar g), s\bigr)

    with the loss scale :math:`\sigma`, the weight decay :math:`\lambda` where the optimizer takes it through the
    gradient, and the rows' means :math:`\bar g` where the gradient is centralized. Arrays are updated in place, where
    they are: numpy arrays and other arrays of the CPU by the CPU's kernels; CuPy's arrays, torch's CUDA tensors and
    others of a GPU by kernels that numba compiles for it, which need ``pip install 'tinyms-core[gpu]'``. There a
    step does not wait for the GPU.

    With ``offload`` the state of arrays on a GPU is in the host's memory, and the CPU's kernel updates it: gradients
    come in runs, and displacements go back, while it works on other runs. On the GPU there is only what is on its way,
    however many arrays there are. It is for every rule on single elements; norms over whole arrays are not computed.
    Of arrays on the CPU the state is there anyway, and a step is the same with it and without.

    Arguments:
        optimizer: the optimizer's name, such as ``"adam"``, or a rule.
        params: the arrays, or group dicts with ``params``, ``lr``, ``weight_decay`` and ``grad_centralization``. Each
            array is contiguous, of float32, float16, bfloat16 or float64, and all are on one device.
        learning_rate: a number >= 0, or a function that gives it for the number of steps done; the optimizer's
            default when None.
        weight_decay: a number >= 0, or a function that gives it for the number of steps done. Without groups it is
            for all arrays: arrays have no names that could spare them.
        loss_scale: what the gradients are divided by, a number > 0.
        factor: a factor for the gradients of whole arrays, for LARS.
        offload: whether state is in the host's memory wherever the arrays are; as the optimizer declares when None.
        state: arrays to keep the state in, by slot and in the order of ``params``, as an earlier optimizer had
            them; new ones when None.
        steps: how many steps were done before.
        stream: handle of the CUDA stream that steps take place in; 0 for the default stream.
        hyperparameters: the optimizer's other arguments, by name.

    Raises:
        TypeError: an argument of a wrong type, an array of another dtype, or an unknown hyperparameter.
        ValueError: an argument out of range, arrays on several devices, not contiguous, read-only or of shared memory,
            or what the optimizer does not support, such as ``offload`` where a step is not elementwise.
        UnknownOptimizerError: no optimizer of this name is installed.
        MissingKernelError: there is no kernel for the device, or the device cannot be used; the message says why.

    Example:
        >>> import numpy as np
        >>> from tinyms_core import rule
        >>> from tinyms_core.kernels import ArrayOptimizer
        >>> @rule()
        ... def descent(w, g, lr):
        ...     return w - lr * g
        >>> weight = np.ones(3, np.float32)
        >>> optimizer = ArrayOptimizer(descent, [weight], learning_rate=0.5)
        >>> optimizer.step([np.full(3, 2.0, np.float32)])
        >>> weight.tolist(), optimizer.steps
        ([0.0, 0.0, 0.0], 1)
    """

    def __init__(
        self,
        optimizer: str | Rule,
        params: Any,
        *,
        learning_rate: Any = None,
        weight_decay: Any = 0.0,
        loss_scale: float = 1.0,
        factor: ArrayFactor | None = None,
        offload: bool | None = None,
        state: Mapping[str, Sequence[Any]] | None = None,
        steps: int = 0,
        stream: int = 0,
        **hyperparameters: Any,
    ) -> None:
        owner = optimizer if isinstance(optimizer, str) else getattr(optimizer, "name", "ArrayOptimizer")
        rate = None if learning_rate is None else schedule(owner, "learning_rate", learning_rate)
        decay = schedule(owner, "weight_decay", weight_decay)
        self._stream = integer(owner, "stream", stream, "[0, inf)")
        settings, groups = read_groups(owner, params, rate, decay, stream)
        self._backend: Backend = backend_for(owner, settings[0].buffer)
        if stream and self._backend.name == CPU:
            raise ValueError(f"{owner}: 'stream' must be 0 for arrays on the CPU, which has none, got {stream}")
        algorithm = find_algorithm(optimizer, self._backend.name, hyperparameters)
        self.offload = _offloads(owner, offload, algorithm, factor)
        if self.offload:
            self._backend = offloading(self._backend)
        groups = [_with_rate(algorithm, group) for group in groups]
        self.loss_scale = number(owner, "loss_scale", loss_scale, "(0, inf)")
        require_supported(owner, groups, self.loss_scale, algorithm.capabilities)
        kinds = {s.buffer.dtype for s in settings} - set(algorithm.capabilities.dtypes)
        if kinds:
            raise TypeError(f"{owner}: arrays are of {sorted(kinds)}; {list(algorithm.capabilities.dtypes)} are right")
        self.name = owner
        self.params = tuple(setting.array for setting in settings)
        self.steps = integer(owner, "steps", steps, "[0, inf)")
        self._settings = settings
        self._groups = groups
        self._algorithm = algorithm
        self._factor = factor
        self._chosen = _chosen(owner, factor, algorithm, len(settings))
        self._host = algorithm.host()
        self.state, self._held = _make_state(owner, algorithm, settings, self._backend, state, stream)
        self._written = Written(owner, _written(settings, self._held))
        self.scalar_state = self._scalar_state_at(self.steps)
        self._kernels: dict[tuple[str, str], Any] = {}
        self._calls: dict[tuple[str, ...], list[_Call]] = {}
        self._row_steps: dict[int, RowStep] = {}
        self._backend.ready(stream)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            f"{self.name}: an ArrayOptimizer holds addresses and cannot be copied or pickled; build another one with "
            "copies of the arrays, state=... and steps=..."
        )

    def __repr__(self) -> str:
        return f"<ArrayOptimizer {self.name} of {len(self.params)} array(s) on {self._backend.name}, step {self.steps}>"

    def step(self, gradients: Any) -> None:
        """Do one step, in place.

        Arguments:
            gradients: an array for each of ``params``, in their order: of its shape, on its device, contiguous, of
                float32, float16, bfloat16 or float64. Where the optimizer supports it, one may come as rows,
                ``(indices, values, shape)``: rows of an index that occurs more than once are added up.

        Raises:
            TypeError: no list of arrays, or of a wrong dtype.
            ValueError: another count, shape or device, not contiguous, or memory that the step writes. Nothing has
                changed.
        """
        self.prepare(gradients)()

    def prepare(self, gradients: Any) -> PreparedStep:
        """Check gradients and note where they lie, for steps that read the same memory again and again.

        Arguments:
            gradients: as for `step`. They, and the arrays that are updated, must stay where they are.

        Returns:
            What does a step when it is called.

        Raises:
            TypeError, ValueError: as for `step`.
        """
        buffers = self._read(gradients)
        kinds = tuple(buffer.dtype if isinstance(buffer, Buffer) else "" for buffer in buffers)
        calls = []
        for call in self._calls_for(kinds):
            sources: list[Any] = [[setting.buffer for setting in self._settings], buffers, *self._held.values()]
            rows = [[source[i].address for i in call.members] for source in sources]
            calls.append((call, np.array(rows, dtype=np.int64)))
        rows_of = {index: found for index, found in enumerate(buffers) if isinstance(found, RowGradient)}
        return PreparedStep(self, calls, [(self._row_step(index), found) for index, found in rows_of.items()], buffers)

    def _read(self, gradients: Any) -> list[Buffer | RowGradient]:
        owner, settings = self.name, self._settings
        if not isinstance(gradients, list | tuple):
            raise TypeError(
                f"{owner}: 'gradients' must be a list of arrays, one for each of params, got {describe(gradients)}"
            )
        if len(gradients) != len(settings):
            raise ValueError(f"{owner}: got {len(gradients)} gradient(s) for {len(settings)} array(s)")
        buffers: list[Buffer | RowGradient] = []
        for index, (gradient, setting) in enumerate(zip(gradients, settings, strict=True)):
            place = f"gradients[{index}]"
            if is_rows(gradient):
                self._require_sparse(index, place)
                buffers.append(read_rows(owner, place, gradient, setting, self._backend, self._stream))
                continue
            buffer = read_buffer(f"{owner}: {place}", gradient, self._stream)
            if buffer.shape != setting.buffer.shape:
                raise ValueError(
                    f"{owner}: {place} has the shape {buffer.shape}; {setting.place} has {setting.buffer.shape}"
                )
            require_one_device(owner, [(setting.place, setting.buffer), (place, buffer)])
            buffers.append(buffer)
        read = [found.values if isinstance(found, RowGradient) else found for found in buffers]
        self._written.refuse_reading([(f"gradients[{i}]", buffer) for i, buffer in enumerate(read)])
        return buffers

    def _calls_for(self, kinds: tuple[str, ...]) -> list[_Call]:
        """The kernel calls for gradients of these dtypes."""
        if kinds not in self._calls:
            members: dict[tuple[str, str], list[int]] = {}
            for index, (setting, kind) in enumerate(zip(self._settings, kinds, strict=True)):
                if kind:
                    members.setdefault((setting.buffer.dtype, kind), []).append(index)
            self._calls[kinds] = [_Call(self, self._kernel(*key), own) for key, own in members.items()]
        return self._calls[kinds]

    def _require_sparse(self, index: int, place: str) -> None:
        if self._algorithm.capabilities.sparse == "none":
            raise TypeError(f"{self.name}: {place} comes as rows, which {self.name} does not support; make it dense")
        if self._chosen[index]:
            raise TypeError(f"{self.name}: {place} comes as rows, and its factor is of the whole; make it dense")

    def _row_step(self, index: int) -> RowStep:
        if index not in self._row_steps:
            setting = self._settings[index]
            kernel = self._kernel(setting.buffer.dtype, compute_type(setting.buffer.dtype))
            group = self._groups[setting.group]
            state = [held[index] for held in self._held.values()]
            exact = self._algorithm.capabilities.sparse == "exact"
            centralize = _row_length(group, setting.buffer.shape) > 0
            self._row_steps[index] = RowStep(setting, state, kernel, self._backend, centralize, exact)
        return self._row_steps[index]

    def _kernel(self, parameter: str, gradient: str) -> Any:
        key = parameter, gradient
        if key not in self._kernels:
            algorithm, backend = self._algorithm, self._backend
            if isinstance(algorithm.program, Plan):
                assert algorithm.factory is not None
                made = backend.update_kernel(algorithm.factory(algorithm.program, parameter, gradient))
            else:
                factor = None if self._factor is None else self._factor.factor
                made = backend.kernel(algorithm.program, parameter, gradient, factor)
            self._kernels[key] = made
        return self._kernels[key]

    # -- the numbers of a step -------------------------------------------------------------------------

    def _scalars(self) -> tuple[list[dict[str, float]], list[tuple[float, ...]]]:
        """All scalars of the next step by name, for each group, and those of the factor."""
        algorithm, step = self._algorithm, self.steps
        named, factors = [], []
        for group in self._groups:
            rate = None if group.rate is None else value_at(self.name, "learning_rate", group.rate, step)
            decay = value_at(self.name, "weight_decay", group.decay, step)
            scalars = {**algorithm.hyperparameters, "lr": 0.0 if rate is None else rate, "t": step + 1}
            scalars["weight_decay"] = decay if algorithm.capabilities.weight_decay == "update" else 0.0
            results = self._host(**{name: scalars[name] for name in algorithm.program.scalars})
            scalars.update(zip(algorithm.program.slots, results, strict=False))
            in_gradient = decay if algorithm.capabilities.weight_decay == "gradient" else 0.0
            scalars["decay"], scalars["scale"] = in_gradient * self.loss_scale, 1.0 / self.loss_scale
            named.append(scalars)
            if self._factor is not None:
                factors.append(
                    (decay * self.loss_scale, 1.0 / self.loss_scale, *self._factor.slots(rate, step + 1, decay))
                )
        return named, factors

    def _scalar_state_at(self, steps: int) -> dict[str, float]:
        """State that is one number for the optimizer, after some steps; before the first, its declared value."""
        algorithm = self._algorithm
        program = algorithm.program
        if not program.scalar_state:
            return {}
        if steps == 0:
            return {name: _initial(algorithm, name) for name in program.scalar_state}
        scalars = {**algorithm.hyperparameters, "lr": 0.0, "weight_decay": 0.0, "t": steps}
        results = self._host(**{name: scalars[name] for name in program.scalars})
        return dict(zip(program.scalar_state, results[len(program.slots) :], strict=True))


class _Call:
    """The arrays of one dtype with gradients of one dtype, which one kernel call updates."""

    def __init__(self, owner: ArrayOptimizer, kernel: Any, members: list[int]) -> None:
        settings = [owner._settings[i] for i in members]
        self.members = members
        self.kernel = kernel
        self.groups = np.array([setting.group for setting in settings], dtype=np.int64)
        self.factor_groups: Integers | None = None
        if owner._factor is not None:
            self.factor_groups = np.where([owner._chosen[i] for i in members], self.groups, -1).astype(np.int64)
        rows = [_row_length(owner._groups[setting.group], setting.buffer.shape) for setting in settings]
        self.batch = make_batch(
            [setting.buffer.size for setting in settings],
            rows,
            chunk=owner._backend.chunk,
            shapes=[setting.buffer.shape for setting in settings],
            centralized=any(group.centralize for group in owner._groups),
        )


class PreparedStep:
    """A step whose arrays and gradients lie where they lay when it was prepared; made by `ArrayOptimizer.prepare`."""

    def __init__(
        self,
        owner: ArrayOptimizer,
        calls: list[tuple[_Call, Integers]],
        rows: list[tuple[RowStep, RowGradient]],
        alive: list[Any],
    ) -> None:
        self._owner = owner
        self._calls = calls
        self._rows = rows
        self._alive = alive

    def __call__(self) -> None:
        """Do one step."""
        owner = self._owner
        named, factors = owner._scalars()
        for call, addresses in self._calls:
            table = _table(call.kernel, named, factors)
            call.kernel(call.batch, addresses, call.groups, table, owner._stream, call.factor_groups)
        for row_step, gradient in self._rows:
            row_step(gradient, _table(row_step.kernel, named, factors), owner._stream)
        owner.steps += 1
        owner.scalar_state = owner._scalar_state_at(owner.steps)


def _table(kernel: Any, named: list[dict[str, float]], factors: list[tuple[float, ...]]) -> Floats:
    """A row of a kernel's scalars for each group."""
    columns = (*PREPROCESSING, *kernel.scalars)
    rows = [[group[name] for name in columns] for group in named]
    if factors:
        rows = [[*row, *more] for row, more in zip(rows, factors, strict=True)]
    return np.array(rows, dtype=np.float64)


def _with_rate(algorithm: Algorithm, group: ArrayGroup) -> ArrayGroup:
    """A group with its rate, or without one where the optimizer finds its own."""
    if not algorithm.needs_rate:
        if group.rate is not None:
            raise ValueError(f"{algorithm.name}: 'learning_rate' must be None, since {algorithm.name} uses none here")
        return group
    rate = group.rate
    if rate is None and algorithm.rate is not None and not algorithm.rate.required:
        rate = algorithm.rate.default
    if rate is None:
        raise TypeError(f"{algorithm.name}: 'learning_rate' must be given")
    return ArrayGroup(rate, group.decay, group.centralize)


def _chosen(owner: str, factor: ArrayFactor | None, algorithm: Algorithm, count: int) -> tuple[bool, ...]:
    if factor is None:
        return (False,) * count
    if not isinstance(factor, ArrayFactor):
        raise TypeError(f"{owner}: 'factor' must be an ArrayFactor, got {describe(factor)}")
    if isinstance(algorithm.program, Plan) or algorithm.capabilities.weight_decay == "update":
        raise ValueError(
            f"{owner}: a 'factor' goes with optimizers whose weight decay enters the gradient, such as 'momentum'"
        )
    if factor.chosen is not None and len(factor.chosen) != count:
        raise ValueError(f"{owner}: the factor's 'chosen' has {len(factor.chosen)} value(s) for {count} array(s)")
    return (True,) * count if factor.chosen is None else factor.chosen


def _offloads(owner: str, given: bool | None, algorithm: Algorithm, factor: ArrayFactor | None) -> bool:
    """Whether state is on the host, as was asked for or is declared."""
    if not (algorithm.capabilities.offload if given is None else flag(owner, "offload", given)):
        return False
    why = not_elementwise(algorithm.program)
    if why:
        raise ValueError(f"{owner}: 'offload' must be False: {why}")
    if factor is not None:
        raise ValueError(f"{owner}: 'offload' must be False with a 'factor', which is of whole arrays")
    return True


def _row_length(group: ArrayGroup, shape: tuple[int, ...]) -> int:
    """The elements of a row whose mean is taken from the gradient; 0 where there is none."""
    if not group.centralize or len(shape) < 2 or 0 in shape:
        return 0
    return int(np.prod(shape[1:]))


def _initial(algorithm: Algorithm, name: str) -> float:
    initial = algorithm.slots[name].initial
    return float(algorithm.hyperparameters[initial]) if isinstance(initial, str) else float(initial)


def _written(settings: list[ArraySetting], held: Mapping[str, list[Buffer]]) -> list[Placed]:
    """All that steps write."""
    own = [(setting.place, setting.buffer) for setting in settings]
    return own + [(f"state[{name!r}][{i}]", buffer) for name, row in held.items() for i, buffer in enumerate(row)]


def _make_state(
    owner: str,
    algorithm: Algorithm,
    settings: list[ArraySetting],
    backend: Backend,
    given: Mapping[str, Sequence[Any]] | None,
    stream: int,
) -> tuple[Mapping[str, tuple[Any, ...]], dict[str, list[Buffer]]]:
    """The state that is kept for each array, by slot: the arrays, and their memory."""
    names = algorithm.program.state
    if given is not None and sorted(given) != sorted(names):
        raise ValueError(f"{owner}: 'state' must have the slots {sorted(names)}, got {sorted(given)}")
    arrays: dict[str, list[Any]] = {}
    held: dict[str, list[Buffer]] = {}
    values = algorithm.hyperparameters
    for name in names:
        slot = algorithm.slots[name]
        shapes = [slot.shape_for(setting.buffer.shape, values) for setting in settings]
        kinds = [slot.dtype_for(s.buffer.shape, s.buffer.dtype, values) for s in settings]
        if given is None:
            start = _initial(algorithm, name)
            arrays[name] = [backend.filled(shape, kind, start) for shape, kind in zip(shapes, kinds, strict=True)]
        else:
            arrays[name] = list(given[name])
            if len(arrays[name]) != len(settings):
                raise ValueError(
                    f"{owner}: state[{name!r}] has {len(arrays[name])} array(s) for {len(settings)} of 'params'"
                )
        held[name] = []
        for index, (array, shape, kind) in enumerate(zip(arrays[name], shapes, kinds, strict=True)):
            place = f"{owner}: state[{name!r}][{index}]"
            buffer = read_buffer(place, array, stream, (kind,))
            if buffer.shape != shape:
                raise ValueError(f"{place} has the shape {buffer.shape}; {shape} is right")
            if not buffer.writable:
                raise ValueError(f"{place} is read-only, and steps write to it")
            if backend.state_device == backend.name:
                require_one_device(owner, [(settings[index].place, settings[index].buffer), (place, buffer)])
            elif buffer.device != backend.state_device:
                raise ValueError(
                    f"{place} is on the {buffer.device}; with 'offload' state is on the {backend.state_device}"
                )
            held[name].append(buffer)
    # An array that took the place of one of these would not be what steps write.
    return MappingProxyType({name: tuple(own) for name, own in arrays.items()}), held

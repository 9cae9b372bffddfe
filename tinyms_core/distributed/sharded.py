"""`shard_state`: an optimizer whose state and update are divided among the processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from math import lcm, prod
from typing import Any

import numpy as np
from mindspore import Parameter, ParameterTuple, context, nn

from tinyms_core.distributed import checkpoint
from tinyms_core.distributed.pieces import Piece, foreign_memory, replaced
from tinyms_core.distributed.plan import Span, divide_elements, divide_tensors, largest_share
from tinyms_core.distributed.sums import DividedSums
from tinyms_core.kernels.batch import CHUNK, chunk_lengths
from tinyms_core.kernels.cpu import compute_type
from tinyms_core.kernels.rule import Rule
from tinyms_core.kernels.storage import WIDTHS
from tinyms_core.optimizer.addresses import addresses_of, wait_for_queued_work
from tinyms_core.optimizer.base import Optimizer
from tinyms_core.optimizer.create import create_optimizer
from tinyms_core.optimizer.dtypes import dtype_name
from tinyms_core.optimizer.groups import Setting, make_grouping
from tinyms_core.optimizer.kernel_choice import HOST_DEVICES
from tinyms_core.optimizer.modes import in_graph_mode
from tinyms_core.optimizer.step import check_gradients
from tinyms_core.optimizer.wrapping import WrappingOptimizer
from tinyms_core.ranks.exchange import Exchange, Range
from tinyms_core.ranks.group import leave, own_rank, raise_together, rank_count
from tinyms_core.registry import api
from tinyms_core.registry.probe import resolve
from tinyms_core.registry.specs import OptimizerSpec
from tinyms_core.registry.validation import describe

# What MindSpore's training loops read of an optimizer; the same objects as the inner one's.
_SHARED = (
    "global_step", "learning_rate", "loss_scale", "reciprocal_scale", "need_scale", "is_group", "is_group_lr",
    "dynamic_lr", "dynamic_weight_decay", "optim_filter", "use_parallel", "enable_tuple_broaden",
)  # fmt: skip

# What part of the state a process may have more than its share, with whole tensors, which need no exchange of sums.
_UNEVEN = 0.01


def shard_state(
    optimizer: str | type[Optimizer], params: Any, *, around: str | None = None, **arguments: Any
) -> ShardedOptimizer:
    r"""Build an optimizer whose state and update are divided among the processes (ZeRO, stage 1).

    Each of :math:`N` processes keeps :math:`1/N` of the state, updates :math:`1/N` of the elements, and then all
    gather what the others have updated, in few exchanges of flat buffers. Gradients have to be the same in all
    processes, see `GradientAverage`; parameters too, see `equalize_ranks`.

    An optimizer that treats each element by itself is divided by elements, tensors being parted where a share ends;
    its results are those of the undivided optimizer, bit for bit. Tensors of a group with ``grad_centralization`` are
    parted between rows only.

    A layer-wise optimizer that is stated as a rule, such as Lamb, or LARS around Momentum, is divided by whole tensors
    where that is even within 1 % of the state, and otherwise by chunks of 16,384 elements, or of as many whole rows.
    While it steps, the processes exchange the sums of all chunks, and each adds them up in the same order, so that its
    results are those of the undivided optimizer too, bit for bit. One whose update is written out for whole tensors,
    such as AdaFactor and Muon, is divided by whole tensors, the largest first, as evenly as they allow.

    Arguments:
        optimizer: the name of an optimizer, as for `create_optimizer`, or a class. All processes give the same.
        params: Parameters, or group dicts, as for the optimizer; read once.
        around: name of the optimizer that one of the given name is built around.
        arguments: the optimizer's other arguments.

    Returns:
        The optimizer. Called with the gradients of all parameters, it updates all parameters. With one process it is
        an ordinary one.

    Raises:
        TypeError: neither a name nor a class of this library; an argument that the optimizer refuses.
        ValueError: an optimizer that is built from a network; an argument that the optimizer refuses.
        UnknownOptimizerError: no optimizer of that name.

    Example:
        >>> from tinyms_core.distributed import shard_state
        >>> from tinyms_core.examples import parameter, tensor
        >>> w = parameter("w", [1.0, -1.0])
        >>> optimizer = shard_state("adam", [w], learning_rate=0.25)
        >>> _ = optimizer((tensor([5.0, -0.5]),))
        >>> w.asnumpy().round(6).tolist()
        [0.75, -0.75]

    Source:
        Rajbhandari, Rasley, Ruwase, He: ZeRO: Memory Optimizations Toward Training Trillion Parameter Models, SC 2020,
        arXiv:1910.02054.
    """
    if isinstance(optimizer, str):
        named = [optimizer] if around is None else [optimizer, around]
        specs = [api.optimizer_info(name) for name in named]
        build: Any = create_optimizer
        inner = partial(build, optimizer, around=around, **arguments)
        owner, cls = specs[0].name, api.get_optimizer(named[-1])
    elif isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
        if around is not None:
            raise TypeError("shard_state: 'around' goes with the name of an optimizer, not with a class")
        specs = [] if optimizer.spec is None else [optimizer.spec]
        inner, owner, cls = partial(optimizer, **arguments), optimizer.__name__, optimizer
    else:
        raise TypeError(
            "shard_state: 'optimizer' must be the name of an optimizer or a class derived from tinyms_core.Optimizer, "
            f"got {describe(optimizer)}"
        )
    if any(spec.capabilities.consumes_network for spec in specs):
        raise ValueError(f"shard_state: {owner} is built from a network, and its state belongs to layers of it")
    # Groups are checked against the whole parameters, so that errors are about what the user gave.
    options = {name: _as_given for spec in specs for name in spec.capabilities.group_options}
    grouping = make_grouping(owner, params, 0.0, 0.0, _never, options)
    plan = _plan(grouping.settings, cls, specs, arguments)
    pieces = [
        Piece(setting.parameter, span, setting.centralize)
        for setting, span in zip(grouping.settings, plan[own_rank()], strict=True)
    ]
    wholes = {id(piece.parameter): piece.whole for piece in pieces}
    built = inner(
        replaced(grouping.source, {id(piece.whole): piece.parameter for piece in pieces}),
        **_asked_of_wholes(specs, arguments, wholes),
    )
    return ShardedOptimizer(built, pieces, plan)


class ShardedOptimizer(nn.Optimizer):  # type: ignore[misc]
    """An optimizer that updates its share of the elements and gathers the others'; `shard_state` builds it.

    It is called with the gradients of all parameters, in PyNative, and returns what the inner optimizer does. After a
    step all processes have the same parameters. Errors in arguments of any process leave everything as it was in all:
    the others raise `LostRankError`, and training can go on. When another process is lost in the middle of a step,
    `LostRankError` is raised within the time that MindSpore waits; the parameters are then partly updated, and further
    steps and checkpoints are refused: start all processes again, from the last checkpoint.

    Arguments:
        optimizer: the inner optimizer, built on the pieces.
        pieces: what of each parameter it updates.
        plan: for each process the span of each parameter.

    Attributes:
        optimizer: the inner optimizer, which has this process's part of the state. The names of parts in it end in
            the elements that they are, such as ``moment1.w[0:512]``.
        parameters: all parameters, whole.

    Example:
        >>> from tinyms_core.distributed import shard_state
        >>> from tinyms_core.examples import parameter
        >>> shard_state("adam", [parameter("w", [1.0, 2.0])]).state_bytes()
        16
    """

    #: What tells other code of this library that state is divided.
    is_sharded = True

    def __init__(self, optimizer: nn.Optimizer, pieces: Sequence[Piece], plan: Sequence[Sequence[Span]]) -> None:
        nn.Cell.__init__(self, auto_prefix=False)
        self.optimizer = optimizer
        self.parameters = ParameterTuple([piece.whole for piece in pieces])
        self._parameters = self.parameters
        self.param_length = len(pieces)
        self._user_parameters.extend(parameter.name for parameter in self.parameters)
        for attribute in _SHARED:
            if hasattr(optimizer, attribute):
                setattr(self, attribute, getattr(optimizer, attribute))
        self.add_flags(skip_auto_parallel_compile=True)
        self._shapes = [tuple(parameter.shape) for parameter in self.parameters]
        self._lock = threading.Lock()
        self.pieces = tuple(pieces)
        self.plan = tuple(tuple(spans) for spans in plan)
        sums = DividedSums(self._shapes, self.plan, own_rank())
        keeper = self._keeper
        coupled = optimizer is not keeper or (keeper.spec is not None and keeper.spec.capabilities.layerwise)
        self._divides_sums = coupled and sums.parts_tensors
        if self._divides_sums:
            # What takes the steps of a wrapped optimizer is another face of it.
            for face in (keeper, optimizer.view) if optimizer is not keeper else (keeper,):
                face.divided_sums = sums
        self._foreign = foreign_memory(pieces)
        for index, piece in enumerate(pieces):
            piece.rename([row[index] for row in self._keeper.states.values()])
        widths = [WIDTHS[dtype_name(p.dtype) or "float32"] for p in self.parameters]
        ranges = [
            [Range(i, start * w, stop * w) for i, ((start, stop), w) in enumerate(zip(spans, widths, strict=True))]
            for spans in self.plan
        ]
        self._offsets = [start * width for (start, _), width in zip(self.plan[own_rank()], widths, strict=True)]
        self._exchange = Exchange("the update of parameters", ranges, own_rank())

    @property
    def _keeper(self) -> Optimizer:
        """The optimizer that has the state."""
        inner = self.optimizer
        keeper: Optimizer = inner.optimizer if isinstance(inner, WrappingOptimizer) else inner
        return keeper

    @property
    def name(self) -> str:
        """The inner optimizer's name, as errors show it."""
        return str(self.optimizer.name)

    @property
    def sparse(self) -> str:
        """Rows of a sparse gradient are refused: what they touch is not divided evenly."""
        return "none"

    def state_bytes(self) -> int:
        """The bytes of state that this process keeps.

        Returns:
            The bytes; numbers that the whole optimizer shares are not counted.
        """
        return sum(state.nbytes for row in self._keeper.states.values() for state in row)

    def get_lr(self) -> Any:
        """The learning rate of the current step; see `tinyms_core.Optimizer.get_lr`."""
        return self.optimizer.get_lr()

    def get_lr_parameter(self, param: Any) -> Any:
        """What holds the learning rate of a parameter; see `tinyms_core.Optimizer.get_lr_parameter`."""
        if isinstance(param, list):
            return [self.get_lr_parameter(item) for item in param]
        pieces = {id(piece.whole): piece.parameter for piece in self.pieces}
        return self.optimizer.get_lr_parameter(pieces.get(id(param), param))

    def __reduce__(self) -> Any:
        raise TypeError(
            f"{self.name}: an optimizer with divided state cannot be copied or pickled, since a copy would have one "
            "process's part; use save_checkpoint, and load_checkpoint of another one"
        )

    # -- stepping ---------------------------------------------------------------------------------

    def __call__(self, gradients: Any) -> Any:
        if in_graph_mode():
            raise RuntimeError(
                f"{self.name}: divided state works in PyNative, and MindSpore is in graph mode; call "
                "mindspore.set_context(mode=mindspore.PYNATIVE_MODE), or build the optimizer without shard_state"
            )
        with self._lock:
            error, alike = self._error(gradients)
            raise_together("a divided step", error, alike)
            try:
                result = self.optimizer(tuple(p.of(g) for p, g in zip(self.pieces, gradients, strict=True)))
                self._gather()
            except BaseException as error:
                # The others may have gone on.
                leave("a divided step", error)
                raise
        return self.parameters if result is self._keeper.parameters else result

    def construct(self, gradients: Any) -> Any:
        raise RuntimeError(
            "an optimizer with divided state works in PyNative and not in a compiled function; call it outside of it"
        )

    def _error(self, gradients: Any) -> tuple[BaseException | None, dict[str, bytes]]:
        """What is wrong with a step, before anything is changed; or what has to be the same in all processes."""
        checked: Any = self
        keeper = self._keeper
        try:
            kinds = check_gradients(checked, gradients, self._shapes)
            step = int(keeper.global_step.asnumpy()[0])
            if keeper.rate_limit and step >= keeper.rate_limit:
                raise ValueError(keeper.rate_limit_message)
            if self._divides_sums and self.optimizer._hooked():
                raise RuntimeError(
                    f"{self.name}: with hooks a step is made of operators, which cannot add up what other processes "
                    "have of a tensor; remove the hooks of the optimizer that shard_state has built"
                )
            self.follow()
        except BaseException as error:
            return error, {}
        return None, {"the numbers of steps done": str(step).encode(), "the gradients' dtypes": str(kinds).encode()}

    def follow(self) -> None:
        """Bring the pieces to where the parameters' memory is now."""
        wait_for_queued_work()
        self._foreign.current()
        moved = [piece.parameter for piece in self.pieces if piece.follow()]
        if moved:
            wait_for_queued_work()
            keeper = self._keeper
            keeper.built_addresses.update(zip(map(id, moved), addresses_of(moved).tolist(), strict=True))
            keeper._host_ready = False
            if self.optimizer is not keeper:
                self.optimizer._host_target = ""

    def _gather(self) -> None:
        if rank_count() == 1:
            return
        wait_for_queued_work()
        target = addresses_of(list(self.parameters)).tolist()
        source = [address + offset for address, offset in zip(target, self._offsets, strict=True)]
        self._exchange.run(source, target)

    # -- checkpoints ------------------------------------------------------------------------------

    def save_checkpoint(self, path: str | os.PathLike[str], *, append_dict: dict[str, Any] | None = None) -> None:
        """Save parameters and state whole, in one file, as the undivided optimizer would.

        Every process has to call it. State is gathered, and process 0 writes the file with
        `tinyms_core.save_checkpoint`, so that the path holds the old checkpoint or the new one, never a part. The file
        loads into any number of processes, and into an undivided optimizer.

        Arguments:
            path: the file, for process 0; it ends in ``.ckpt`` or ``.safetensors``.
            append_dict: more values to save, such as ``{"epoch": 3}``.

        Raises:
            LostRankError: another process did not take part in time, or process 0 could not write the file.
            OSError, ValueError: in process 0, why the file cannot be written.
        """
        with self._lock:
            checkpoint.save(self, path, append_dict)

    def load_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Load parameters and this process's part of the state from a file of an undivided or divided optimizer.

        Every process has to call it, and reads the file for itself. Where one cannot, all leave everything as it was.

        Arguments:
            path: the file, in ``.ckpt`` or ``.safetensors``.

        Raises:
            ValueError: the file lacks something that the optimizer has, or has it in another shape; nothing is changed.
            LostRankError: another process could not read its file, or did not take part in time; nothing is changed.
        """
        with self._lock:
            checkpoint.load(self, path)


def _as_given(place: str, value: Any) -> Any:
    return value


def _never(parameter: Parameter) -> bool:
    return False


def _asked_of_wholes(
    specs: Sequence[OptimizerSpec], arguments: Mapping[str, Any], wholes: Mapping[int, Parameter]
) -> dict[str, Any]:
    """What a wrapping optimizer asks of its parameters, asked of the whole ones: they have the shapes."""

    def of_wholes(function: Any) -> Any:
        return lambda parameter: function(wholes.get(id(parameter), parameter))

    declared = {h.name: h for spec in specs if spec.capabilities.wraps_optimizer for h in spec.hyperparameters}
    values = {name: arguments.get(name, h.default) for name, h in declared.items() if h.kind == "any"}
    return {name: of_wholes(value) for name, value in values.items() if callable(value)}


def _plan(
    settings: Sequence[Setting], cls: type, specs: Sequence[OptimizerSpec], arguments: Mapping[str, Any]
) -> list[list[Span]]:
    parameters = [setting.parameter for setting in settings]
    sizes = [int(parameter.size) for parameter in parameters]
    kinds = [dtype_name(parameter.dtype) or "float32" for parameter in parameters]
    widths = [WIDTHS[compute_type(kind)] for kind in kinds]
    rows = [max(prod(s.parameter.shape[1:]), 1) if s.centralize else 0 for s in settings]
    ranks = rank_count()
    by_rule = bool(specs) and getattr(cls, "rule", None) is not None
    wraps = any(spec.capabilities.wraps_optimizer for spec in specs)
    if by_rule and not wraps and not specs[-1].capabilities.layerwise:
        return divide_elements(sizes, widths, [max(row, 1) for row in rows], ranks)
    costs = [size * width for size, width in zip(sizes, widths, strict=True)]
    if by_rule and _sums_by_chunks(specs[-1]):
        # Factors are of chunks without rows; all sums are to be had from whole chunks.
        lengths = chunk_lengths(np.array(rows, dtype=np.int64)).tolist()
        units = [lcm(length, CHUNK) if wraps else length for length in lengths]
        by_chunks = divide_elements(sizes, widths, units, ranks)
        by_tensors = divide_tensors(sizes, costs, ranks)
        even = max(largest_share(by_chunks, widths), sum(costs) * (1 / ranks + _UNEVEN))
        return by_tensors if largest_share(by_tensors, widths) <= even else by_chunks
    if specs:
        known = {name: value for name, value in arguments.items() if name in specs[-1].defaults}
        costs = [specs[-1].state_bytes(tuple(p.shape), k, **known) for p, k in zip(parameters, kinds, strict=True)]
    return divide_tensors(sizes, costs, ranks)


def _sums_by_chunks(spec: OptimizerSpec) -> bool:
    """Whether an optimizer's sums over tensors are those of a kernel that is derived from a rule."""
    if context.get_context("device_target") not in HOST_DEVICES:
        return False
    kernels = [status.spec for status in api.kernels_for(spec.name, "CPU") if status.available]
    return all(isinstance(resolve(kernel.implementation), Rule) for kernel in kernels)

"""Checkpoints of divided state: one file, whole, whatever the number of processes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mindspore
import numpy as np
from mindspore import Parameter, Tensor

from tinyms_core.distributed.plan import Span
from tinyms_core.optimizer.addresses import addresses_of, wait_for_queued_work
from tinyms_core.optimizer.checkpoint import save_checkpoint
from tinyms_core.optimizer.dtypes import DTYPES, dtype_name
from tinyms_core.ranks.exchange import Exchange, Range
from tinyms_core.ranks.group import own_rank, raise_together, rank_count

if TYPE_CHECKING:
    from tinyms_core.distributed.sharded import ShardedOptimizer


@dataclass(frozen=True)
class _State:
    """State of a parameter, of which processes have parts.

    Attributes:
        name: the name of the whole in a checkpoint.
        part: this process's part.
        shape: the shape of the whole.
        kind: its dtype.
        spans: for each process which elements of the whole it has.
    """

    name: str
    part: Parameter
    shape: tuple[int, ...]
    kind: str
    spans: tuple[Span, ...]

    @property
    def slice(self) -> slice:
        """This process's elements."""
        return slice(*self.spans[own_rank()])


def save(sharded: ShardedOptimizer, path: str | os.PathLike[str], append_dict: dict[str, Any] | None) -> None:
    """Gather the state and let process 0 write it."""
    # Also where there is no state to gather, nothing is written unless all are there.
    raise_together("saving a checkpoint", None)
    states = _states(sharded)
    first = own_rank() == 0
    arrays = [np.zeros(state.shape, state.kind) if first else None for state in states]
    wait_for_queued_work()
    source = addresses_of([state.part for state in states]).tolist() if states else []
    target = [0 if array is None else array.ctypes.data for array in arrays]
    ranges = [
        [_range(index, state, state.spans[rank]) for index, state in enumerate(states)] for rank in range(rank_count())
    ]
    if rank_count() > 1:
        Exchange("the state for a checkpoint", ranges, own_rank()).run(source, target)
    failure: BaseException | None = None
    if first:
        try:
            _write(sharded, states, arrays, path, append_dict)
        except BaseException as error:
            # The others wait; they learn of it before it goes its way.
            failure = error
    raise_together("the checkpoint that process 0 writes", failure)


def _write(
    sharded: ShardedOptimizer,
    states: Sequence[_State],
    arrays: Sequence[Any],
    path: str | os.PathLike[str],
    append_dict: dict[str, Any] | None,
) -> None:
    """Write the file in process 0, whose own parts are not in the arrays yet."""
    for state, array in zip(states, arrays, strict=True):
        array.reshape(-1)[state.slice] = state.part.asnumpy().reshape(-1)[: _length(state.spans[0])]
    whole = {id(state.part): (state.name, Tensor(array)) for state, array in zip(states, arrays, strict=True)}
    whole.update({id(piece.parameter): (piece.whole.name, piece.whole) for piece in sharded.pieces})
    entries = [whole.get(id(p), (p.name, p)) for p in sharded.optimizer.get_parameters()]
    save_checkpoint([{"name": name, "data": data} for name, data in entries], path, append_dict=append_dict)


def load(sharded: ShardedOptimizer, path: str | os.PathLike[str]) -> None:
    """Read a file and take what is this process's, once every process has read it."""
    taken: list[tuple[Parameter, Any]] = []
    failure: BaseException | None = None
    try:
        taken = _read(sharded, path)
    except BaseException as error:
        failure = error
    raise_together("loading a checkpoint", failure)
    for target, value in taken:
        target.set_data(Tensor(value).astype(target.dtype).contiguous().copy())


def _read(sharded: ShardedOptimizer, path: str | os.PathLike[str]) -> list[tuple[Parameter, Any]]:
    """What of a file goes into which Parameter of this process."""
    file_format = "safetensors" if Path(path).suffix == ".safetensors" else "ckpt"
    found = mindspore.load_checkpoint(os.fspath(path), format=file_format)
    states = {id(state.part): state for state in _states(sharded)}
    wholes = {id(piece.parameter): piece.whole for piece in sharded.pieces}
    taken: list[tuple[Parameter, Any]] = []
    for parameter in sharded.optimizer.get_parameters():
        state = states.get(id(parameter))
        target = wholes.get(id(parameter), parameter)
        name, shape = (target.name, tuple(target.shape)) if state is None else (state.name, state.shape)
        if name not in found:
            raise ValueError(f"{sharded.name}: the checkpoint {os.fspath(path)!r} has no {name!r}; nothing was changed")
        value = found[name]
        if tuple(value.shape) != shape:
            raise ValueError(
                f"{sharded.name}: {name!r} has shape {tuple(value.shape)} in the checkpoint {os.fspath(path)!r}, and "
                f"{shape} in the optimizer; nothing was changed"
            )
        taken.append((target, value if state is None else _part(state, value)))
    return taken


def _part(state: _State, value: Parameter) -> Tensor:
    """This process's part of a state, as the optimizer keeps it."""
    if _length(state.spans[own_rank()]) != state.part.size:
        # A placeholder of state that another process has.
        return Tensor(state.part)
    numbers = value.asnumpy().reshape(-1)[state.slice].reshape(state.part.shape)
    return Tensor(np.array(numbers), DTYPES[state.kind])


def _states(sharded: ShardedOptimizer) -> list[_State]:
    """All state of all parameters."""
    keeper = sharded._keeper
    slots = {slot.name: slot for slot in keeper.spec.state} if keeper.spec is not None else {}
    found = []
    for name, row in keeper.states.items():
        slot = slots[name]
        for index, (piece, setting) in enumerate(zip(sharded.pieces, keeper.settings, strict=True)):
            values = {**keeper.hyperparameters, **dict(setting.options)}
            shape = tuple(piece.whole.shape)
            own = slot.shape_for(shape, values)
            kind = slot.dtype_for(shape, dtype_name(piece.whole.dtype) or "float32", values)
            spans = tuple(_state_span(each[index], piece.whole.size, prod(own)) for each in sharded.plan)
            found.append(_State(slot.parameter_name(piece.whole.name), row[index], own, kind, spans))
    return found


def _state_span(span: Span, size: int, state_size: int) -> Span:
    """The elements of a state that belong to a span of the parameter; what is not like it belongs with all of it."""
    if size == state_size:
        return span
    return (0, state_size) if span == (0, size) else (0, 0)


def _range(index: int, state: _State, span: Span) -> Range:
    width = np.dtype(state.kind).itemsize
    return Range(index, span[0] * width, span[1] * width)


def _length(span: Sequence[int]) -> int:
    return span[1] - span[0]

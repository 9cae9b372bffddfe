"""Offloaded steps: arrays and gradients on a GPU, state on the host, where the CPU's kernel updates it.

The elements of all arrays are divided into runs. Of each run the gradients, and the parameters where a rule needs to
see them, are gathered and copied to pinned memory of the host; there the kernel computes; what it gives is copied back
and scattered. Three runs are on their way at a time: while the host computes one, the next ones come and the last ones
go, in two streams. On the GPU there is nothing but what is on its way, and a table of addresses.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyms_core.kernels.batch import Batch, Floats, Integers, make_batch
from tinyms_core.kernels.cpu import CpuKernel, compute_type
from tinyms_core.kernels.cpu_source import PREPROCESSING
from tinyms_core.kernels.displacement import only_displaces
from tinyms_core.kernels.gpu_device import DeviceArray, launch_shape
from tinyms_core.kernels.gpu_queues import Staging, new_queues
from tinyms_core.kernels.program import Program
from tinyms_core.kernels.specialized import specialized
from tinyms_core.kernels.storage import WIDTHS

# Runs on their way: one that comes, one that the host works on, one that goes.
SLOTS = 3
# Where the second part of a run's memory may begin.
_ALIGNMENT = 8
# The columns of the table of pieces.
_PARAMETERS, _GRADIENTS = 0, 1


class _Slot:
    """The memory of a run on its way, with the marks of its having come and gone."""

    def __init__(self, queues: Any) -> None:
        self.staging = Staging(0)
        self.came, self.gone = queues.event(), queues.event()


class Pipeline:
    """What the kernels of an optimizer share: two streams and the memory of the runs that are on their way."""

    def __init__(self) -> None:
        self.queues = new_queues()
        self.shape = launch_shape()
        self.down, self.up = self.queues.stream(), self.queues.stream()
        self.ready = self.queues.event()
        self.slots = [_Slot(self.queues) for _ in range(SLOTS)]
        # A step holds all of it.
        self.lock = threading.Lock()

    def reserve(self, size: int) -> None:
        """Make sure that each slot has so many bytes."""
        for slot in self.slots:
            if slot.staging.size < size:
                self.queues.finish(slot.gone)
                slot.staging = Staging(size)


@dataclass(frozen=True)
class Run:
    """Some chunks of a batch, one after the other.

    Attributes:
        first, last: their range among the batch's chunks.
        elements: how many elements they have.
        members: the tensors that they are of, each once.
        offsets: where they begin within each of these.
        starts: where each of these begins among the run's elements.
        batch: the parts as tensors of their own, for the kernel of the CPU.
    """

    first: int
    last: int
    elements: int
    members: Integers
    offsets: Integers
    starts: Integers
    batch: Batch


def divided(batch: Batch, most: int) -> list[Run]:
    """Divide a batch into runs of whole chunks, of ``most`` elements unless a chunk alone has more."""
    sizes = batch.chunk_last - batch.chunk_first
    ends = np.cumsum(sizes)
    places = ends - sizes
    runs, first = [], 0
    while first < batch.chunks:
        last = max(first + 1, int(np.searchsorted(ends, places[first] + most, side="right")))
        tensors = batch.chunk_tensor[first:last]
        begins = first + np.concatenate(([0], np.flatnonzero(np.diff(tensors)) + 1))
        members, starts = batch.chunk_tensor[begins], places[begins] - places[first]
        elements = int(ends[last - 1] - places[first])
        parts = np.diff(np.append(starts, elements))
        own = make_batch(parts, batch.rows[members], centralized=batch.centralized)
        runs.append(Run(first, last, elements, members, batch.chunk_first[begins], starts, own))
        first = last
    return runs


class _Form:
    """One way of a rule's step between GPU and host.

    Arguments:
        program: the rule's program.
        parameter: storage type of the parameters on the GPU.
        gradient: storage type of the gradients.
        displaces: whether displacements come back, and parameters stay where they are.
    """

    def __init__(self, program: Program, parameter: str, gradient: str, displaces: bool) -> None:
        compute = compute_type(parameter)
        self.displaces = displaces
        self.staged = compute if displaces else parameter
        self.kernel = CpuKernel(program, self.staged, gradient)
        self._gradient = gradient
        path = Path(__file__).with_name("gpu_staging.py")
        kinds = {"STORAGE": parameter, "STAGED": self.staged, "COMPUTE": compute, "ADDED": displaces}
        self.parameters = specialized(path, **kinds)
        kinds = {"STORAGE": gradient, "STAGED": gradient, "COMPUTE": compute_type(gradient), "ADDED": False}
        self.gradients = specialized(path, **kinds)

    def place(self, elements: int) -> int:
        """Where parameters or displacements begin in a run's memory, behind the gradients."""
        return -(-elements * WIDTHS[self._gradient] // _ALIGNMENT) * _ALIGNMENT

    def bytes(self, elements: int) -> int:
        """The memory of a run."""
        return self.place(elements) + elements * WIDTHS[self.staged]


class OffloadKernel:
    """A rule's kernel for arrays on a GPU and state on the host; called as other kernels are.

    Arguments:
        program: what to compute, elementwise.
        parameter: storage type of the parameters; state is stored in `compute_type` of it.
        gradient: storage type of the gradients.
        pipeline: the streams and the memory that steps use.
    """

    def __init__(self, program: Program, parameter: str, gradient: str, pipeline: Pipeline) -> None:
        self.program = program
        self.scalars = program.slots
        self._widths = [WIDTHS[kind] for kind in (parameter, gradient, compute_type(parameter))]
        self._pipeline = pipeline
        self._whole = _Form(program, parameter, gradient, displaces=False)
        self._displacing = _Form(program, parameter, gradient, displaces=True) if only_displaces(program) else None
        self._batch: Batch | None = None
        self._runs: list[Run] = []
        self._table: DeviceArray | None = None
        self._addresses: Integers | None = None

    def __call__(
        self,
        batch: Batch,
        addresses: Integers,
        groups: Integers,
        scalars: Floats,
        stream: int = 0,
        factor_groups: Integers | None = None,
    ) -> None:
        """Update all tensors of a batch by one step, in place.

        The state is updated when this returns; the parameters are when the GPU comes to what is queued in the stream
        from then on.

        Arguments:
            batch: the tensors.
            addresses: address of each tensor's memory, shape (len(program.tensors), tensors): of parameters and
                gradients on the GPU, of the state on the host; each contiguous.
            groups: row of ``scalars`` that each tensor uses.
            scalars: as for `CpuKernel`.
            stream: handle of the CUDA stream that the step takes place in.
            factor_groups: None; factors are of whole tensors.
        """
        if not batch.chunks:
            return
        pipeline = self._pipeline
        queues = pipeline.queues
        form = self._form(groups, scalars)
        with pipeline.lock:
            table = self._table_of(batch, addresses, stream)
            runs = self._runs
            pipeline.reserve(max(form.bytes(run.elements) for run in runs))
            queues.record(pipeline.ready, stream)
            queues.wait(pipeline.ready, pipeline.down)
            queues.wait(pipeline.ready, pipeline.up)
            for run, slot in zip(runs, pipeline.slots[:-1], strict=False):
                self._fetch(run, slot, form, table)
            for number, run in enumerate(runs):
                ahead = number + SLOTS - 1
                if ahead < len(runs):
                    self._fetch(runs[ahead], pipeline.slots[ahead % SLOTS], form, table)
                slot = pipeline.slots[number % SLOTS]
                queues.finish(slot.came)
                self._compute(run, slot, form, addresses, groups, scalars)
                self._bring_back(run, slot, form, table)
            for slot in pipeline.slots:
                queues.wait(slot.gone, stream)

    def _form(self, groups: Integers, scalars: Floats) -> _Form:
        """Displacements where the rule allows it and no decay makes the gradient depend on the parameter."""
        decays = scalars[np.unique(groups), PREPROCESSING.index("decay")].any()
        return self._whole if self._displacing is None or decays else self._displacing

    def _table_of(self, batch: Batch, addresses: Integers, stream: int) -> int:
        """The address of the table of pieces, brought up to date in a stream."""
        if self._batch is not batch or self._table is None:
            self._batch, self._addresses = batch, None
            self._runs = divided(batch, self._pipeline.shape.staged)
            self._table = DeviceArray((batch.chunks, 4), "int64")
        # Addresses are not changed in place: the same array holds the same numbers.
        if self._addresses is not addresses:
            sizes = batch.chunk_last - batch.chunk_first
            places = np.cumsum(sizes) - sizes
            columns = [
                addresses[row, batch.chunk_tensor] + batch.chunk_first * self._widths[row]
                for row in (_PARAMETERS, _GRADIENTS)
            ]
            self._pipeline.queues.write(self._table, np.stack([*columns, places, sizes], axis=1), stream)
            self._addresses = addresses
        return self._table.address

    def _fetch(self, run: Run, slot: _Slot, form: _Form, table: int) -> None:
        """Queue what brings a run to the host, behind what still uses the slot."""
        pipeline, staging = self._pipeline, slot.staging
        queues, down = pipeline.queues, pipeline.down
        queues.wait(slot.gone, down)
        at, pieces = form.place(run.elements), run.last - run.first
        gather = form.gradients.gather
        given = (table, run.first, run.last, _GRADIENTS, staging.address)
        queues.launch(gather, pipeline.shape, pieces, down, given)
        last = run.elements * self._widths[_GRADIENTS]
        if not form.displaces:
            gather = form.parameters.gather
            given = (table, run.first, run.last, _PARAMETERS, staging.address + at)
            queues.launch(gather, pipeline.shape, pieces, down, given)
            last = form.bytes(run.elements)
        queues.to_host(staging, 0, last, down)
        queues.record(slot.came, down)

    def _compute(
        self, run: Run, slot: _Slot, form: _Form, addresses: Integers, groups: Integers, scalars: Floats
    ) -> None:
        """Update the state of a run, and the parameters or displacements in the slot, on the host."""
        at, host = form.place(run.elements), slot.staging.host.ctypes.data
        if form.displaces:
            # The displacement is what becomes of zero.
            slot.staging.host[at : form.bytes(run.elements)] = 0
        own = np.empty((len(self.program.tensors), len(run.members)), np.int64)
        own[0] = host + at + run.starts * WIDTHS[form.staged]
        own[1] = host + run.starts * self._widths[_GRADIENTS]
        own[2:] = addresses[2:, run.members] + run.offsets * self._widths[2]
        form.kernel(run.batch, own, groups[run.members], scalars)

    def _bring_back(self, run: Run, slot: _Slot, form: _Form, table: int) -> None:
        """Queue what brings a run's parameters or displacements back."""
        pipeline, staging = self._pipeline, slot.staging
        queues, up = pipeline.queues, pipeline.up
        at = form.place(run.elements)
        queues.to_device(staging, at, form.bytes(run.elements), up)
        given = (table, run.first, run.last, staging.address + at)
        queues.launch(form.parameters.scatter, pipeline.shape, run.last - run.first, up, given)
        queues.record(slot.gone, up)

"""AdaFactor's kernel on the CPU: all tensors at once, multi-threaded, without memory of a parameter's size."""

import threading
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from tinyms_adafactor.layout import RANGE_ELEMENTS, UNITS, UNITS_END, UNSCALING, Layout, matrix_layout, vector_layout
from tinyms_adafactor.numbers import step_numbers
from tinyms_adafactor.sums import Step
from tinyms_core.kernels.batch import PARALLEL_ELEMENTS, Batch
from tinyms_core.kernels.cpu import compute_type
from tinyms_core.kernels.runner import Passes
from tinyms_core.kernels.specialized import specialized_code
from tinyms_core.kernels.threads import run_ranges, thread_count
from tinyms_core.kernels.traffic import Pass, Stream, Traffic

AVERAGE = "average"

Names = tuple[str, ...]


class AdaFactorKernel:
    """AdaFactor, compiled for parameters and gradients of given storage types.

    Arguments:
        plan: the update's plan.
        parameter: storage type of the parameters.
        gradient: storage type of the gradients.
    """

    scalars = ("lr", "t", "weight_decay")

    def __init__(self, plan: Any, parameter: str, gradient: str) -> None:
        self._options = dict(plan.hyperparameters)
        self._averaged = AVERAGE in plan.state
        types: dict[str, Any] = {"PARAMETER": parameter, "GRADIENT": gradient, "COMPUTE": compute_type(parameter)}
        types["AVERAGED"] = self._averaged
        self._matrices = Matrices(types)
        self._vectors = Vectors({**types, "HALVED": self._options["compression"]})
        self._types, self._kept = (parameter, gradient), plan.kept
        self._batch: Batch | None = None
        self._layouts: list[tuple[_Family, Layout]] = []

    def __call__(self, batch: Batch, addresses: Any, groups: Any, scalars: Any) -> None:
        """Update all tensors of a batch by one step, in place.

        Arguments:
            batch: the tensors, with their shapes.
            addresses: address of each tensor's memory, rows as ``w, g, rows, columns, full`` and, where it is kept,
                the average of the changes.
            groups: row of ``scalars`` that each tensor uses.
            scalars: for each group the decay of the gradient, which is 0, the factor of the gradient, then those
                of ``self.scalars``.
        """
        if batch is not self._batch:
            self._layouts, self._batch = self._cut(batch), batch
        numbers = np.array([step_numbers(self._options, *row[1:]) for row in scalars.tolist()], np.float64)
        threads = thread_count() if batch.elements >= PARALLEL_ELEMENTS else 1
        for family, layout in self._layouts:
            own = addresses[:, layout.members]
            # The third and fourth are what the family reads: both averages of a matrix, or a placeholder and all.
            columns = own[[0, 1, 2, 3 if family is self._matrices else 4, 5 if self._averaged else 0]]
            own_groups = np.asarray(groups[layout.members], np.int64)
            family.step(layout, np.ascontiguousarray(columns.T, np.int64), own_groups, numbers, threads)

    def traffic(self, batch: Batch, groups: Any, scalars: Any) -> tuple[Traffic, ...]:
        """What a call moves at least: three passes over matrices, two over vectors, one range after the other.

        Arguments are those of a call.
        """
        return tuple(self._moved(family, layout, batch) for family, layout in self._cut(batch))

    def _moved(self, family: "_Family", layout: Layout, batch: Batch) -> Traffic:
        shapes = [batch.shapes[k] for k in layout.members]
        kinds = [dict.fromkeys(slot.dtype_for(s, self._types[0], self._options) for s in shapes) for slot in self._kept]
        kept = [
            Stream(slot.name, next(iter(kind)), np.array([prod(slot.shape_for(s, self._options)) for s in shapes]))
            for slot, kind in zip(self._kept, kinds, strict=True)
            if slot.applies_to(shapes[0], self._options)
        ]
        own = (Stream("w", self._types[0], layout.sizes), Stream("g", self._types[1], layout.sizes))
        averages = tuple(stream.name for stream in kept if stream.name != AVERAGE)
        change = (AVERAGE,) if self._averaged else ()
        passes = [Pass(*names) for names in family.moves(averages, change)]
        return Traffic(layout.sizes, (*own, *kept), tuple(passes), RANGE_ELEMENTS)

    def _cut(self, batch: Batch) -> list[tuple["_Family", Layout]]:
        found = []
        for family, cut, wanted in (
            (self._matrices, matrix_layout, lambda shape: len(shape) > 1),
            (self._vectors, vector_layout, lambda shape: len(shape) < 2),
        ):
            members = [k for k, shape in enumerate(batch.shapes) if batch.sizes[k] and wanted(shape)]
            if members:
                found.append((family, cut(members, [batch.shapes[k] for k in members])))
        return found


class _Family:
    """The compiled passes over matrices or over vectors, and how threads go through them."""

    stages = 0

    def __init__(self, constants: dict[str, Any]) -> None:
        self.constants = constants
        self._lock = threading.Lock()

    @cached_property
    def passes(self) -> Passes:
        """``run_units`` for these types, compiled on first use."""
        with self._lock:
            path = Path(__file__).with_name(f"{type(self).__name__.lower()}.py")
            return Passes(specialized_code(path, ("run_units",), **self.constants))

    def step(self, layout: Layout, addresses: Any, groups: Any, numbers: Any, threads: int) -> None:
        """Do all passes over all tensors of a layout."""
        step = Step(layout, addresses, groups, numbers, self.constants)
        together, ranges = layout.shares(threads)
        for k in together:
            self._do(step, k, k + 1, threads)

        def work(first: int, last: int) -> None:
            for begin, end in ranges[first:last]:
                self._do(step, begin, end, 1)

        run_ranges(work, len(ranges), threads)

    def _do(self, step: Step, first: int, last: int, threads: int) -> None:
        """Do all passes over a range of tensors."""
        begin, end = int(step.layout.shapes[first, UNITS]), int(step.layout.shapes[last - 1, UNITS_END])
        self.prepare(step, first, last)
        for stage in range(self.stages):
            self.passes(step.frame(stage), begin, end, threads)
            self.finish(stage, step, first, last)

    def moves(self, averages: Names, change: Names) -> tuple[tuple[Names, Names], ...]:
        """What each pass reads and writes.

        Arguments:
            averages: the averages of squared gradients, by name.
            change: the average of the changes, where it is kept.
        """
        raise NotImplementedError

    def prepare(self, step: Step, first: int, last: int) -> None:
        """What comes before the passes over a range of tensors."""

    def finish(self, stage: int, step: Step, first: int, last: int) -> None:
        """What follows a pass over a range of tensors."""
        raise NotImplementedError


class Matrices(_Family):
    """Tensors of two or more dimensions."""

    stages = 3

    def moves(self, averages: Names, change: Names) -> tuple[tuple[Names, Names], ...]:
        """The first pass finds the averages, the second the length of the direction, the third writes."""
        return (
            (("w", "g", *averages), averages),
            (("g", *averages), ()),
            (("w", "g", *averages, *change), ("w", *change)),
        )

    def finish(self, stage: int, step: Step, first: int, last: int) -> None:
        """Join the sums of tensors that were cut, then find how far the step goes."""
        if stage == 0:
            joined = step.layout.joined
            for k in joined[(joined >= first) & (joined < last)].tolist():
                step.join(k)
        elif stage == 1:
            step.set_lengths(first, last)


class Vectors(_Family):
    """Tensors of fewer than two dimensions."""

    stages = 2

    def moves(self, averages: Names, change: Names) -> tuple[tuple[Names, Names], ...]:
        """The first pass finds lengths, the second computes the averages again, and writes."""
        read = ("w", "g", *averages)
        return (read, ()), ((*read, *change), ("w", *averages, *change))

    def prepare(self, step: Step, first: int, last: int) -> None:
        """Read the exponents of averages that are stored in float16."""
        if self.constants["HALVED"]:
            exponents = [step.placeholder(k)[0] for k in range(first, last)]
            step.results[first:last, UNSCALING] = np.exp2(-np.array(exponents, np.float64))

    def finish(self, stage: int, step: Step, first: int, last: int) -> None:
        """Find how far the step goes, and the powers of two that averages are stored with."""
        if stage == 0:
            step.set_lengths(first, last)
            if self.constants["HALVED"]:
                step.set_exponents(first, last)

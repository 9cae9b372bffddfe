"""AdaFactor's kernel on a GPU: all tensors of a family at once in each of its passes, nothing copied to the host."""

from pathlib import Path
from typing import Any

import numpy as np

from tinyms_adafactor import gpu_layout
from tinyms_adafactor.gpu_layout import GpuLayout, matrix_layout, vector_layout
from tinyms_adafactor.numbers import step_numbers
from tinyms_core.kernels.batch import Batch
from tinyms_core.kernels.cpu import compute_type
from tinyms_core.kernels.gpu import launch_blocks
from tinyms_core.kernels.gpu_device import DeviceArray, launch_shape, stream_of
from tinyms_core.kernels.specialized import specialized

AVERAGE = "average"
# Chunks of a unit.
_UNIT_CHUNKS = 8
_ADDRESSES = ("w", "g", "rows", "columns", "full")


class AdaFactorGpuKernel:
    """AdaFactor, compiled for a GPU, for parameters and gradients of given storage types.

    Arguments:
        plan: the update's plan.
        parameter: storage type of the parameters.
        gradient: storage type of the gradients.
    """

    scalars = ("lr", "t", "weight_decay")

    def __init__(self, plan: Any, parameter: str, gradient: str) -> None:
        self._options = dict(plan.hyperparameters)
        self._averaged = AVERAGE in plan.state
        self.shape = launch_shape()
        self._types: dict[str, Any] = {
            "PARAMETER": parameter,
            "GRADIENT": gradient,
            "COMPUTE": compute_type(parameter),
            "AVERAGED": self._averaged,
            "HALVED": bool(self._options["compression"]),
            "THREADS": self.shape.threads,
        }
        self._passes: Any = None
        self._batch: Batch | None = None
        self._families: list[_Family] = []

    def __call__(
        self, batch: Batch, addresses: Any, groups: Any, scalars: Any, stream: int = 0, factor_groups: Any = None
    ) -> None:
        """Update all tensors of a batch by one step, in place, as soon as the GPU comes to it.

        Arguments:
            batch: the tensors, with their shapes.
            addresses: address of each tensor's memory, rows as ``w, g, rows, columns, full`` and, where it is kept,
                the average of the changes.
            groups: row of ``scalars`` that each tensor uses.
            scalars: for each group the decay of the gradient, which is 0, the factor of the gradient, then those
                of ``self.scalars``.
            stream: handle of the CUDA stream that the step takes place in.
            factor_groups: None; AdaFactor takes no factors.
        """
        if self._passes is None:
            self._passes = specialized(Path(__file__).with_name("gpu_passes.py"), **self._types)
        if batch is not self._batch:
            self._families, self._batch = self._cut(batch), batch
        numbers = np.array([step_numbers(self._options, *row[1:]) for row in scalars.tolist()], np.float64)
        # Without an average of the changes nothing is read there.
        columns = [*range(len(_ADDRESSES)), len(_ADDRESSES) if self._averaged else 0]
        for family in self._families:
            members = family.layout.members
            family.update(addresses[columns][:, members].T, groups[members], numbers, stream)
            family.step(self._passes, stream)

    def _cut(self, batch: Batch) -> "list[_Family]":
        found: list[_Family] = []
        elements, threads = _UNIT_CHUNKS * self.shape.chunk, self.shape.threads
        for matrices in (True, False):
            members = [k for k, s in enumerate(batch.shapes) if batch.sizes[k] and (len(s) > 1) == matrices]
            if not members:
                continue
            shapes = [batch.shapes[k] for k in members]
            if matrices:
                layout = matrix_layout(members, shapes, elements, threads)
                found.append(_Matrices(layout, self._types["COMPUTE"], self.shape))
            else:
                layout = vector_layout(members, shapes, elements)
                found.append(_Vectors(layout, self._types["COMPUTE"], self.shape))
        return found


class _Family:
    """Matrices or vectors: their tables in the GPU's memory, and their passes."""

    def __init__(self, layout: GpuLayout, compute: str, shape: Any) -> None:
        self.layout = layout
        self.shape = shape
        self._host = layout.shapes.copy()
        self._written = b""
        self._numbers: DeviceArray | None = None
        tables = (layout.units, layout.lines, layout.matrices)
        self.units, self.lines, self.matrices = (DeviceArray(table.shape, "int64") for table in tables)
        self._static = list(zip((self.units, self.lines, self.matrices), tables, strict=True))
        self.shapes = DeviceArray(layout.shapes.shape, "int64")
        self.partials = DeviceArray((layout.partials,), "float64")
        self.factors = DeviceArray((layout.factors,), compute)
        self.sums = DeviceArray((len(layout.units), 4), "float64")
        self.results = DeviceArray((len(layout.members), 4), "float64")

    @property
    def numbers(self) -> int:
        """Where the scalars of the groups are."""
        assert self._numbers is not None
        return self._numbers.address

    def update(self, addresses: Any, groups: Any, numbers: Any, stream: int) -> None:
        """Bring the tables in the GPU's memory up to date."""
        queue = stream_of(stream)
        for array, table in self._static:
            array.write(table, queue)
        self._static = []
        wanted = addresses.tobytes() + groups.tobytes()
        if wanted != self._written:
            self._host[:, gpu_layout.GROUP] = groups
            self._host[:, gpu_layout.W :] = addresses
            self.shapes.write(self._host, queue)
            self._written = wanted
        if self._numbers is None or self._numbers.shape != numbers.shape:
            self._numbers = DeviceArray(numbers.shape, "float64")
        self._numbers.write(numbers, queue)

    def run(self, kernel: Any, blocks: int, stream: int, *arguments: Any) -> None:
        """Launch a kernel for some items, of which each block takes one at a time."""
        given = [argument.address if isinstance(argument, DeviceArray) else argument for argument in arguments]
        launch_blocks(kernel, self.shape, blocks, stream, (*given, blocks))

    def step(self, passes: Any, stream: int) -> None:
        """Do all passes."""
        raise NotImplementedError


class _Matrices(_Family):
    """Tensors of two or more dimensions."""

    def step(self, passes: Any, stream: int) -> None:
        """Do all passes."""
        units, shapes, numbers, factors = self.units, self.shapes, self.numbers, self.factors
        count = len(self.layout.units)
        self.run(passes.square_units, count, stream, units, shapes, numbers, self.partials, self.sums)
        lines = len(self.layout.lines)
        self.run(passes.average_lines, lines, stream, self.lines, shapes, numbers, self.partials, factors)
        self.run(passes.average_matrices, len(self.layout.matrices), stream, self.matrices, shapes, factors)
        both = (units, shapes, numbers, factors, self.sums, self.results)
        self.run(passes.step_units, count, stream, *both, 0)
        members = len(self.layout.members)
        self.run(passes.set_results, members, stream, shapes, numbers, self.sums, self.results, 0)
        self.run(passes.step_units, count, stream, *both, 1)


class _Vectors(_Family):
    """Tensors of fewer than two dimensions."""

    def step(self, passes: Any, stream: int) -> None:
        """Do all passes."""
        count = len(self.layout.units)
        both = (self.units, self.shapes, self.numbers, self.sums, self.results)
        self.run(passes.vector_units, count, stream, *both, 0)
        members = len(self.layout.members)
        self.run(passes.set_results, members, stream, self.shapes, self.numbers, self.sums, self.results, 1)
        self.run(passes.vector_units, count, stream, *both, 1)

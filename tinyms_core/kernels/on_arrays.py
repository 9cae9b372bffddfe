"""A kernel of a function in numpy, for updates that are written out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from tinyms_core.kernels.arrays import array_at
from tinyms_core.kernels.batch import Batch, Floats, Integers
from tinyms_core.kernels.cpu import compute_type
from tinyms_core.kernels.rule import GRADIENT, PARAMETER
from tinyms_core.kernels.update import Function, KernelFactory, Plan

Array = np.ndarray[Any, Any]


# Operations of matrix products in one step of a parameter, of its shape and the hyperparameters.
Flops = Callable[[tuple[int, ...], Mapping[str, Any]], int]


def on_arrays(function: Function, flops: Flops | None = None) -> KernelFactory:
    """Make a kernel factory of an update in numpy, as `Update` takes for its ``host``.

    Arguments:
        function: one step of one parameter, with the arguments of the update's ``traced`` in the same order:
            arrays in the arithmetic's dtype and in their own shapes, lr, t and weight_decay as floats. It
            returns the new parameter and the new state, and writes nothing; what is None comes back as None.
        flops: ``flops(shape, hyperparameters)``, the operations of the matrix products in a step of a parameter,
            where they decide its time; ``tinyms-optim bench`` shows them.

    Returns:
        The factory. Its kernels go through the tensors one by one, with copies of each; whoever needs more speed
        writes a kernel.

    Example:
        >>> import numpy as np
        >>> from tinyms_core import Update, on_arrays
        >>> from tinyms_core.examples import unit_step
        >>> def on_host(w, g, lr):
        ...     return w - w.dtype.type(lr) * g / np.linalg.norm(g)
        >>> Update(unit_step, host=on_arrays(on_host))
        <update unit_step(w, g, lr)>
    """

    def factory(plan: Plan, parameter: str, gradient: str) -> ArrayKernel:
        return ArrayKernel(function, plan, parameter, gradient, flops)

    return factory


class ArrayKernel:
    """A kernel that calls a function in numpy for each tensor.

    Arguments:
        function: as `on_arrays` takes it.
        plan: the update's plan.
        parameter: storage type of the parameters.
        gradient: storage type of the gradients.
        flops: operations of matrix products, of a shape and the hyperparameters.
    """

    def __init__(
        self, function: Function, plan: Plan, parameter: str, gradient: str, flops: Flops | None = None
    ) -> None:
        self.scalars = plan.step_scalars
        self._function = function
        self._flops = flops
        self._plan = plan
        self._types = (parameter, gradient)
        self._compute: Any = np.dtype(compute_type(parameter)).type

    def __call__(self, batch: Batch, addresses: Integers, groups: Integers, scalars: Floats) -> None:
        """Update all tensors of a batch by one step, in place; arguments are those of every kernel."""
        for k, shape in enumerate(batch.shapes):
            row = [float(value) for value in scalars[groups[k]]]
            self._step(shape, int(batch.rows[k]), [int(address) for address in addresses[:, k]], row)

    def flops(self, batch: Batch) -> int:
        """Operations of matrix products in a call; 0 where the update has none that count."""
        if self._flops is None:
            return 0
        return sum(self._flops(shape, self._plan.hyperparameters) for shape in batch.shapes)

    def _step(self, shape: tuple[int, ...], row_length: int, addresses: list[int], scalars: list[float]) -> None:
        plan, update = self._plan, self._plan.update
        decay, scale, *values = scalars
        shapes = [shape, shape, *(slot.shape_for(shape, plan.hyperparameters) for slot in plan.kept)]
        kinds = [*self._types, *(slot.dtype_for(shape, self._types[0], plan.hyperparameters) for slot in plan.kept)]
        stored = {
            name: (array_at(address, prod(own_shape), kind).reshape(own_shape), kind)
            for name, address, own_shape, kind in zip(plan.tensors, addresses, shapes, kinds, strict=True)
        }
        named: dict[str, Any] = {name: plan.hyperparameters.get(name) for name in update.scalars}
        named.update(zip(self.scalars, values, strict=True))
        named.update((name, loaded(*held).astype(self._compute)) for name, held in stored.items())
        named[GRADIENT] = self._prepared(named[PARAMETER], named[GRADIENT], row_length, decay, scale)
        given = (PARAMETER, GRADIENT, *update.state, *update.scalars)
        results = self._function(*(named.get(name) for name in given))
        returned = results if isinstance(results, tuple) else (results,)
        for name, value in zip((PARAMETER, *update.state), returned, strict=True):
            if name in stored:
                target, kind = stored[name]
                target[...] = storable(value, kind)

    def _prepared(self, w: Array, g: Array, row_length: int, decay: float, scale: float) -> Array:
        compute = self._compute
        if decay:
            g = g + compute(decay) * w
        if row_length:
            rows = g.reshape(-1, row_length)
            g = (rows - rows.mean(axis=1, keepdims=True, dtype=np.float64).astype(compute)).reshape(g.shape)
        result: Array = g * compute(scale)
        return result


def loaded(stored: Array, kind: str) -> Array:
    """Values of a storage type; bfloat16, which numpy lacks, is the upper half of a float32."""
    if kind != "bfloat16":
        return stored
    # Of an array without dimensions numpy makes a number, whose type a plain 16 would widen.
    return np.asarray((stored.astype(np.uint32) << np.uint32(16)).view(np.float32))


def storable(value: Any, kind: str) -> Array:
    """Values as they are stored, rounded to the nearest, ties to even."""
    if kind != "bfloat16":
        return np.asarray(value)
    bits = np.asarray(value, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) >> 16
    return np.asarray(np.where(np.isnan(value), (bits >> 16) | 0x40, rounded), np.uint16)

"""The optimizer's side of a comparison: a workload as MindSpore Parameters, stepped in a mode."""

from __future__ import annotations

import contextlib
import gc
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mindspore
import numpy as np
from mindspore import Parameter, Tensor
from mindspore.graph.api import ms_compile_cache

from tinyms_core.conformance.cells import TableDecay, TableSchedule
from tinyms_core.conformance.rounding import Array
from tinyms_core.conformance.values import LOSS_SCALE
from tinyms_core.conformance.workload import Rate, Workload
from tinyms_core.optimizer.dtypes import DTYPES, dtype_name
from tinyms_core.optimizer.flat_step import FlatStep, flattened
from tinyms_core.registry.specs import OptimizerSpec


def make_tensor(values: Any, dtype: str) -> Tensor:
    """A tensor of values that the dtype can hold exactly."""
    if dtype == "bfloat16":
        # numpy lacks it.
        return Tensor(np.asarray(values, np.float32)).astype(DTYPES[dtype])
    return Tensor(np.asarray(values, dtype))


def values_of(tensor: Any) -> Array:
    """A tensor's values in float64, in memory of their own."""
    return np.array(tensor.asnumpy().astype(np.float64))


def make_rate(rate: Rate) -> Any:
    """A rate in the form that it is to be given in."""
    forms: dict[str, Callable[[], Any]] = {
        "float": lambda: float(rate.values[0]),
        "integer": lambda: int(rate.values[0]),
        "tensor": lambda: Tensor(np.asarray(rate.values if len(rate.values) > 1 else rate.values[0], np.float32)),
        "array": lambda: np.asarray(rate.values, np.float32),
        "list": lambda: list(rate.values),
        "iterable": lambda: iter(rate.values),
        "schedule": lambda: TableSchedule(rate.values),
        "none": lambda: None,
    }
    return forms[rate.form]()


def make_decay(decay: Sequence[float]) -> Any:
    """A decay: a number, or a Cell of the step where there is one for each."""
    return float(decay[0]) if len(decay) == 1 else TableDecay(decay)


def make_parameters(workload: Workload) -> dict[str, Parameter]:
    """The workload's Parameters, by name, in the order of the update."""
    initial = workload.initial()
    return {
        place.member.name: Parameter(
            make_tensor(initial[place.member.name], place.member.dtype), name=place.member.name
        )
        for place in workload.places
    }


def make_params(workload: Workload, parameters: Mapping[str, Parameter]) -> list[Any]:
    """The constructor's first argument."""
    if not workload.grouped:
        return list(parameters.values())
    groups: list[dict[str, Any]] = []
    for group in workload.groups:
        given: dict[str, Any] = {"params": [parameters[member.name] for member in group.members]}
        if group.rate is not None:
            given["lr"] = make_rate(group.rate)
        if group.decay is not None:
            given["weight_decay"] = make_decay(group.decay)
        if group.centralize:
            given["grad_centralization"] = True
        given.update(group.options)
        groups.append(given)
    if workload.order is not None:
        groups.insert(1, {"order_params": [parameters[name] for name in workload.order]})
    return groups


def make_arguments(spec: OptimizerSpec, workload: Workload) -> dict[str, Any]:
    """The constructor's other arguments, by name: those that the spec declares."""
    given = dict(workload.hyperparameters)
    for declared in spec.hyperparameters:
        if declared.kind == "rate":
            given[declared.name] = make_rate(workload.rate)
        elif declared.kind == "decay":
            given[declared.name] = make_decay(workload.decay)
        elif declared.name == LOSS_SCALE:
            given[declared.name] = workload.loss_scale
    return given


def make_step(optimizer: Any, mode: str) -> Callable[[Sequence[Any]], Any]:
    """A function that does one step with gradients, in a mode; graph mode must be set already."""
    if mode != "jit":
        return lambda gradients: optimizer(tuple(gradients))

    @mindspore.jit
    def step(*gradients):  # type: ignore[no-untyped-def]
        return optimizer(gradients)

    with_rows: dict[Any, Any] = {}

    def run(gradients: Sequence[Any]) -> Any:
        # MindSpore compiles anew for each new tensor in a tuple, so every tensor is an argument of its own.
        shapes, tensors = flattened(gradients)
        if all(shape is None for shape in shapes):
            return step(*gradients)
        if shapes not in with_rows:
            with_rows[shapes] = mindspore.jit(FlatStep(optimizer, shapes).construct)
        return with_rows[shapes](*tensors)

    return run


@dataclass(frozen=True)
class Snapshot:
    """What an optimizer holds after some steps.

    Attributes:
        parameters: their values, by name.
        state: the values of all that the optimizer keeps beside them, by the name in a checkpoint.
        dtypes: the dtype of each parameter and state, by name.
        global_step: the step counter.
        compilations: how many graphs were compiled by the steps until then.
    """

    parameters: Mapping[str, Array]
    state: Mapping[str, Array]
    dtypes: Mapping[str, str]
    global_step: int
    compilations: int


class Trial:
    """An optimizer under test, with a workload's parameters and gradients.

    Arguments:
        optimizer_class: the class.
        spec: its declaration.
        workload: what to step.
        mode: how.
        parameters: existing Parameters to use; made from the workload when None.
        arguments: constructor arguments that replace the workload's.

    Attributes:
        workload: what is stepped.
        spec: the declaration.
        mode: how it is stepped.
        optimizer: the optimizer.
        parameters: its Parameters, by name, in the order of the update.
        steps: how many steps were done.
        compilations: how many graphs they compiled.
    """

    def __init__(
        self,
        optimizer_class: Any,
        spec: OptimizerSpec,
        workload: Workload,
        mode: str,
        parameters: dict[str, Parameter] | None = None,
        **arguments: Any,
    ) -> None:
        self.workload = workload
        self.spec = spec
        self.mode = mode
        self.parameters = make_parameters(workload) if parameters is None else parameters
        given = {**make_arguments(spec, workload), **arguments}
        self.optimizer = optimizer_class(make_params(workload, self.parameters), **given)
        self.steps = 0
        self.compilations = 0
        self._step = make_step(self.optimizer, mode)

    def gradients(self, step: int | None = None) -> list[Tensor]:
        """The gradients of a 0-based step, the next one when None, as tensors."""
        values = self.workload.gradients(self.steps if step is None else step)
        return [make_tensor(values[place.member.name], place.member.gradient_dtype) for place in self.workload.places]

    def step(self, gradients: Sequence[Any] | None = None) -> Any:
        """Do one step, with the workload's next gradients unless others are given."""
        given = self.gradients() if gradients is None else gradients
        if self.mode != "pynative" and not self.compilations:
            free_optimizers()
        before = compilations(self.optimizer)
        result = self._step(given)
        self.compilations += compilations(self.optimizer) - before
        self.steps += 1
        return result

    def run(self, steps: int) -> Trial:
        """Do some steps."""
        for _ in range(steps):
            self.step()
        return self

    def kept(self) -> dict[str, Parameter]:
        """All Parameters of the optimizer but the user's, by name."""
        own = {id(parameter) for parameter in self.parameters.values()}
        return {p.name: p for p in self.optimizer.get_parameters() if id(p) not in own}

    def state_of(self, name: str) -> dict[str, Parameter]:
        """The declared state that was built for a parameter, by the slot's name."""
        kept = self.kept()
        names = {slot.name: slot.parameter_name(name) for slot in self.spec.state}
        return {slot: kept[full] for slot, full in names.items() if full in kept}

    def snapshot(self) -> Snapshot:
        """All values as they are now, copied."""
        kept = self.kept()
        everything = {**kept, **self.parameters}
        return Snapshot(
            parameters={name: values_of(parameter) for name, parameter in self.parameters.items()},
            state={name: values_of(parameter) for name, parameter in kept.items()},
            dtypes={name: dtype_name(p.dtype) or str(p.dtype).lower() for name, p in everything.items()},
            global_step=int(self.optimizer.global_step.asnumpy().reshape(-1)[0]),
            compilations=self.compilations,
        )


def free_optimizers() -> None:
    """Free what nobody holds any more, before a graph is compiled.

    Gradients that look alike have one key in MindSpore, which forgets it when one of the optimizers that had such
    gradients is freed. Were one freed after the first step of another, the second step would compile again.
    """
    gc.collect()


def compilations(optimizer: Any) -> int:
    """How many graphs MindSpore has compiled for functions in this process and for this optimizer."""
    # A direct call in graph mode compiles a Cell around the optimizer, which the base keeps.
    cells = (optimizer, *getattr(optimizer, "_flat_steps", {}).values())
    return len(ms_compile_cache) + sum(len(cell.compile_cache) for cell in cells)


@contextlib.contextmanager
def scratch_folder() -> Iterator[str]:
    """A temporary working folder: where a graph fails to compile, MindSpore writes files into the current one."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory(prefix="tinyms_conformance_") as folder:
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(before)

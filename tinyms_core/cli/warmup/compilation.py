"""Compiling what the steps of an optimizer use, by doing one on small tensors."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, Final

import mindspore
import numpy as np
from mindspore import Parameter, Tensor, ops
from mindspore.graph.api import _pynative_executor

from tinyms_core.cli.around import together
from tinyms_core.cli.bench.arguments import bench_arguments
from tinyms_core.conformance.networks import SmallNetwork, batch, network_arguments
from tinyms_core.kernels import runner, trampoline
from tinyms_core.kernels.generated import cache_directory
from tinyms_core.optimizer import tensor_reader
from tinyms_core.optimizer.modes import execution_mode
from tinyms_core.registry.errors import describe
from tinyms_core.registry.probe import resolve
from tinyms_core.registry.specs import OptimizerSpec

# A kernel may treat tensors by their number of dimensions, so there are all that occur.
_SHAPES: Final = ((), (5,), (4, 3), (2, 3, 2), (2, 3, 2, 2))
# Libraries that all optimizers share: the switch that leaves each out, and what compiles it or says why not.
LIBRARIES: Final[dict[str, tuple[str, Callable[[], str]]]] = {
    "C library of kernel threads": (runner.SWITCH, runner.unavailable),
    "C library of steps in graphs": (trampoline.SWITCH, trampoline.unavailable),
    "C++ library that reads addresses": (tensor_reader.SWITCH, partial(tensor_reader.unavailable, wait=True)),
}

# Name and size of each file of a folder, with the time of its last change.
Files = dict[Path, tuple[int, int]]


@dataclass(frozen=True)
class Warmed:
    """What came of compiling for one optimizer and one dtype.

    Attributes:
        what: the optimizer's name, or the library's.
        dtype: of the parameters; empty for a library.
        new_files: files that are new in the cache, or changed.
        new_bytes: bytes of these.
        seconds: how long it took.
        error: why it failed; empty where it did not.
    """

    what: str
    dtype: str
    new_files: int
    new_bytes: int
    seconds: float
    error: str = ""

    @property
    def outcome(self) -> str:
        """In a word: failed, compiled or there."""
        return "failed" if self.error else "compiled" if self.new_files else "there"

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict that ``json.dumps`` takes."""
        return {**asdict(self), "outcome": self.outcome}


def cached_files() -> Files:
    """Look through the cache."""
    found: Files = {}
    for path in cache_directory().rglob("*"):
        if path.is_file():
            status = path.stat()
            found[path] = status.st_size, status.st_mtime_ns
    return found


def switched_off(library: str) -> str:
    """Why nobody wants one of `LIBRARIES`; empty where it is wanted."""
    switch, _ = LIBRARIES[library]
    return f"{switch} is 0" if os.environ.get(switch) == "0" else ""


def warm_library(library: str) -> Warmed:
    """Compile one of `LIBRARIES`, where there is none yet."""
    before, began = cached_files(), time.perf_counter()
    _, missing = LIBRARIES[library]
    return _compared(library, "", before, began, missing())


def warm_optimizer(name: str, dtype: str, around: str, given: Mapping[str, Any], *, centralize: bool = False) -> Warmed:
    """Do one step of an optimizer, which compiles its kernels where the cache has none.

    Args:
        name: The optimizer's name.
        dtype: Of parameters and gradients.
        around: What it is built around, where it is built so.
        given: Hyperparameters that kernels may depend on; those that it has count.
        centralize: Whether to do one more step with centralized gradients, which have kernels of their own.

    Returns:
        What was compiled, or why it failed.
    """
    before, began, error = cached_files(), time.perf_counter(), ""
    try:
        spec = together(name, around)
        arguments = {**bench_arguments(spec), **{key: value for key, value in given.items() if key in spec.defaults}}
        with execution_mode("pynative"):
            if spec.capabilities.consumes_network:
                _train_network(spec, arguments, dtype)
            else:
                _step(spec, arguments, dtype)
                if centralize:
                    _step(spec, arguments, dtype, centralize=True)
            _pynative_executor.sync()
    except Exception as failure:
        # The others go on, whatever one plugin does; its failure is in the table and in the exit status.
        error = describe(failure)
    return _compared(name, dtype, before, began, error)


def _compared(what: str, dtype: str, before: Files, began: float, error: str) -> Warmed:
    seconds = time.perf_counter() - began
    new = [(size, path) for path, (size, changed) in cached_files().items() if before.get(path) != (size, changed)]
    return Warmed(what, dtype, len(new), sum(size for size, _ in new), seconds, error)


def _step(spec: OptimizerSpec, arguments: Mapping[str, Any], dtype: str, centralize: bool = False) -> None:
    kind = getattr(mindspore, dtype)
    values = [np.full(shape, 0.5, np.float32) for shape in _SHAPES]
    parameters = [Parameter(Tensor(value).astype(kind), name=f"p{prod(value.shape)}_{value.ndim}") for value in values]
    groups = [
        {"params": [one for one in parameters if one.ndim == 4], "grad_centralization": True},
        {"params": [one for one in parameters if one.ndim != 4]},
        {"order_params": parameters},
    ]
    optimizer = resolve(spec.implementation)(groups if centralize else parameters, **arguments)
    optimizer(tuple(Tensor(value).astype(kind) for value in values))


def _train_network(spec: OptimizerSpec, arguments: Mapping[str, Any], dtype: str) -> None:
    """A step of an optimizer that takes part in the passes of a network; its arguments are Tensors where it says so."""
    network = SmallNetwork().to_float(getattr(mindspore, dtype))
    optimizer = resolve(spec.implementation)(network, **{**arguments, **network_arguments(spec)})
    images, words, targets = batch()

    def forward() -> Any:
        return ops.square(ops.cast(network(images, words), mindspore.float32) - targets).mean()

    _, gradients = mindspore.value_and_grad(forward, None, network.trainable_params())()
    optimizer(gradients)

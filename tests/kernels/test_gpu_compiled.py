"""Every GPU kernel compiles for a GPU, which need not be there: numba's types and CUDA's own rules hold.

This needs CUDA's compiler: ``uv sync --group cuda-compiler``.
"""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

_COMPILER = ("nvidia-nvvm", "nvidia-cuda-nvrtc")

# Compiles the kernels of the optimizers that are named, and prints a line for each kernel.
_PROGRAM = """
import sys, types
from inspect import signature
from numba import cuda, types as numba_types
from numba.cuda import dispatcher

# Without a GPU numba does not know what to compile device functions for.
dispatcher.get_current_device = lambda: types.SimpleNamespace(compute_capability=(9, 0))

from tests.kernels import rules
from tinyms_core.conformance.kernel_runs import settings_of
from tinyms_core.kernels.array_algorithm import ArrayFactor, find_algorithm
from tinyms_core.kernels.gpu import GpuKernel
from tinyms_core.kernels.gpu_device import Shape
from tinyms_core.kernels.hand_over import hand_over
from tinyms_core.kernels.program import Program, analyse
from tinyms_core.kernels.specialized import specialized
from tinyms_core.registry.api import list_optimizers, optimizer_info
from tinyms_core.registry.probe import resolve
import tinyms_core.kernels, pathlib

TYPES = (("float32", "float32"), ("float16", "float16"), ("bfloat16", "float32"), ("float64", "float16"))

def compiled(what, run):
    # Every argument is an address or a number.
    kinds = [numba_types.int64] * len(signature(run.py_func).parameters)
    text, _ = cuda.compile_ptx(run.py_func, numba_types.void(*kinds), cc=(9, 0))
    assert ".entry" in text
    print(what, run.py_func.__name__, "st.global" in text, "ld.global.v" in text, flush=True)

def kernel(what, program, parameter, gradient, factor=None):
    for run in GpuKernel(program, parameter, gradient, factor).module.PASSES:
        compiled(f"{what} {parameter} {gradient}", run)

def passes(path, **constants):
    module = specialized(path, **constants)
    for name, found in vars(module).items():
        if hasattr(found, "py_func") and not name.startswith("_"):
            compiled(f"{path.name} {constants}", found)

names = sys.argv[1:] or list_optimizers()
for name in names:
    if name == "rules":
        for rule in (*rules.RULES, hand_over):
            program = analyse(rule, rules.HYPERPARAMETERS.get(rule.name, {}))
            for parameter, gradient in TYPES:
                kernel(rule.name, program, parameter, gradient)
        path = pathlib.Path(tinyms_core.kernels.__file__).with_name("gpu_rows.py")
        for values in ("float32", "bfloat16"):
            passes(path, VALUES=values, COMPUTE="float32")
        path = path.with_name("gpu_staging.py")
        for storage, staged, compute in (("float32", "float32", "float32"), ("bfloat16", "float32", "float32"),
                                         ("float16", "float16", "float32"), ("float64", "float64", "float64")):
            for added in (False, True):
                passes(path, STORAGE=storage, STAGED=staged, COMPUTE=compute, ADDED=added)
        continue
    spec = optimizer_info(name)
    if spec.capabilities.wraps_optimizer:
        factor = ArrayFactor(name)
        program = find_algorithm("momentum", "CPU", {"momentum": 0.9}).program
        kernel(name, program, "float32", "float16", factor.factor)
        continue
    if spec.capabilities.consumes_network or spec.capabilities.workspace:
        continue
    for setting in settings_of(spec):
        program = find_algorithm(name, "CPU", dict(setting)).program
        if isinstance(program, Program):
            for parameter, gradient in TYPES:
                kernel(name, program, parameter, gradient)
    if not isinstance(program, Program):
        import tinyms_adafactor
        path = pathlib.Path(tinyms_adafactor.__file__).with_name("gpu_passes.py")
        for flags in ({}, {"AVERAGED": True, "HALVED": True, "PARAMETER": "bfloat16"},
                      {"COMPUTE": "float64", "PARAMETER": "float64", "HALVED": True}):
            passes(path, **flags)
"""


def _compiler_is_there() -> bool:
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        for name in _COMPILER:
            distribution(name)
    except PackageNotFoundError:
        return False
    return True


@pytest.mark.skipif(not _compiler_is_there(), reason="CUDA's compiler is not installed: uv sync --group cuda-compiler")
@pytest.mark.parametrize("part", ["rules", ""], ids=["rules", "optimizers"])
def test_kernels_compile_for_a_gpu(part, tmp_path):
    root = Path(__file__).parents[2]
    environment = {**os.environ, "TINYMS_OPTIM_CACHE": str(tmp_path), "PYTHONPATH": str(root)}
    environment.pop("NUMBA_ENABLE_CUDASIM", None)
    found = subprocess.run(
        [sys.executable, "-c", inspect.cleandoc(_PROGRAM), *filter(None, [part])],
        capture_output=True, text=True, env=environment, cwd=root, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr[-3000:]
    lines = found.stdout.splitlines()
    assert len(lines) > 30
    # All write, and elementwise ones read several elements at a time.
    assert all(" True " in line for line in lines)
    assert any(line.endswith("True True") for line in lines)

"""All GPU kernels in numba's CUDA simulator, against the float64 oracles; in processes of their own.

Whether numba simulates is decided when its CUDA side is imported, so not here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tinyms_core.registry.api import list_optimizers, optimizer_info

ROOT = Path(__file__).parents[2]
CHECKS = (
    "numbers", "gradient_dtypes", "launch_shapes", "small_chunks", "offsets", "many_arrays", "launches",
    "prepared_steps", "rows", "offload", "offload_sizes", "offload_rows", "offload_order", "offload_memory",
)  # fmt: skip


def _checked() -> list[str]:
    """The optimizers that have a kernel for GPUs."""
    return [name for name in list_optimizers() if _has_kernel(name)]


def _has_kernel(name: str) -> bool:
    can = optimizer_info(name).capabilities
    return not can.consumes_network and not can.workspace


def _start(*command: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT,
    )  # fmt: skip


@pytest.fixture(scope="module")
def results():
    """What became of each check, by optimizer; one half of the optimizers at the same time as the other."""
    names = _checked()
    command = ("tinyms_core.conformance.kernels", "--device", "simulator", "--json")
    running = [_start(*command, *half) for half in (names[::2], names[1::2])]
    found = defaultdict(list)
    for process in running:
        output, errors = process.communicate()
        assert process.returncode in (0, 1), errors
        for line in output.splitlines():
            result = json.loads(line)
            found[result["optimizer"].partition(" ")[0]].append(result)
    return found


@pytest.mark.parametrize("name", _checked())
def test_kernels_follow_the_oracle(results, name):
    own = results[name]
    assert [result["check"] for result in own] == list(CHECKS)
    assert [(result["check"], result["reason"]) for result in own if result["status"] == "failed"] == []
    # A check of what an optimizer cannot do says why it is skipped.
    skipped = {"launches", "rows", "offload_sizes", "offload_rows", "offload_order", "offload_memory"}
    assert {result["check"] for result in own if result["status"] == "skipped"} <= skipped
    assert all(result["device"] == "GPU" for result in own)


@pytest.fixture(scope="module")
def defects():
    """For each planted defect the check that has to see it, what became of the check, and why."""
    output, errors = (process := _start("tests.kernels.gpu_defects")).communicate()
    assert process.returncode == 0, errors
    return [json.loads(line) for line in output.splitlines()]


def test_each_check_sees_the_defects_that_are_planted_for_it(defects):
    assert {check for _, check, _, _ in defects} == set(CHECKS)
    assert [(name, status) for name, _, status, _ in defects if status != "failed"] == []
    # What a check sees is numbers that differ, or launches; not that a kernel breaks down.
    assert [(name, reason) for name, _, _, reason in defects if "Error" in reason] == []


def test_kernels_follow_the_rules_themselves():
    output, errors = (process := _start("tests.kernels.gpu_rules")).communicate()
    assert process.returncode == 0, errors
    lines = [line.split() for line in output.splitlines()]
    # As many launches as passes over memory: one, two with norms, three where one norm depends on another.
    assert all(launches == stages for _, _, launches, stages in lines)
    assert {name: launches for name, _, launches, _ in lines} == {
        "descent": "1", "adaptive": "1", "layerwise": "2", "clipped": "3", "piecewise": "1", "thor": "2", "adamw": "1",
    }  # fmt: skip


def test_nothing_of_mindspore_is_imported():
    program = (
        "import sys; sys.modules['mindspore'] = None\n"
        "from tinyms_core.conformance.kernels import main\n"
        "assert main(['--device', 'simulator', 'momentum']) == 0\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert found.returncode == 0, found.stderr
    assert "14 of 14 checks passed" in found.stdout


def test_without_a_gpu_the_command_says_why():
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_ENABLE_CUDASIM"}
    code = (
        "import ctypes\n"
        "def missing(name): raise OSError(name)\n"
        "ctypes.CDLL = missing\n"
        "from tinyms_core.conformance.kernels import main\n"
        "raise SystemExit(main([]))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT, check=False
    )
    assert found.returncode == 2
    assert "no kernel can be checked on gpu: no CUDA driver is installed" in found.stderr


IN_THE_SIMULATOR = """
import numpy as np
import pytest
from tinyms_core.kernels import ArrayOptimizer
from tinyms_core.kernels.gpu_device import DeviceArray, filled, shaped
from tinyms_core.registry.api import kernels_for

assert all(status.available for status in kernels_for("adam", "GPU"))
for wrong in ({"threads": 3}, {"blocks": -1}, {"chunk": -4}):
    with pytest.raises(ValueError, match="'threads' must be a power of two and all numbers at least 1"):
        with shaped(**wrong):
            pass
with pytest.raises(ValueError, match="'dtype' must be one of float32"):
    DeviceArray((2,), "complex64")
array = DeviceArray((2, 2), "bfloat16")
array.write([[1.0, 2.0], [3.0, 1.00390625]])
assert array.copy_to_host().tolist() == [[1.0, 2.0], [3.0, 1.0]]
with pytest.raises(ValueError, match="got 3 value"):
    array.write([1.0, 2.0, 3.0])

weight, gradient = filled((3, 2), "float32", 1.0), filled((3, 2), "float32", 2.0)
optimizer = ArrayOptimizer("adam", [weight], learning_rate=0.5)
for wrong, message in (
    ([np.ones((3, 2), np.float32)], "is on GPU and gradients.0. on CPU"),
    ([filled((2, 3), "float32", 1.0)], "has the shape .2, 3."),
    ([(DeviceArray((1,), "int32"), filled((1, 3), "float32", 1.0), (3, 2))], "right are .n,. and"),
):
    with pytest.raises(ValueError, match=message):
        optimizer.step(wrong)
assert (weight.copy_to_host() == 1.0).all() and optimizer.steps == 0
assert all((array.copy_to_host() == 0.0).all() for arrays in optimizer.state.values() for array in arrays)
optimizer.step([gradient])
resumed = ArrayOptimizer("adam", [weight], learning_rate=0.5, state=optimizer.state, steps=1, stream=7)
resumed.step([gradient])
assert np.allclose(weight.copy_to_host(), 0.0, atol=1e-5), weight.copy_to_host()


class Elsewhere:
    shape, dtype, device = (3,), "torch.float32", "cuda:1"
    data_ptr = is_contiguous = lambda self: 4096


with pytest.raises(ValueError, match="its arrays are on GPU 1, and the current device of this thread is GPU 0; make"):
    ArrayOptimizer("adam", [Elsewhere()])
# A rule that is registered for the CPU alone gets a kernel for GPUs all the same.
from tests.kernels.rules import descent
from tinyms_core.registry import KernelSpec, OptimizerSpec, Hyperparameter, register

spec = OptimizerSpec("only_cpu", "nowhere:Class", hyperparameters=(Hyperparameter("learning_rate", kind="rate"),))
register(spec, kernels=[KernelSpec("only_cpu", "CPU", descent)])
weight = filled((3, 2), "float32", 1.0)
ArrayOptimizer("only_cpu", [weight], learning_rate=0.25).step([gradient])
assert (weight.copy_to_host() == 0.5).all()
with pytest.raises(Exception, match="'muon' has no kernel for device 'GPU'"):
    ArrayOptimizer("muon", [weight])
"""


def test_arrays_of_a_simulated_gpu():
    found = subprocess.run(
        [sys.executable, "-c", IN_THE_SIMULATOR],
        capture_output=True, text=True, env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}, cwd=ROOT, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr[-2000:]

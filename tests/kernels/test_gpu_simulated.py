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
    "numbers", "gradient_dtypes", "launch_shapes", "offsets", "many_arrays", "launches", "prepared_steps", "rows",
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
    assert {result["check"] for result in own if result["status"] == "skipped"} <= {"launches", "rows"}
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


def test_nothing_of_mindspore_is_imported():
    program = (
        "import sys; sys.modules['mindspore'] = None\n"
        "from tinyms_core.conformance.kernels import main\n"
        "assert main(['--device', 'simulator', 'momentum']) == 0\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert found.returncode == 0, found.stderr
    assert "8 of 8 checks passed" in found.stdout


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

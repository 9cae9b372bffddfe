"""The benchmark of GPU kernels runs, as far as numba's simulator can show."""

from __future__ import annotations

import json
import subprocess
import sys
from math import prod
from pathlib import Path

from tests.benchmarks import gpu


def test_the_lists_of_shapes_have_as_many_parameters_as_their_models():
    elements = {name: make().elements for name, make in gpu.shape_sets().items()}
    assert elements["resnet50"] == 25_557_032
    assert elements["bert-large"] == 335_141_888
    # Two tables of words, and in each layer four square matrices, three of the gated unit and two scales.
    layer = 4 * 2048**2 + 3 * 2048 * 5632 + 2 * 2048
    assert elements["decoder-1b"] == 2 * 32000 * 2048 + 22 * layer + 2048
    assert [prod(shape) for shape in gpu.shape_sets()["small"]().shapes] == [100] * 500


def test_it_runs_in_the_simulator():
    command = ("tests.benchmarks.gpu", "adam", "lars", "adafactor", "--device", "simulator", "--shapes", "tiny")
    found = subprocess.run(
        [sys.executable, "-m", *command, "--rounds", "1", "--json"],
        capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    rows = [json.loads(line) for line in found.stdout.splitlines()]
    assert [row["optimizer"] for row in rows] == ["adam", "lars around momentum", "adafactor"]
    assert all(row["elements"] == 101 and row["ms"] > 0 and row["of_copy"] > 0 for row in rows)

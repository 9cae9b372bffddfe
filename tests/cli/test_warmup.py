"""`warmup`: after it, a new process compiles nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinyms_core.kernels.generated import CACHE_VARIABLE
from tinyms_core.optimizer import tensor_reader

# Steps in a new process; it prints whether numba was imported, without which nothing is compiled.
_STEPS = """
import sys
import mindspore
import numpy as np
from mindspore import Parameter, Tensor
import tinyms_core

for mode in (mindspore.PYNATIVE_MODE, mindspore.GRAPH_MODE):
    mindspore.set_context(mode=mode)
    for name in sys.argv[1:]:
        values = [np.ones((30, 20), np.float32), np.ones(7, np.float32)]
        parameters = [Parameter(Tensor(value), name=f"{name}{mode}{i}") for i, value in enumerate(values)]
        optimizer = tinyms_core.get_optimizer(name)(parameters, learning_rate=0.1, weight_decay=0.1)
        optimizer(tuple(Tensor(value) for value in values))
        assert not np.array_equal(parameters[0].asnumpy(), values[0])
print("numba" in sys.modules)
"""
NAMES = ("adam", "lamb")
COMMAND = ("-c", "from tinyms_core.cli.main import main; main()", "warmup")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of the test's own, without the C++ library, which takes long to compile."""
    folder = tmp_path / "cache"
    monkeypatch.setenv(CACHE_VARIABLE, str(folder))
    monkeypatch.setenv("TINYMS_OPTIM_TENSOR_READER", "0")
    return folder


READER = "C++ library that reads addresses"


def _run(*command: str) -> str:
    environment = {**os.environ, "GLOG_v": "3"}
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _files(folder: Path) -> dict[Path, tuple[int, int]]:
    return {p: (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def test_a_new_process_compiles_nothing_after_it(cache):
    command = (*COMMAND, *NAMES, "--json", "-")
    first = json.loads(_run(*command))
    assert [(row["what"], row["outcome"]) for row in first["results"][2:]] == [(name, "compiled") for name in NAMES]
    assert all(row["new_files"] and row["new_bytes"] for row in first["results"][2:])
    assert (first["folder"], first["bytes"]) == (str(cache), sum(size for size, _ in _files(cache).values()))
    before = _files(cache)
    assert _run("-c", _STEPS, *NAMES).split() == ["False"]
    assert _files(cache) == before
    again = json.loads(_run(*command))
    assert {row["outcome"] for row in again["results"]} == {"there"}
    assert _files(cache) == before


def test_kernels_of_every_kind_are_found_without_numba(cache):
    # Generated from a rule, written by hand, around another optimizer, in the passes of a network.
    command = (*COMMAND, "sgd", "adafactor", "lars", "thor", "--json", "-")
    _run(*command)
    again = "import sys\nfrom tinyms_core.cli.main import cli\n"
    again += "cli(sys.argv[1:], standalone_mode=False)\nprint('numba' in sys.modules)"
    *report, imported = _run("-c", again, *command[2:]).splitlines()
    assert {row["outcome"] for row in json.loads("\n".join(report))["results"]} == {"there"}
    assert imported == "False"


def test_an_image_needs_neither_a_compiler_nor_to_be_written_to(cache, monkeypatch, tmp_path):
    _run(*COMMAND, *NAMES)
    before = _files(cache)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    # The user of a test may be one whom the system lets write everywhere.
    sealed = "from tinyms_core.kernels import generated\ngenerated._usable = lambda folder: False\n"
    checked = (
        "from tinyms_core.kernels import runner, trampoline\nassert not runner.unavailable() + trampoline.unavailable()"
    )
    assert _run("-c", sealed + _STEPS + checked, *NAMES).split() == ["False"]
    assert _files(cache) == before


def test_a_process_that_compiles_does_so_with_numba(cache):
    assert _run("-c", _STEPS, "adam").split() == ["True"]


def test_kernels_of_centralized_gradients_are_compiled_for_who_asks(run, cache, monkeypatch):
    # In new processes: this one may have compiled them for another test, and would write none.
    _run(*COMMAND, "sgd")
    assert list(cache.rglob("sgd_cpu_float32_float32_*"))
    assert not list(cache.rglob("*_centralized_*"))
    _run(*COMMAND, "sgd", "--centralize")
    assert list(cache.rglob("sgd_cpu_float32_float32_centralized_*"))
    refused = run("warmup", "sgd", "adafactor", "--centralize")
    assert refused.exit_code == 2
    assert "'adafactor' does not centralize" in refused.stderr
    monkeypatch.setattr("tinyms_core.cli.commands.warmup.list_optimizers", lambda: ("adafactor", "sgd"))
    report = json.loads(run("warmup", "--centralize", "--json", "-").stdout)
    assert [row["what"] for row in report["results"][2:]] == ["adafactor", "sgd"]
    assert "adafactor: does not centralize" in report["skipped"]


def test_one_that_fails_leaves_the_others_alone(run, cache, monkeypatch):
    from tinyms_core.cli.warmup import compilation

    step = compilation._step

    def failing(spec, arguments, dtype):
        if spec.name == "sgd":
            raise ValueError("no such luck")
        step(spec, arguments, dtype)

    monkeypatch.setattr(compilation, "_step", failing)
    result = run("warmup", "sgd", "momentum", "--json", "-")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    outcomes = {row["what"]: row["outcome"] for row in report["results"]}
    assert outcomes["sgd"] == "failed"
    assert outcomes["momentum"] in ("compiled", "there")
    assert "sgd float32: ValueError: no such luck" in result.stderr


def test_an_optimizer_of_a_network_and_one_around_another_are_compiled_as_well(run, cache):
    result = run("warmup", "thor", "lars", "--around", "adam", "--dtype", "float32,float16", "--json", "-")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert [(row["what"], row["dtype"]) for row in report["results"][2:]] == [
        ("thor", "float32"), ("lars", "float32"), ("lars", "float16"),
    ]  # fmt: skip
    assert report["skipped"] == ["thor: no parameters in float16", f"{READER}: TINYMS_OPTIM_TENSOR_READER is 0"]


def test_the_library_of_graphs_is_left_to_who_wants_it(run, cache, monkeypatch):
    monkeypatch.setenv("TINYMS_OPTIM_GRAPH_KERNELS", "0")
    result = run("warmup", "sgd", "--json", "-")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert [row["what"] for row in report["results"]] == ["C library of kernel threads", "sgd"]
    assert report["skipped"] == [
        "C library of steps in graphs: TINYMS_OPTIM_GRAPH_KERNELS is 0",
        f"{READER}: TINYMS_OPTIM_TENSOR_READER is 0",
    ]


@pytest.mark.skipif(bool(tensor_reader.obstacle()), reason=f"no C++ library: {tensor_reader.obstacle()}")
def test_the_library_that_reads_addresses_is_compiled(cache, monkeypatch):
    monkeypatch.delenv("TINYMS_OPTIM_TENSOR_READER")
    report = json.loads(_run(*COMMAND, "sgd", "--json", "-"))
    assert {row["what"]: row["outcome"] for row in report["results"]}[READER] == "compiled"
    assert len(list(cache.glob("tensor_reader_*.so"))) == 1


def test_words_that_nobody_knows_are_errors(run):
    assert "'int8' is none of float32" in " ".join(run("warmup", "adam", "--dtype", "int8").stderr.split())
    unknown = run("warmup", "adam", "--set", "nesterov=true")
    assert unknown.exit_code == 2
    assert "none of adam has a hyperparameter 'nesterov'" in unknown.stderr

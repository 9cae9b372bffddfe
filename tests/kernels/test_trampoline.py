"""The C library between a graph's operator and Python: compiling it, calling it, and doing without it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinyms_core.kernels import trampoline

compiled = pytest.mark.skipif(bool(trampoline.unavailable()), reason="needs a C compiler")

TELL = "from tinyms_core.kernels import trampoline; print(trampoline.unavailable() or trampoline.library())"


@pytest.fixture
def anew(monkeypatch, tmp_path):
    """A process that knows no library yet, with an empty cache."""
    monkeypatch.setenv("TINYMS_OPTIM_CACHE", str(tmp_path))
    trampoline.LIBRARY.forget()
    yield tmp_path
    trampoline.LIBRARY.forget()


def call(who: int, tensors: list[np.ndarray], dtypes: list[bytes]) -> int:
    """Call the library as MindSpore does: inputs, the number of whom to call, and an output."""
    number, output = np.array([who], np.int64), np.zeros(1, np.int32)
    everything = [*tensors, number, output]
    addresses = (ctypes.c_void_p * len(everything))(*(array.ctypes.data for array in everything))
    names = (ctypes.c_char_p * len(everything))(*dtypes, b"int64", b"int32")
    function = ctypes.CDLL(str(trampoline.library())).tinyms_step
    return function(len(everything), addresses, None, None, names, None, None)


@compiled
def test_a_step_is_given_addresses_and_kinds(anew):
    seen = []

    def step(addresses, kinds):
        seen.append((addresses.tolist(), [trampoline.KINDS[kind] for kind in kinds]))

    tensors = [np.zeros(3, np.float32), np.zeros(2, np.float64), np.zeros(1, np.float16), np.zeros(1, np.int32)]
    assert call(trampoline.register(step), tensors, [b"float32", b"float64", b"float16", b"int32"]) == 0
    assert seen == [([array.ctypes.data for array in tensors], ["float32", "float64", "float16", ""])]


@compiled
def test_an_error_is_told_and_becomes_a_status(anew, capsys):
    def step(addresses, kinds):
        raise ValueError("no such row")

    assert call(trampoline.register(step), [np.zeros(1, np.float32)], [b"float32"]) != 0
    assert "ValueError: no such row" in capsys.readouterr().err


@compiled
def test_a_step_that_is_gone_is_a_status(anew):
    def step(addresses, kinds):
        raise AssertionError("it is gone")

    number = trampoline.register(step)
    del step
    assert call(number, [np.zeros(1, np.float32)], [b"float32"]) != 0


def test_no_compiler_is_a_reason(anew, monkeypatch):
    monkeypatch.setenv("PATH", str(anew))
    monkeypatch.delenv("CC", raising=False)
    assert trampoline.unavailable() == "there is no C compiler: cc, gcc, clang not found"


@pytest.mark.parametrize(("script", "reason"), [("echo broken >&2; exit 1", "broken"), ("exit 0", "wrote nothing")])
def test_a_compiler_that_fails_is_a_reason_and_leaves_nothing(anew, monkeypatch, script, reason):
    compiler = anew / "bad_cc"
    compiler.write_text(f"#!/bin/sh\n{script}\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    assert reason in trampoline.unavailable()
    assert sorted(path.name for path in anew.iterdir()) == ["bad_cc"]


def test_an_unsuited_system_is_a_reason(anew, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "on Linux alone, this is darwin" in trampoline.unavailable()


@compiled
def test_it_is_compiled_once(anew):
    first = trampoline.library()
    written = first.stat().st_mtime_ns
    trampoline.LIBRARY.forget()
    assert trampoline.library() == first
    assert first.stat().st_mtime_ns == written


@compiled
def test_two_processes_may_compile_it_at_once(anew):
    environment = {**os.environ, "TINYMS_OPTIM_CACHE": str(anew)}
    command = [sys.executable, "-c", TELL]
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    found = {process.communicate()[0].strip() for process in running}
    (path,) = found
    assert Path(path).parent == anew
    assert [p.name for p in anew.iterdir()] == [Path(path).name]


@compiled
def test_where_it_is_used_there_need_be_no_compiler(anew, monkeypatch):
    first = trampoline.library()
    trampoline.LIBRARY.forget()
    monkeypatch.setenv("PATH", str(anew))
    monkeypatch.delenv("CC", raising=False)
    assert trampoline.unavailable() == ""
    assert trampoline.library() == first

"""Machine code on disk: found again without numba, made anew where it is damaged, and never of another processor."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading

import pytest

from tinyms_core.kernels import machine_code as machine
from tinyms_core.kernels.generated import CACHE_VARIABLE
from tinyms_core.kernels.machine_code import SUFFIX, machine_code

SOURCE = """
from numba import cfunc, njit

OPTIONS = dict(error_model="numpy", forceinline=True)


@njit(**OPTIONS)
def _twice(x):
    return x + x


@cfunc("int64(int64)", **OPTIONS)
def twice(x):
    return _twice(x)


@cfunc("float32(float32, float32)", **OPTIONS)
def power(x, y):
    return x**y
"""
# Asks for memory of numba's own, which a process without numba has not got.
ALLOCATING = """
import numpy as np
from numba import cfunc


@cfunc("float64(int64)")
def count(n):
    return np.ones(n).sum()
"""
# Uses the code in a new process, and says whether numba was imported.
_USING = """
import ctypes, sys
from pathlib import Path
from tinyms_core.kernels.machine_code import machine_code

twice, power = machine_code("numbers", Path(sys.argv[1]).read_text(), ("twice", "power"))
print(ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(twice.address)(21), "numba" in sys.modules)
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, for a process that has loaded nothing from it."""
    folder = tmp_path / "cache"
    monkeypatch.setenv(CACHE_VARIABLE, str(folder))
    monkeypatch.setattr(machine, "_loaded", {})
    return folder


@pytest.fixture
def again(cache, monkeypatch):
    """Ask for the functions as a process does that has loaded nothing."""

    def ask():
        monkeypatch.setattr(machine, "_loaded", {})
        return machine_code("numbers", SOURCE, ("twice", "power"))

    return ask


def _twice(code) -> int:
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(code.address)(21)


def _power(code) -> float:
    return ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_float, ctypes.c_float)(code.address)(3, 4)


def _kept(folder):
    return sorted(folder.glob(f"*{SUFFIX}"))


def test_functions_are_found_by_name_and_within_a_process_once(again):
    code = again()
    assert (_twice(code[0]), _power(code[1])) == (42, 81.0)
    assert machine_code("numbers", SOURCE, ("twice", "power")) is code


def test_what_is_kept_is_not_compiled_again(cache, again, monkeypatch):
    again()
    (path,) = _kept(cache)
    changed = path.stat().st_mtime_ns
    monkeypatch.setattr(machine, "load_generated", lambda *_: pytest.fail("it was compiled once more"))
    twice, power = again()
    assert (_twice(twice), _power(power)) == (42, 81.0)
    assert path.stat().st_mtime_ns == changed


def test_a_new_process_needs_numba_for_the_first_time_only(cache, tmp_path):
    text = tmp_path / "numbers.py"
    text.write_text(SOURCE)
    command = [sys.executable, "-c", _USING, str(text)]
    found = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(2)]
    assert found == [["42", "True"], ["42", "False"]]


@pytest.mark.parametrize("damage", ["shorter", "longer", "empty", "changed"])
def test_a_damaged_file_is_made_anew(cache, again, damage):
    again()
    (path,) = _kept(cache)
    whole = path.read_bytes()
    half = len(whole) // 2
    flipped = whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :]
    path.write_bytes({"shorter": whole[:half], "longer": whole + b"0", "empty": b"", "changed": flipped}[damage])
    twice, power = again()
    assert (_twice(twice), _power(power)) == (42, 81.0)
    assert path.read_bytes() == whole


def test_code_that_does_not_fit_the_system_is_made_anew(cache, again, monkeypatch):
    again()
    linked, refused = machine._linked, []

    def refuse_once(objects):
        if not refused:
            refused.append(objects)
            raise RuntimeError("Symbols not found: [ powf ]")
        return linked(objects)

    monkeypatch.setattr(machine, "_linked", refuse_once)
    twice, power = again()
    assert (_twice(twice), _power(power), len(refused)) == (42, 81.0, 1)
    assert len(_kept(cache)) == 1


def test_other_functions_of_the_same_text_are_other_code(cache, again):
    again()
    (power,) = machine_code("numbers", SOURCE, ("power",))
    assert _power(power) == 81.0
    assert len(_kept(cache)) == 2


def test_each_processor_and_each_choice_of_numba_has_code_of_its_own(cache, again, monkeypatch):
    import llvmlite.binding as llvm

    again()
    monkeypatch.setenv("NUMBA_ENABLE_AVX", "0")
    again()
    monkeypatch.setattr(llvm, "get_host_cpu_name", lambda: "another")
    again()
    assert len(_kept(cache)) == 3


def test_a_change_of_what_the_text_is_made_with_makes_it_anew(cache, again, monkeypatch):
    again()
    monkeypatch.setattr(machine, "version", lambda name: f"{name} of tomorrow")
    again()
    assert len(_kept(cache)) == 2


def test_code_that_needs_numba_works_and_is_not_kept(cache):
    with pytest.warns(RuntimeWarning, match=r"counting_.* is not kept on disk, .*NRT_"):
        (code,) = machine_code("counting", ALLOCATING, ("count",))
    assert ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int64)(code.address)(5) == 5.0
    assert not _kept(cache)


def test_processes_that_compile_at_once_all_get_code(cache, tmp_path):
    text = tmp_path / "numbers.py"
    text.write_text(SOURCE)
    command = [sys.executable, "-c", _USING, str(text)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[0].split()[0] for process in started] == ["42"] * 3
    assert len(_kept(cache)) == 1
    assert not list(cache.glob("*.tmp"))


def test_threads_that_ask_at_once_get_the_same_code(cache):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(machine_code("numbers", SOURCE, ("twice", "power"))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [code is found[0] for code in found] == [True] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_code_is_there_after_a_fork(again):
    twice, _ = again()
    child = os.fork()
    if child == 0:
        os._exit(0 if _twice(twice) == 42 else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0

"""A module with other constants: imported once for each choice, and anew when what it reads has changed."""

import ctypes

import pytest

from tinyms_core import RuleError
from tinyms_core.kernels.specialized import specialized, specialized_code

TEXT = 'KIND = "float32"\nHALVED = False\n\n\ndef described():\n    return KIND, HALVED\n'


def test_constants_are_replaced(tmp_path):
    path = tmp_path / "described.py"
    path.write_text(TEXT)
    assert specialized(path, KIND="float64", HALVED=True).described() == ("float64", True)
    assert specialized(path).described() == ("float32", False)
    assert specialized(path, HALVED=True) is specialized(path, HALVED=True)


def test_a_change_beside_the_module_makes_it_anew(tmp_path):
    path = tmp_path / "described.py"
    path.write_text(TEXT)
    before = specialized(path)
    (tmp_path / "layout.py").write_text("N = 1\n")
    assert specialized(path) is not before


@pytest.mark.parametrize("name", ["KINDS", "kind"])
def test_a_constant_that_is_not_there_is_refused(tmp_path, name):
    path = tmp_path / "described.py"
    path.write_text(TEXT)
    with pytest.raises(RuleError, match=rf"described\.py: the constant '{name}' is assigned 0 times"):
        specialized(path, **{name: "float64"})


COMPILED = """
import math
from numba import cfunc

HALVED = False


@cfunc("float64(float64)", error_model="numpy", forceinline=True)
def changed(x):
    return x / 2 if HALVED else math.sqrt(x)
"""


def test_code_is_of_the_constants_and_of_what_is_beside_it(tmp_path):
    path = tmp_path / "changed.py"
    path.write_text(COMPILED)

    def value(**constants):
        (code,) = specialized_code(path, ("changed",), **constants)
        return ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(code.address)(16.0)

    assert (value(), value(HALVED=True)) == (4.0, 8.0)
    before = specialized_code(path, ("changed",))
    assert specialized_code(path, ("changed",)) is before
    (tmp_path / "layout.py").write_text("N = 1\n")
    assert specialized_code(path, ("changed",)) is not before
    with pytest.raises(RuleError, match=r"changed\.py: the constant 'halved' is assigned 0 times"):
        specialized_code(path, ("changed",), halved=True)

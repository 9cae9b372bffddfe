"""`tinyms_core.optimizers` holds the class names of the TinyMS reference."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import tinyms_core
from tinyms_core import optimizers
from tinyms_core.registry.known import KNOWN_OPTIMIZERS
from tinyms_core.registry.names import fold

INSTALLED = [name for name in optimizers.NAMES if name in dir(optimizers)]


def test_the_names_are_those_of_the_reference():
    assert len(optimizers.NAMES) == len(set(optimizers.NAMES)) == 14
    assert len(INSTALLED) >= 10


@pytest.mark.parametrize("name", INSTALLED)
def test_a_name_is_that_of_the_registry(name):
    found = getattr(optimizers, name)
    assert found.__name__ == name
    for spelling in (name, name.lower(), tinyms_core.optimizer_info(name).name):
        assert tinyms_core.get_optimizer(spelling) is found


def test_the_base_class_is_there():
    assert optimizers.Optimizer is tinyms_core.Optimizer


def test_a_star_imports_what_is_installed():
    namespace: dict[str, object] = {}
    exec("from tinyms_core.optimizers import *", namespace)
    assert set(INSTALLED) | {"Optimizer"} <= set(namespace)


def test_an_absent_optimizer_says_how_to_install_it():
    code = "from tinyms_core.optimizers import Adam"
    environment = {**os.environ, "TINYMS_OPTIM_BLOCK": "tinyms-adam"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "UnknownOptimizerError" in done.stderr
    assert "tinyms-adam" in done.stderr


def test_another_name_is_no_attribute():
    assert not hasattr(optimizers, "Adamm")
    with pytest.raises(ImportError):
        exec("from tinyms_core.optimizers import Adamm")


def test_importing_it_imports_nothing_heavy():
    code = (
        "import sys, tinyms_core.optimizers as o; dir(o); "
        "print([m for m in ('mindspore', 'numba', 'tinyms_adam.optimizer') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_adamw_is_not_adam_weight_decay():
    assert tinyms_core.get_optimizer("adamw") is not tinyms_core.get_optimizer("adam_weight_decay")


@pytest.mark.parametrize("known", KNOWN_OPTIMIZERS, ids=lambda known: known.name)
def test_what_the_reference_has_not_is_asked_for_by_name(known):
    found = tinyms_core.get_optimizer(known.name)
    of_reference = fold(known.name) in {fold(name) for name in optimizers.NAMES}
    assert hasattr(optimizers, found.__name__) is of_reference

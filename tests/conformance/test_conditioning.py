"""What the kit allows where rounding alone moves the numbers: nothing more than usual for all but two optimizers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyms_core
from tests.conformance.defects import TWINS
from tinyms_core.conformance.catalog import CheckFailure
from tinyms_core.conformance.compare import LIMIT, TOLERANCES, require_close
from tinyms_core.conformance.conditioning import Conditioning
from tinyms_core.conformance.runner import subject_of
from tinyms_core.registry import optimizer_info

# Where the allowance is more than the tolerance, and how many times. Centered, a root of the difference of two
# moving averages is divided by; "" is the parameter itself. Adan's average is of differences between gradients, in
# which much of two numbers that are nearly equal cancels; its parameters do not show it.
ABOVE_THE_TOLERANCE = {("rmsprop", "buffer"): 5.0, ("rmsprop", ""): 2.0, ("adan", "d"): 4.0}

# Where it is a little more by chance: of 63 elements in 8 draws, one is moved the same way in nearly all of 20 steps.
BY_CHANCE = {("sound_relative", ""): 1.1}

# The kit compares those that are built from parameters; one that is built from a network has no oracle.
INSTALLED = [optimizer_info(name) for name in tinyms_core.list_optimizers()]
SPECS = [s for s in (*INSTALLED, *(twin.spec for twin in TWINS)) if not s.capabilities.consumes_network]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_the_allowance_is_below_the_tolerance(spec: Any, dtype: str) -> None:
    known = {**ABOVE_THE_TOLERANCE, **BY_CHANCE}
    subject = subject_of(spec, "pynative", dtype)
    for setting in range(len(subject.settings)):
        workload = subject.workload(setting)
        conditioning, oracle = Conditioning(subject, workload), subject.oracle(workload)
        for step in range(1, workload.steps + 1):
            oracle.step()
            for name, slots in oracle.state.items():
                for slot in ("", *slots):
                    right = np.asarray(slots[slot] if slot else oracle.parameters[name], np.float64)
                    size = np.maximum(np.abs(right), np.sqrt(np.mean(np.square(right))))
                    most = known.get((spec.name, slot), 1.0) * TOLERANCES[dtype]
                    assert (conditioning.allowance(step, name, slot) <= most * size).all(), (step, name, slot)


def test_a_well_conditioned_twin_is_not_excused() -> None:
    assert not {twin.spec.name for twin in TWINS} & {name for name, _ in ABOVE_THE_TOLERANCE}


def test_what_rounding_explains_is_allowed() -> None:
    right = np.ones(5)
    distance = np.full(5, 8e-6)
    require_close(right + 7e-6, right, "float32", "w", allowance=lambda: distance)
    with pytest.raises(CheckFailure, match="1 of 5 elements differ"):
        require_close(right + np.array([0, 0, 0, 9e-6, 0]), right, "float32", "w", allowance=lambda: distance)
    with pytest.raises(CheckFailure, match="5 of 5"):
        require_close(right + 7e-6, right, "float32", "w")


@pytest.mark.parametrize("distance", [1.1 * LIMIT * TOLERANCES["float32"], np.inf, np.nan])
def test_an_allowance_beyond_the_limit_is_none(distance: float) -> None:
    with pytest.raises(CheckFailure, match="2 of 2"):
        require_close(np.full(2, 1.00001), np.ones(2), "float32", "w", allowance=lambda: np.full(2, distance))


def test_the_oracle_is_not_stepped_where_the_tolerance_is_kept() -> None:
    def never() -> Any:
        raise AssertionError("asked for")

    require_close(np.full(2, 1.000001), np.ones(2), "float32", "w", allowance=never)

"""State in the host's memory: which rules allow it, how arrays are divided, and arrays of the CPU."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tests.kernels import rules
from tinyms_core import math, rule
from tinyms_core.kernels import ArrayFactor, ArrayOptimizer
from tinyms_core.kernels.array_algorithm import find_algorithm
from tinyms_core.kernels.batch import make_batch
from tinyms_core.kernels.displacement import not_elementwise, only_displaces
from tinyms_core.kernels.program import analyse


@rule(state=("m",))
def in_two_steps(w, g, m, lr):
    """Only displaces, in more than one assignment."""
    m = m + g
    w = w - lr * m
    w = lr * g + w
    return w, m


@rule()
def shrinking(w, g, lr):
    """Depends on where the parameter is."""
    return w - lr * (g + w)


@rule()
def clipped(w, g, lr):
    """Not of a form that is known."""
    return math.maximum(w - lr * g, 0.0)


@rule(state=("seen",))
def looking(w, g, seen, lr):
    """Displaces the parameter, and its state is of the parameter."""
    return w - lr * g, w


@rule()
def turned(w, g, lr):
    """Takes the parameter from something."""
    return lr * g - w


@pytest.mark.parametrize(
    ("chosen", "right"),
    [(rules.descent, True), (in_two_steps, True), (shrinking, False), (clipped, False), (looking, False),
     (turned, False)],
)  # fmt: skip
def test_rules_that_only_displace_are_known(chosen, right):
    assert only_displaces(analyse(chosen, {})) is right


@pytest.mark.parametrize(
    ("name", "given", "right"),
    [("adam", {}, True), ("adam_offload", {"use_nesterov": True}, True), ("sgd", {"momentum": 0.9}, True),
     ("adamw", {}, False), ("ftrl", {}, False), ("lamb", {}, False)],
)  # fmt: skip
def test_optimizers_that_only_displace(name, given, right):
    assert only_displaces(find_algorithm(name, "CPU", given).program) is right


def test_steps_of_whole_arrays_are_told_apart():
    assert not_elementwise(find_algorithm("adam", "CPU", {}).program) == ""
    assert "needs the norm of whole arrays" in not_elementwise(find_algorithm("lamb", "CPU", {}).program)
    assert "adafactor is of whole arrays" in not_elementwise(find_algorithm("adafactor", "CPU", {}).program)


@pytest.mark.parametrize("most", [1, 7, 10, 24, 25, 1000])
def test_runs_have_every_element_once(most):
    from tinyms_core.kernels.gpu_offload import divided

    batch = make_batch([0, 25, 3, 1, 0, 40], [0, 0, 0, 0, 0, 20], chunk=10)
    runs = divided(batch, most)
    seen = []
    for run in runs:
        # A chunk is not divided, nor a row whose mean is taken.
        assert run.elements <= max(most, 20)
        assert list(run.batch.sizes) == list(np.diff(np.append(run.starts, run.elements)))
        for tensor, offset, size, row in zip(run.members, run.offsets, run.batch.sizes, run.batch.rows, strict=True):
            assert row == (20 if tensor == 5 else 0)
            assert tensor != 5 or offset % 20 == size % 20 == 0
            seen += [(tensor, i) for i in range(offset, offset + size)]
    assert seen == [(tensor, i) for tensor, size in enumerate([0, 25, 3, 1, 0, 40]) for i in range(size)]
    assert runs[0].first == 0
    assert runs[-1].last == batch.chunks
    assert all(one.last == other.first for one, other in pairwise(runs))


def test_with_arrays_of_the_cpu_offload_changes_nothing():
    rng = np.random.default_rng(0)
    given = [rng.standard_normal(shape).astype(np.float32) for shape in ((5, 7), (3,), (), (0, 2))]
    gradients = [rng.standard_normal(array.shape).astype(np.float32) for array in given]
    sides = []
    for offload in (False, True):
        weights = [array.copy() for array in given]
        optimizer = ArrayOptimizer("adam", weights, learning_rate=0.1, weight_decay=0.1, offload=offload)
        for _ in range(3):
            optimizer.step(gradients)
        assert optimizer.offload is offload
        sides.append([*weights, *optimizer.state["m"], *optimizer.state["v"]])
        assert type(optimizer._backend).__name__ == "CpuBackend"
    for one, other in zip(*sides, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_an_optimizer_declares_counts_unless_told():
    weight = np.ones(3, np.float32)
    assert ArrayOptimizer("adam_offload", [weight]).offload
    assert not ArrayOptimizer("adam_offload", [weight], offload=False).offload
    assert not ArrayOptimizer("adam", [weight]).offload


@pytest.mark.parametrize(
    ("name", "given", "error", "message"),
    [
        (
            "lamb",
            {"offload": True},
            ValueError,
            "lamb: 'offload' must be False: a step of lamb needs the norm of whole",
        ),
        ("adafactor", {"offload": True}, ValueError, "adafactor: 'offload' must be False: a step of adafactor is of"),
        ("momentum", {"offload": True, "factor": ArrayFactor("lars"), "momentum": 0.9}, ValueError, "with a 'factor'"),
        ("adam", {"offload": 1}, TypeError, "'offload' must be True or False, got 1 of type int"),
    ],
)
def test_what_cannot_be_offloaded_is_refused(name, given, error, message):
    rate = {} if name == "adafactor" else {"learning_rate": 0.1}
    with pytest.raises(error, match=message):
        ArrayOptimizer(name, [np.ones(3, np.float32)], **rate, **given)

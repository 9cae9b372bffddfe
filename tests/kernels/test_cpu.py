"""The derived CPU kernel against the rule itself in float64 numpy."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels import rules
from tinyms_core.kernels.batch import CHUNK, make_batch
from tinyms_core.kernels.cpu import CpuKernel, compute_type
from tinyms_core.kernels.cpu_source import cpu_source
from tinyms_core.kernels.host import host_function
from tinyms_core.kernels.program import analyse
from tinyms_core.kernels.threads import thread_limit

SIZES = [0, 1, 3, 7, 64, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5]
# Sums over a tensor are added up in the order of its chunks; these have none.
ONE_PASS = [rule for rule in rules.RULES if analyse(rule, rules.HYPERPARAMETERS[rule.name]).stages == 1]
STEP_SCALARS = {"lr": 0.05, "weight_decay": 0.02}
DECAY, SCALE = 0.3, 0.25


class Run:
    """Arrays that a kernel updates, and the same step in float64 numpy."""

    def __init__(
        self, rule, dtype, gradient_dtype=None, sizes=SIZES, rows=None, seed=0, make=CpuKernel, chunk=CHUNK, values=None
    ):
        self.rule = rule
        self.hyperparameters = rules.HYPERPARAMETERS[rule.name] if values is None else values
        self.program = analyse(rule, self.hyperparameters)
        self.kernel = make(self.program, dtype, gradient_dtype or dtype)
        self.batch = make_batch(sizes, rows, chunk)
        self.rows = rows or [0] * len(sizes)
        self.random = np.random.default_rng(seed)
        self.gradient_dtype = gradient_dtype or dtype
        self.parameters = [self.random.normal(size=size).astype(dtype) for size in sizes]
        kind = compute_type(dtype)
        self.states = {name: [np.zeros(size, kind) for size in sizes] for name in self.program.state}
        self.expected = [w.astype(np.float64) for w in self.parameters]
        self.expected_states = {name: [np.zeros(size) for size in sizes] for name in rule.state}
        self.step = 0

    def advance(self):
        self.step += 1
        gradients = [self.random.normal(size=len(w)).astype(self.gradient_dtype) for w in self.parameters]
        scalars = {**self.hyperparameters, **STEP_SCALARS, "t": self.step}
        host = host_function(self.program)
        values = host(**{name: scalars[name] for name in self.program.scalars})
        tensors = [self.parameters, gradients, *self.states.values()]
        addresses = np.array([[array.ctypes.data for array in row] for row in tensors], dtype=np.int64)
        table = np.array([[DECAY, SCALE, *values[: len(self.program.slots)]]])
        self.kernel(self.batch, addresses, np.zeros(len(self.parameters), np.int64), table)
        self._expect(gradients, scalars)

    def _expect(self, gradients, scalars):
        for index, gradient in enumerate(gradients):
            if not len(gradient):
                continue
            w = self.expected[index]
            g = gradient.astype(np.float64) + DECAY * w
            if self.rows[index]:
                table = g.reshape(-1, self.rows[index])
                g = (table - table.mean(1, keepdims=True)).ravel()
            old = [self.expected_states[name][index] for name in self.rule.state]
            results = self.rule(w, g * SCALE, *old, **{name: scalars[name] for name in self.rule.scalars})
            results = results if isinstance(results, tuple) else (results,)
            self.expected[index] = results[0]
            for name, value in zip(self.rule.state, results[1:], strict=True):
                self.expected_states[name][index] = value

    def check(self, tolerance):
        for found, expected in self.pairs():
            scale = np.sqrt(np.mean(np.square(expected))) if expected.size else 0.0
            np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * scale)

    def pairs(self):
        yield from zip(self.parameters, self.expected, strict=True)
        for name in self.program.state:
            yield from zip(self.states[name], self.expected_states[name], strict=True)


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("float64", 1e-13)])
def test_kernel_equals_the_rule_in_float64(rule, dtype, tolerance):
    run = Run(rule, dtype)
    for _ in range(5):
        run.advance()
    run.check(tolerance)


@pytest.mark.parametrize(
    ("parameter", "gradient"), [("float32", "float16"), ("float16", "float32"), ("float64", "float32")]
)
def test_storage_types_are_converted_at_loads_and_stores(parameter, gradient):
    run = Run(rules.layerwise, parameter, gradient)
    run.advance()
    run.check(2e-3 if parameter == "float16" else 2e-6)


def test_bfloat16_is_rounded_to_nearest_even():
    values = np.array([1.0, 1.00390625, 1.01171875, -3.3e38, 1e-40, np.inf, np.nan], dtype=np.float32)
    bits = (values.view(np.uint32) >> 16).astype(np.uint16)
    gradient = np.array([2**-9, 2**-9, 2**-9, -3e38, 0, 0, 0], dtype=np.float32)
    program = analyse(rules.descent, {})
    addresses = np.array([[bits.ctypes.data], [gradient.ctypes.data]])
    batch = make_batch([len(bits)])
    CpuKernel(program, "bfloat16", "float32")(batch, addresses, np.zeros(1, np.int64), np.array([[0.0, 1.0, -1.0]]))
    result = (bits.astype(np.uint32) << 16).view(np.float32)
    # 1 + 2^-9 lies below, 1.0078125 + 2^-9 - … on and above the middle between two neighbours.
    assert result[0] == 1.0
    assert result[3] == -np.inf
    assert np.isnan(result[6])
    assert result[5] == np.inf


@pytest.mark.parametrize("row", [1, 4, 9, 4608, CHUNK + 24])
def test_row_means_are_subtracted_in_the_same_pass(row):
    # Not an adaptive rule, which would magnify the rounding of a gradient that is close to its row's mean.
    run = Run(rules.layerwise, "float32", sizes=[row * 6, 100, row], rows=[row, 0, row])
    for _ in range(3):
        run.advance()
    run.check(2e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("row", [3, 32, 577, 4096])
def test_row_means_are_those_of_their_rows_in_chunks_of_many(row, dtype):
    # The first row's sum is taken by itself, the others' while the row before is updated, if the same thread does it.
    rows = CHUNK // row * 20 + 3
    run = Run(rules.layerwise, dtype, sizes=[row * rows, row], rows=[row, row])
    assert run.batch.chunks == 22
    for _ in range(3):
        run.advance()
    run.check({"float32": 2e-6, "float64": 1e-13}[dtype])


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
@pytest.mark.parametrize("rule", ONE_PASS, ids=lambda rule: rule.name)
@pytest.mark.parametrize("row", [9, 32, 577, 4096])
def test_a_row_has_the_same_bits_wherever_a_chunk_begins(row, rule, dtype):
    found = []
    for chunk in (CHUNK, row, 3 * row):
        run = Run(rule, dtype, sizes=[row * 50], rows=[row], chunk=chunk)
        for _ in range(3):
            run.advance()
        found.append([array.copy() for array, _ in run.pairs()])
    for other in found[1:]:
        for first, second in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(first, second)


def test_batches_of_a_step_have_one_kernel_whether_their_own_gradients_are_centralized_or_not():
    kernel = CpuKernel(analyse(rules.descent, {}), "float32", "float32")
    beside, own, plain = make_batch([4], centralized=True), make_batch([4], [2]), make_batch([4])
    assert kernel.passes(beside) is kernel.passes(own)
    assert kernel.passes(plain) is not kernel.passes(own)
    sources = [cpu_source(kernel.program, kernel.storage, "float32", centralized=flag) for flag in (False, True)]
    assert ["_row_sum" in source for source in sources] == [False, True]


def test_the_sum_of_a_row_leaves_no_range_that_its_elements_keep():
    program = analyse(rules.descent, {})
    weights = np.zeros((3, 64), np.float32)
    gradients = np.full((3, 64), 3e38, np.float32)
    gradients[:, ::2] = 2e38
    addresses = np.array([[weights.ctypes.data], [gradients.ctypes.data]])
    batch = make_batch([weights.size], [64])
    CpuKernel(program, "float32", "float32")(batch, addresses, np.zeros(1, np.int64), np.array([[0.0, 1.0, 1.0]]))
    np.testing.assert_allclose(weights, 2.5e38 - gradients.astype(np.float64), rtol=1e-6)


@pytest.mark.parametrize("rows", [None, [100, 0, 7143]], ids=["plain", "centralized"])
@pytest.mark.parametrize("rule", [rules.adaptive, rules.layerwise], ids=lambda rule: rule.name)
def test_result_does_not_depend_on_threads(rule, rows):
    results = []
    for threads in (1, 2, 3, 7):
        run = Run(rule, "float32", sizes=[200_000, 17, 50_001], rows=rows)
        with thread_limit(threads):
            for _ in range(3):
                run.advance()
        results.append([found.copy() for found, _ in run.pairs()])
    for other in results[1:]:
        for first, second in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(first, second)


def test_a_call_for_no_elements_does_nothing():
    run = Run(rules.layerwise, "float32", sizes=[0, 0])
    run.advance()
    run.check(0.0)


def test_groups_pick_their_row_of_scalars():
    program = analyse(rules.descent, {})
    arrays = [np.ones(5, np.float32) for _ in range(3)]
    gradients = [np.ones(5, np.float32) for _ in range(3)]
    addresses = np.array([[a.ctypes.data for a in arrays], [a.ctypes.data for a in gradients]])
    table = np.array([[0.0, 1.0, 0.5], [0.0, 1.0, 0.25]])
    CpuKernel(program, "float32", "float32")(make_batch([5, 5, 5]), addresses, np.array([0, 1, 0]), table)
    assert [a[0] for a in arrays] == [0.5, 0.75, 0.5]

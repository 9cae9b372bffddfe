"""Updates written out: the base does for them all that it does for a rule, in every mode and dtype."""

from __future__ import annotations

import copy
import dataclasses

import mindspore
import numpy as np
import pytest
from mindspore import Parameter, Tensor, ops

from tinyms_core import (
    Capabilities,
    Hyperparameter,
    InvalidSpecError,
    KernelSpec,
    Optimizer,
    OptimizerSpec,
    RuleError,
    StateSlot,
    Update,
    on_arrays,
    register,
    rule,
    unregister,
)
from tinyms_core.examples import parameter, tensor
from tinyms_core.kernels.arrays import array_at
from tinyms_core.optimizer.dtypes import DTYPES

DTYPES_AND_TOLERANCES = [("float32", 1e-6), ("float16", 2e-3), ("bfloat16", 2e-2), ("float64", 1e-14)]


@pytest.fixture(params=["pynative", "jit", "graph"])
def mode(request):
    graph = request.param == "graph"
    mindspore.set_context(mode=mindspore.GRAPH_MODE if graph else mindspore.PYNATIVE_MODE)
    yield request.param
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)


def step_of(optimizer, mode):
    if mode != "jit":
        return lambda *gradients: optimizer(gradients)

    @mindspore.jit
    def step(*gradients):
        return optimizer(gradients)

    return step


def scaled_rows(w, g, rows, whole, last, lr, t, weight_decay, momentum, bounds, signed):
    """Each row is divided by the mean of its gradients' sizes, a vector by all of it."""
    if signed:
        g = ops.sign(g)
    if w.ndim > 1:
        rows = rows + ops.abs(g).mean(-1)
        size = ops.cast(rows / t, w.dtype).expand_dims(-1)
    else:
        whole = whole + ops.abs(g)
        size = ops.cast(whole / t, w.dtype)
    step = ops.cast(lr, w.dtype) * g / (size + ops.cast(bounds[0], w.dtype)) * ops.cast(bounds[1], w.dtype)
    if momentum is not None:
        last = ops.cast(momentum, w.dtype) * last + step
        step = last
    return w - step - ops.cast(lr * weight_decay, w.dtype) * w, rows, whole, last


def scaled_rows_on_arrays(w, g, rows, whole, last, lr, t, weight_decay, momentum, bounds, signed):
    kind = w.dtype.type
    if signed:
        g = np.sign(g)
    if w.ndim > 1:
        rows = rows + np.abs(g).mean(axis=-1)
        size = (rows / kind(t))[..., None]
    else:
        whole = whole + np.abs(g)
        size = whole / kind(t)
    step = kind(lr) * g / (size + kind(bounds[0])) * kind(bounds[1])
    if momentum is not None:
        last = kind(momentum) * last + step
        step = last
    return w - step - kind(lr * weight_decay) * w, rows, whole, last


STATE = ("rows", "whole", "last")


class ScaledRows(Optimizer):
    spec = OptimizerSpec(
        "scaled_rows",
        "tests.optimizer.test_update:ScaledRows",
        hyperparameters=(
            Hyperparameter("learning_rate", None, kind="rate", only_with="not automatic"),
            Hyperparameter("momentum", None, "(0, 1)"),
            Hyperparameter("bounds", (0.5, 0.25), "(0, inf)", kind="floats"),
            Hyperparameter("signed", False, kind="flag"),
            Hyperparameter("short", False, kind="flag"),
            Hyperparameter("automatic", False, kind="flag"),
            Hyperparameter("weight_decay", 0.0, kind="decay"),
            Hyperparameter("loss_scale", 1.0, "(0, inf)", kind="number"),
        ),
        state=(
            StateSlot("rows", "row_sizes", shape="rows", separator="_"),
            StateSlot("whole", "sizes", shape="unfactored", halved="short"),
            StateSlot("last", "last_step", given="momentum"),
            StateSlot("count", "scaled_rows_step", shape="singleton"),
        ),
        capabilities=Capabilities(weight_decay="update", layerwise=True),
    )
    update = Update(scaled_rows, state=STATE, counters=("count",))

    def __init__(
        self, params, learning_rate=None, momentum=None, bounds=(0.5, 0.25), signed=False, short=False,
        automatic=False, weight_decay=0.0, loss_scale=1.0,
    ):  # fmt: skip
        own = {"momentum": momentum, "bounds": bounds, "signed": signed, "short": short, "automatic": automatic}
        super().__init__(learning_rate, params, weight_decay, loss_scale, hyperparameters=own)


class OnArrays(ScaledRows):
    update = Update(scaled_rows, state=STATE, counters=("count",), host=on_arrays(scaled_rows_on_arrays))


def run(optimizer_class, mode, dtype="float32", **options):
    """Three steps with two groups; returns the optimizer, its parameters, and what they should be."""
    generator = np.random.default_rng(0)
    starts = {"matrix": generator.standard_normal((3, 4)), "vector": 2 + generator.random(5)}
    parameters = {n: Parameter(Tensor(v).astype(DTYPES[dtype]), name=n) for n, v in starts.items()}
    groups = [
        {"params": [parameters["matrix"]], "lr": 0.25, "weight_decay": 0.125},
        {"params": [parameters["vector"]]},
    ]
    optimizer = optimizer_class(groups, learning_rate=0.5, loss_scale=4.0, **options)
    right = {n: p.asnumpy().astype(np.float64) for n, p in parameters.items()}
    states = {n: [np.zeros(v.shape[:1]), np.zeros(v.shape), np.zeros(v.shape)] for n, v in starts.items()}
    values = {"momentum": None, "bounds": (0.5, 0.25), "signed": False, **options}
    step = step_of(optimizer, mode)
    for t in (1.0, 2.0, 3.0):
        given = [Tensor(generator.standard_normal(v.shape)).astype(DTYPES[dtype]) for v in starts.values()]
        step(*given)
        for (name, decay, rate), gradient in zip((("matrix", 0.125, 0.25), ("vector", 0.0, 0.5)), given, strict=True):
            right[name], *states[name] = scaled_rows_on_arrays(
                right[name], gradient.asnumpy().astype(np.float64) / 4, *states[name], rate, t, decay,
                values["momentum"], values["bounds"], values["signed"],
            )  # fmt: skip
    return optimizer, parameters, right


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES_AND_TOLERANCES)
@pytest.mark.parametrize("optimizer_class", [ScaledRows, OnArrays])
def test_groups_rates_decay_and_scale_are_the_bases(optimizer_class, dtype, tolerance):
    _, parameters, right = run(optimizer_class, "pynative", dtype, momentum=0.5)
    for name, value in right.items():
        np.testing.assert_allclose(parameters[name].asnumpy().astype(np.float64), value, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("options", [{}, {"momentum": 0.5, "signed": True, "bounds": (1.0, 0.1)}], ids=str)
def test_every_mode_gives_the_same_numbers(mode, options):
    _, parameters, right = run(OnArrays, mode, **options)
    for name, value in right.items():
        np.testing.assert_allclose(parameters[name].asnumpy(), value, rtol=1e-6, atol=1e-6)


def test_scalars_are_exact_in_a_graph(mode):
    _, parameters, right = run(OnArrays, mode, "float64", momentum=0.3, bounds=(0.1, 0.7))
    for name, value in right.items():
        np.testing.assert_allclose(parameters[name].asnumpy(), value, rtol=1e-14, atol=1e-14)


def test_state_is_named_shaped_and_counted_as_its_slots_say(mode):
    optimizer, _, _ = run(OnArrays, mode, short=True)
    held = {p.name: (p.shape, str(p.dtype)) for p in optimizer.get_parameters()}
    assert held["row_sizes_matrix"] == ((3,), "Float32")
    assert held["row_sizes_vector"] == ((1,), "Float32")
    assert held["sizes.matrix"] == ((1,), "Float32")
    assert held["sizes.vector"] == ((5,), "Float16")
    assert not any(name.startswith("last_step") for name in held)
    assert optimizer.scaled_rows_step.asnumpy().tolist() == [3.0]
    assert optimizer.global_step.asnumpy().tolist() == [3]


def test_the_spec_knows_the_bytes_of_the_state():
    spec = ScaledRows.spec
    assert spec.state_bytes((100, 1000)) == 4 * (100 + 1)
    assert spec.state_bytes((100, 1000), momentum=0.5) == 4 * (100 + 1 + 100_000)
    assert spec.state_bytes((1000,), "float64") == 8 * (1 + 1000)
    assert spec.state_bytes((1000,), "bfloat16", short=True) == 4 + 2000
    assert spec.state_bytes_per_element() == 0.0
    with pytest.raises(InvalidSpecError, match="hyperparameter"):
        spec.state_bytes((3,), momentun=0.5)


@pytest.mark.parametrize("optimizer_class", [ScaledRows, OnArrays])
def test_wrong_gradients_change_nothing(optimizer_class):
    w = parameter("w", [[1.0, 2.0]])
    optimizer = optimizer_class([w], 0.5)
    for wrong in ((tensor([1.0]),), (), (None,), (Tensor(np.ones((1, 2), np.int32)),)):
        with pytest.raises((TypeError, ValueError)):
            optimizer(wrong)
    assert w.asnumpy().tolist() == [[1.0, 2.0]]
    assert optimizer.global_step.asnumpy().tolist() == [0]


def test_rates_may_be_listed_and_changed():
    w = parameter("w", [1.0, 1.0])
    optimizer = OnArrays([w], [0.5, 0.0])
    for _ in range(2):
        optimizer((tensor([1.0, -1.0]),))
    with pytest.raises(ValueError, match="2 value"):
        optimizer((tensor([1.0, -1.0]),))
    other = OnArrays([parameter("other", [1.0, 1.0])], 0.5)
    other.learning_rate.set_data(Tensor(np.float32(0.0)))
    other((tensor([1.0, -1.0]),))
    assert other.parameters[0].asnumpy().tolist() == [1.0, 1.0]
    assert w.asnumpy().tolist() == pytest.approx([1 - 0.125 / 1.5, 1 + 0.125 / 1.5])


def test_copies_and_rebound_parameters_step_on():
    optimizer, parameters, _ = run(OnArrays, "pynative", momentum=0.5)
    twin = copy.deepcopy(optimizer)
    gradients = (Tensor(np.ones((3, 4), np.float32)), Tensor(np.ones(5, np.float32)))
    parameters["matrix"].set_data(Tensor(parameters["matrix"].asnumpy()))
    for each in (optimizer, twin):
        each(gradients)
    for one, other in zip(optimizer.get_parameters(), twin.get_parameters(), strict=True):
        assert (one.asnumpy() == other.asnumpy()).all(), one.name


def test_a_registered_kernel_replaces_the_host_part():
    calls = []

    class Still:
        scalars = ("lr", "t")

        def __init__(self, plan, parameter_dtype, gradient_dtype):
            assert plan.tensors == ("w", "g", "rows", "whole")
            assert (plan.hyperparameters["bounds"], parameter_dtype, gradient_dtype) == ((0.5, 0.25),) + (
                "float32",
            ) * 2

        def __call__(self, batch, addresses, groups, scalars):
            calls.append((batch.shapes, scalars[groups[0]].tolist()))
            array_at(addresses[0, 0], batch.sizes[0], "float32")[:] = 7

    spec = dataclasses.replace(OnArrays.spec, implementation=OnArrays)
    register(spec, kernels=[KernelSpec("scaled_rows", "CPU", Still, dtypes=("float32",), priority=10)])
    try:
        w = parameter("w", [[1.0, 2.0]])
        OnArrays([w], 0.5, loss_scale=2.0)((tensor([[1.0, 1.0]]),))
    finally:
        unregister("scaled_rows")
    assert w.asnumpy().tolist() == [[7.0, 7.0]]
    assert calls == [(((1, 2),), [0.0, 0.5, 0.5, 1.0])]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.1, "automatic": True}, "'learning_rate' must be None with automatic=True, got"),
        ({}, "'learning_rate' must be given with automatic=False"),
        ({"learning_rate": 0.1, "bounds": (1.0,)}, r"'bounds' must hold 2 floats in \(0, inf\), got 1"),
        ({"learning_rate": 0.1, "bounds": (1.0, -1.0)}, r"'bounds\[1\]' must be in \(0, inf\), got -1\.0"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ScaledRows([parameter("w", [1.0])], **options)


def test_without_a_rate_there_is_none_to_give_again():
    optimizer = OnArrays([parameter("w", [1.0])], automatic=True)
    assert optimizer.get_config()["learning_rate"] is None
    with pytest.raises(ValueError, match=r"group 0 has an 'lr', 0\.1"):
        OnArrays([{"params": [parameter("w", [1.0])], "lr": 0.1}], automatic=True)


def test_an_update_that_cannot_be_is_refused():
    with pytest.raises(RuleError, match="must be plain names that begin with w, g, m"):
        Update(lambda w, g, lr: w, state=("m",))

    @rule()
    def plain(w, g, lr):
        return w - lr * g

    class Both(ScaledRows):
        rule = plain

    class Undeclared(ScaledRows):
        update = Update(lambda w, g, speed, lr: (w, speed), state=("speed",))

    class Shared(ScaledRows):
        update = Update(lambda w, g, count, lr: (w, count), state=("count",))

    class Unknown(ScaledRows):
        update = Update(lambda w, g, speed: w)

    for cls, message in (
        (Both, "both a 'rule' and an 'update'"),
        (Undeclared, "the update's state 'speed' is not in the spec's 'state'"),
        (Shared, "the state 'count' is each parameter's, but its slot has shape 'singleton'"),
        (Unknown, r"the update reads \['speed'\]"),
    ):
        with pytest.raises(InvalidSpecError, match=message):
            cls([parameter("w", [1.0])], 0.5)


def test_scalars_of_an_update_may_have_the_names_of_a_kernels_first_columns():
    seen = []

    def average(w, g, m, lr, decay, scale):
        m = decay * m + scale * g
        return w - lr * m, m

    class Kernel:
        scalars = ("lr", "decay", "scale")

        def __init__(self, plan, parameter_dtype, gradient_dtype):
            pass

        def __call__(self, batch, addresses, groups, scalars):
            seen.append(scalars[groups[0]].tolist())

    class Average(Optimizer):
        update = Update(average, state=("m",), host=Kernel)

        def __init__(self, params, learning_rate, weight_decay=0.0, loss_scale=1.0):
            super().__init__(
                learning_rate, params, weight_decay, loss_scale, hyperparameters={"decay": 0.75, "scale": 3.0}
            )

    Average.spec = OptimizerSpec(
        "named_alike",
        Average,
        state=(StateSlot("m", "m"),),
        hyperparameters=(Hyperparameter("decay", default=0.5, saved_as="decay"), Hyperparameter("scale", default=1.0)),
    )
    Average([parameter("w", [1.0])], 0.5, weight_decay=0.25, loss_scale=8.0)((tensor([1.0]),))
    assert seen == [[0.25 * 8.0, 0.125, 0.5, 0.75, 3.0]]

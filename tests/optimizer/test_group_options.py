"""Hyperparameters of a group's own: kernels, graphs, state and copies follow them, and what is wrong is refused."""

from __future__ import annotations

import copy
from dataclasses import replace

import mindspore
import numpy as np
import pytest
from mindspore import Parameter, Tensor, ops

from tinyms_core import (
    Capabilities,
    Hyperparameter,
    InvalidGroupError,
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
from tinyms_core.examples import SignDescent, parameter, tensor
from tinyms_core.kernels.parts import by_rule, divided


def summed(w, g, rows, lr, by_rows, factor):
    """The gradients' running sum, or the sum of each row's, times a factor."""
    rows = rows + (g.sum(-1) if by_rows else g)
    step = ops.cast(lr * factor, w.dtype) * (rows.expand_dims(-1) if by_rows else rows)
    return w - step, rows


def summed_on_arrays(w, g, rows, lr, by_rows, factor):
    rows = rows + (g.sum(axis=-1) if by_rows else g)
    return w - w.dtype.type(lr * factor) * (rows[..., None] if by_rows else rows), rows


@rule(state=("rows",))
def summed_by_rule(w, g, rows, lr, factor):
    rows = rows + g
    return w - lr * factor * rows, rows


def in_rows(shape, hyperparameters):
    return hyperparameters["by_rows"]


SPEC = OptimizerSpec(
    name="summed",
    implementation=f"{__name__}:Summed",
    hyperparameters=(
        Hyperparameter("learning_rate", 1.0, kind="rate"),
        Hyperparameter("by_rows", True, kind="flag"),
        Hyperparameter("factor", 1.0, "(0, inf)"),
    ),
    state=(StateSlot("rows", prefix="summed_rows", shape="rows", shaped_with="by_rows"),),
    capabilities=Capabilities(
        weight_decay="none", loss_scale=False, layerwise=True, group_options=("by_rows", "factor")
    ),
)


class Summed(Optimizer):
    spec = SPEC
    update = Update(
        summed, state=("rows",), host=divided(in_rows, on_arrays(summed_on_arrays), by_rule(summed_by_rule))
    )

    def __init__(self, params, learning_rate=1.0, by_rows=True, factor=1.0):
        super().__init__(learning_rate, params, hyperparameters={"by_rows": by_rows, "factor": factor})


def make():
    first, second, third = (parameter(name, [[0.0, 0.0]]) for name in ("first", "second", "third"))
    groups = [
        {"params": [first]},
        {"params": [second], "by_rows": False},
        {"params": [third], "by_rows": False, "factor": 0.5, "lr": 4.0},
    ]
    return Summed(groups), (first, second, third)


GRADIENTS = (tensor([[1.0, 2.0]]),) * 3


@pytest.mark.parametrize("mode", ["pynative", "jit", "graph"])
def test_each_group_is_treated_in_its_own_way(mode):
    mindspore.set_context(mode=mindspore.GRAPH_MODE if mode == "graph" else mindspore.PYNATIVE_MODE)
    try:
        optimizer, parameters = make()

        def step(*gradients):
            return optimizer(gradients)

        (mindspore.jit(step) if mode == "jit" else step)(*GRADIENTS)
    finally:
        mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    assert [p.asnumpy().tolist() for p in parameters] == [[[-3.0, -3.0]], [[-1.0, -2.0]], [[-2.0, -4.0]]]
    assert [held.shape for held in optimizer.summed_rows] == [(1,), (1, 2), (1, 2)]


def test_a_registered_kernel_gets_the_groups_values():
    seen = []

    def factory(plan, kind, gradient):
        seen.append((plan.hyperparameters["by_rows"], plan.hyperparameters["factor"]))
        return Summed.update.host(plan, kind, gradient)

    register(replace(SPEC, implementation=Summed), kernels=[KernelSpec("summed", "CPU", factory, priority=5)])
    try:
        optimizer, _ = make()
        optimizer(GRADIENTS)
    finally:
        unregister("summed")
    assert sorted(seen) == [(False, 0.5), (False, 1.0), (True, 1.0)]


def test_a_copy_has_them():
    optimizer, parameters = make()
    optimizer(GRADIENTS)
    twin = copy.deepcopy(optimizer)
    for one in (optimizer, twin):
        one(GRADIENTS)
    for own, other in zip(parameters, twin.parameters, strict=True):
        np.testing.assert_array_equal(own.asnumpy(), other.asnumpy())


def test_sixteen_bits_and_many_threads_of_a_rules_part():
    shape = (300_000,)
    values = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    for kind in (mindspore.float32, mindspore.bfloat16):
        w = Parameter(Tensor(np.zeros(shape, np.float32)).astype(kind), name="w")
        Summed([{"params": [w], "by_rows": False}])((Tensor(values).astype(kind),))
        right = -Tensor(values).astype(kind).astype(mindspore.float32).asnumpy()
        np.testing.assert_array_equal(w.astype(mindspore.float32).asnumpy(), right)


@pytest.mark.parametrize(
    ("group", "error", "message"),
    [
        ({"by_rows": 1}, TypeError, r"summed: 'group 0 \['by_rows'\]' must be True or False, got 1"),
        ({"factor": 0.0}, ValueError, r"summed: 'group 0 \['factor'\]' must be in \(0, inf\), got 0\.0"),
        (
            {"factors": 1.0},
            InvalidGroupError,
            r"unknown key\(s\) \['factors'\]; allowed are params, .* by_rows, factor",
        ),
    ],
)
def test_what_is_wrong_is_refused_with_the_group(group, error, message):
    with pytest.raises(error, match=message):
        Summed([{"params": [parameter("w", [[1.0]])], **group}])


def test_others_take_no_such_keys():
    with pytest.raises(
        InvalidGroupError, match="allowed are params, lr, weight_decay, grad_centralization, order_params"
    ):
        SignDescent([{"params": [parameter("w", [1.0])], "factor": 1.0}], learning_rate=0.5)


def test_a_rule_has_none():
    class OfRule(SignDescent):
        spec = replace(
            SignDescent.spec,
            hyperparameters=(*SignDescent.spec.hyperparameters, Hyperparameter("factor", 1.0)),
            capabilities=replace(SignDescent.spec.capabilities, group_options=("factor",)),
        )

    with pytest.raises(InvalidSpecError, match=r"group_options=\('factor',\), which needs an 'update'"):
        OfRule([parameter("w", [1.0])], learning_rate=0.5)


@pytest.mark.parametrize("option", ["unknown", "learning_rate", "loss_scale"])
def test_only_hyperparameters_of_its_own_are_declared(option):
    scaled = (*SPEC.hyperparameters, Hyperparameter("loss_scale", 1.0, "(0, inf)", kind="number"))
    with pytest.raises(InvalidSpecError, match=r"Capabilities\.group_options"):
        replace(SPEC, hyperparameters=scaled, capabilities=replace(SPEC.capabilities, group_options=(option,)))


def test_state_that_is_kept_or_not_depends_on_no_group():
    with pytest.raises(InvalidSpecError, match=r"StateSlot\.given of 'rows'"):
        replace(SPEC, state=(StateSlot("rows", prefix="summed_rows", given="factor"),))


@rule(state=("velocity",))
def strange(w, g, velocity, lr):
    return w - lr * velocity, velocity


def test_a_rule_of_other_state_is_refused():
    class Strange(Summed):
        update = Update(summed, state=("rows",), host=by_rule(strange))

    with pytest.raises(RuleError, match=r"\['velocity'\] are no arguments of the update 'summed'"):
        Strange([parameter("w", [[1.0]])])((tensor([[1.0]]),))

"""Arguments: the tables of what is refused and taken hold, and leave no argument out."""

from __future__ import annotations

import re

import numpy as np
import pytest
from mindspore import Tensor, nn
from tinyms_thor.contract import ACCEPTED, REFUSED

import tinyms_core
from tinyms_core.conformance import Made

NEEDED = {"learning_rate": 0.1, "damping": 0.1, "momentum": 0.9}


def build(net, **arguments):
    given = {name: value if name == "momentum" else Tensor(value) for name, value in NEEDED.items()}
    return tinyms_core.get_optimizer("thor")(net, **{**given, **arguments})


@pytest.mark.parametrize("entry", REFUSED, ids=lambda entry: f"{entry.argument}-{entry.error.__name__}")
def test_what_is_refused(entry):
    value = entry.value.make() if isinstance(entry.value, Made) else entry.value
    net = nn.Dense(2, 2)
    before = {p.name: p.asnumpy().copy() for p in net.get_parameters()}
    matmul = net.matmul
    arguments = {} if entry.argument == "net" else {entry.argument: value}
    with pytest.raises(entry.error) as caught:
        build(value if entry.argument == "net" else net, **arguments)
    assert type(caught.value) is entry.error
    assert re.search(entry.message, str(caught.value))
    assert str(caught.value).startswith("thor: ")
    # Nothing is attached, nothing changed.
    assert net.matmul is matmul
    assert all(np.array_equal(p.asnumpy(), before[p.name]) for p in net.get_parameters())


def test_every_argument_has_a_refused_value_of_a_wrong_type():
    declared = {h.name for h in tinyms_core.optimizer_info("thor").hyperparameters}
    assert {entry.argument for entry in REFUSED if entry.error is TypeError} == {"net", *declared}


@pytest.mark.parametrize("arguments", ACCEPTED, ids=str)
def test_what_is_taken(arguments):
    made = {name: value.make() if isinstance(value, Made) else value for name, value in arguments.items()}
    optimizer = build(nn.Dense(2, 2), **made)
    assert {name: optimizer.get_config()[name] for name in made} == made


def test_the_configuration_builds_the_same_anew():
    net = nn.Dense(2, 2)
    optimizer = build(net, frequency=7, trace_thresholds=(0.5, 0.25))
    config = optimizer.get_config()
    assert list(config) == [h.name for h in tinyms_core.optimizer_info("thor").hyperparameters]
    optimizer.detach()
    assert tinyms_core.get_optimizer("thor")(net, **config).get_config() == config


def test_parameters_that_are_not_float32_are_refused():
    import mindspore

    net = nn.Dense(2, 2).to_float(mindspore.float16)
    net.weight.set_dtype(mindspore.float16)
    with pytest.raises(TypeError, match=r"thor: parameter 'weight' is of Float16; thor supports float32"):
        build(net)


def test_it_is_made_by_name():
    net = nn.Dense(2, 2)
    optimizer = tinyms_core.create_optimizer(
        "thor", net, learning_rate=Tensor(0.1), weight_decay=0.01, damping=Tensor(0.1), momentum=0.9
    )
    assert isinstance(optimizer, tinyms_core.Optimizer)
    assert optimizer.attached


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"layer_decay": 0.5}, ValueError, "built from a network.*'layer_decay'"),
        ({"decay_bias_and_norm": True}, ValueError, "built from a network.*'decay_bias_and_norm'"),
    ],
)
def test_what_would_be_without_effect_is_refused_by_name(change, error, message):
    given = {"learning_rate": Tensor(0.1), "damping": Tensor(0.1), "momentum": 0.9}
    with pytest.raises(error, match=message):
        tinyms_core.create_optimizer("thor", nn.Dense(2, 2), **given, **change)


def test_nothing_is_built_around_it():
    optimizer = build(nn.Dense(2, 2))
    with pytest.raises(TypeError, match=r"lars: 'optimizer' must be one of parameters; Thor is built from a network"):
        tinyms_core.get_optimizer("lars")(optimizer)


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"parallel_mode": "semi_auto_parallel"}, "the parallel mode is 'semi_auto_parallel'; 'stand_alone' and"),
        ({"parallel_mode": "data_parallel"}, "set gradients_mean=True"),
    ],
)
def test_parallel_modes_in_which_it_would_be_wrong_are_refused(context, message):
    import mindspore

    mindspore.set_auto_parallel_context(**context)
    try:
        with pytest.raises(ValueError, match=message):
            build(nn.Dense(2, 2))
        mindspore.set_auto_parallel_context(parallel_mode="data_parallel", gradients_mean=True)
        assert build(nn.Dense(2, 2)).attached
    finally:
        mindspore.reset_auto_parallel_context()


def test_parameters_are_no_network():
    with pytest.raises(TypeError, match=r"thor: 'net' must be a network"):
        tinyms_core.create_optimizer(
            "thor", nn.Dense(2, 2).trainable_params(), learning_rate=Tensor(0.1), damping=Tensor(0.1), momentum=0.9
        )


def test_it_is_a_name_of_the_reference():
    from tinyms_core.optimizers import thor

    assert thor is tinyms_core.get_optimizer("thor")

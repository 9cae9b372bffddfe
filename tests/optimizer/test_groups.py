"""Parameters and groups: what is accepted, and how the rest is refused."""

from __future__ import annotations

import dataclasses

import mindspore
import numpy as np
import pytest
from mindspore import Parameter, Tensor
from mindspore.nn.learning_rate_schedule import ExponentialDecayLR

from tinyms_core import Capabilities, InvalidGroupError
from tinyms_core.examples import SignDescent, parameter


def pair():
    return [parameter("a", [1.0]), parameter("b", [2.0])]


def settings_of(params, **arguments):
    optimizer = SignDescent(params, learning_rate=0.5, **arguments)
    return [(s.parameter.name, s.rate.exact, s.decay, s.decays) for s in optimizer.settings]


def test_ungrouped_parameters_decay_unless_they_are_called_beta_or_gamma():
    params = [parameter(name, [1.0]) for name in ("w", "norm.beta", "norm.gamma", "bias")]
    decays = [decays for *_, decays in settings_of(params, weight_decay=0.1)]
    assert decays == [True, False, False, True]


def test_a_group_decays_by_its_own_value_whatever_the_names():
    beta, w = parameter("beta", [1.0]), parameter("w", [1.0])
    found = settings_of([{"params": [beta], "weight_decay": 0.2}, {"params": [w], "weight_decay": 0}])
    assert found == [("beta", 0.5, 0.2, True), ("w", 0.5, 0.0, False)]


def test_groups_are_read_once_and_never_changed():
    a, b = pair()
    groups = [{"params": (p for p in [a]), "lr": (x for x in [0.5, 0.25])}, {"params": [b]}]
    before = [dict(group) for group in groups]
    optimizer = SignDescent(iter(groups), learning_rate=0.1)
    assert [s.parameter.name for s in optimizer.settings] == ["a", "b"]
    assert optimizer.settings[0].rate.exact == [0.5, 0.25]
    assert groups == before


def test_order_params_may_stand_anywhere_and_moves_every_setting_along():
    a, b = pair()
    groups = [{"order_params": [b, a]}, {"params": [a], "lr": 0.1, "weight_decay": 0.3}, {"params": [b], "lr": 0.2}]
    assert settings_of(groups) == [("b", 0.2, 0.0, False), ("a", 0.1, 0.3, True)]


def bad_groups():
    a, b = pair()
    other = parameter("other", [1.0])
    matrix, scalar = parameter("matrix", [[1.0]]), parameter("scalar", 1.0)
    whole = Parameter(Tensor(np.array([1], np.int32)), name="whole")
    return {
        "none": (None, ValueError, "got None"),
        "empty": ([], ValueError, "'params' is empty"),
        "one parameter": (a, TypeError, "put it in a list"),
        "one dict": ({"params": [a]}, TypeError, "put it in a list"),
        "a number": (3, TypeError, "iterable"),
        "text": ("abc", TypeError, "iterable"),
        "not a parameter": ([a, 1], TypeError, r"params\[1\] must be a Parameter.*1 of type int"),
        "mixed": ([a, {"params": [b]}], TypeError, r"params\[1\]"),
        "tensor": ([Tensor([1.0])], TypeError, r"params\[0\] must be a Parameter"),
        "integers": ([whole], TypeError, "'whole'.*Int32"),
        "twice": ([a, a], ValueError, "'a' is twice in params"),
        "same name": ([a, parameter("a", [3.0])], ValueError, "'a'"),
        "unknown key": ([{"params": [a], "rate": 1}], InvalidGroupError, "group 0.*'rate'.*weight_decay"),
        "missing params": ([{"params": [b]}, {"lr": 0.1}], InvalidGroupError, "group 1 has no 'params'"),
        "empty group": ([{"params": []}], ValueError, r"group 0 \['params'\]' is empty"),
        "group of one parameter": ([{"params": a}], TypeError, r"group 0 \['params'\]"),
        "in two groups": ([{"params": [a]}, {"params": [b, a]}], ValueError, "'a' is in group 0 and in group 1"),
        "order with others": ([{"params": [a], "order_params": [a]}], ValueError, "group 0.*alone"),
        "order incomplete": ([{"params": [a, b]}, {"order_params": [a]}], ValueError, r"missing: \['b'\]"),
        "order foreign": (
            [{"params": [a]}, {"order_params": [a, other]}],
            ValueError,
            r"not in any group: \['other'\]",
        ),
        "order repeats": ([{"params": [a]}, {"order_params": [a, a]}], ValueError, "'a' is twice"),
        "two orders": ([{"params": [a]}, {"order_params": [a]}, {"order_params": [a]}], ValueError, "second"),
        "only order": ([{"order_params": [a]}], ValueError, "no group with parameters"),
        "group rate": ([{"params": [a], "lr": -1}], ValueError, r"group 0 \['lr'\]"),
        "group decay": ([{"params": [a], "weight_decay": "x"}], TypeError, r"group 0 \['weight_decay'\]"),
        "group flag": ([{"params": [a], "grad_centralization": 1}], TypeError, "grad_centralization.*True or False"),
        "centralize a matrix": ([{"params": [matrix], "grad_centralization": True}], ValueError, "'matrix'"),
        "centralize a scalar": ([{"params": [scalar], "grad_centralization": True}], ValueError, "'scalar'"),
    }


@pytest.mark.parametrize("case", bad_groups())
def test_bad_parameters_are_refused_by_name(case):
    params, kind, message = bad_groups()[case]
    with pytest.raises(kind, match=message) as caught:
        SignDescent(params, learning_rate=0.1)
    assert "sign_descent" in str(caught.value)


def test_a_group_error_is_a_key_error_and_a_value_error_and_reads_well():
    with pytest.raises(KeyError) as caught:
        SignDescent([{"params": pair(), "momentum": 1}], learning_rate=0.1)
    assert isinstance(caught.value, ValueError)
    assert str(caught.value).startswith("sign_descent: group 0")


def test_a_bias_in_a_centralized_group_is_left_as_it_is():
    kernel, bias = parameter("conv.weight", np.ones((2, 2, 1))), parameter("conv.bias", [1.0, 1.0])
    optimizer = SignDescent([{"params": [kernel, bias], "grad_centralization": True}], learning_rate=0.1)
    assert optimizer.grad_centralization_flags == (True, False)


RATES = {
    "float": (0.5, [0.5]),
    "int": (1, [1.0]),
    "numpy": (np.float32(0.5), [0.5]),
    "zero": (0.0, [0.0]),
    "0-d tensor": (Tensor(0.5, mindspore.float32), [0.5]),
    "0-d array": (np.array(0.5), [0.5]),
    "list": ([0.5, 0.25], [0.5, 0.25]),
    "tuple of ints": ((1, 2), [1.0, 2.0]),
    "tensor": (Tensor([0.5, 0.25], mindspore.float32), [0.5, 0.25]),
    "generator": ((x / 4 for x in range(2)), [0.0, 0.25]),
    "schedule": (ExponentialDecayLR(0.5, 0.5, 1), [0.5, 0.25]),
}


@pytest.mark.parametrize("case", RATES)
def test_rates_of_every_kind(case):
    given, expected = RATES[case]
    w = parameter("w", [0.0])
    optimizer = SignDescent([w], learning_rate=given)
    for value in expected:
        assert float(optimizer.get_lr().asnumpy()) == value
        before = float(w.asnumpy()[0])
        optimizer((Tensor(np.array([1.0], np.float32)),))
        assert before - float(w.asnumpy()[0]) == value


BAD_RATES = {
    "bool": (True, TypeError),
    "str": ("0.1", TypeError),
    "none": (None, TypeError),
    "dict": ({0: 0.1}, TypeError),
    "negative": (-0.1, ValueError),
    "nan": (float("nan"), ValueError),
    "infinite": (float("inf"), ValueError),
    "matrix": (Tensor([[0.1]]), ValueError),
    "array of 2 dimensions": (np.ones((2, 2)), ValueError),
    "empty": ([], ValueError),
    "negative in a list": ([0.1, -0.1], ValueError),
    "nan in a tensor": (Tensor([0.1, float("nan")], mindspore.float32), ValueError),
    "bool in a list": ([0.1, True], TypeError),
    "str in a list": ([0.1, "0.2"], TypeError),
    "too large for a float": (10**400, ValueError),
    "too large for a float32": (1e39, ValueError),
    "too large for a float32, in a list": ([0.1, 1e39], ValueError),
    "negative 0-d tensor": (Tensor(-1.0, mindspore.float32), ValueError),
}


@pytest.mark.parametrize("case", BAD_RATES)
def test_bad_rates_are_refused_by_name(case):
    given, kind = BAD_RATES[case]
    with pytest.raises(kind, match="learning_rate"):
        SignDescent([parameter("w", [0.0])], learning_rate=given)


@pytest.mark.parametrize(
    ("argument", "value", "kind"),
    [
        ("weight_decay", -1, ValueError),
        ("weight_decay", float("inf"), ValueError),
        pytest.param("weight_decay", 10**400, ValueError, id="decay-too-large-for-a-float"),
        pytest.param("loss_scale", -(10**400), ValueError, id="scale-too-large-for-a-float"),
        ("weight_decay", float("nan"), ValueError),
        ("weight_decay", True, TypeError),
        ("weight_decay", "0.1", TypeError),
        ("weight_decay", None, TypeError),
        ("loss_scale", 0, ValueError),
        ("loss_scale", -2.0, ValueError),
        ("loss_scale", float("inf"), ValueError),
        ("loss_scale", float("nan"), ValueError),
        ("loss_scale", True, TypeError),
        ("loss_scale", "1", TypeError),
    ],
)
def test_bad_decay_and_scale_are_refused_by_name(argument, value, kind):
    with pytest.raises(kind, match=argument):
        SignDescent([parameter("w", [0.0])], learning_rate=0.1, **{argument: value})


def test_rates_of_a_group_stay_exact_beside_a_dynamic_one():
    a, b = pair()
    optimizer = SignDescent([{"params": [a], "lr": 5e-8}, {"params": [b], "lr": [0.5, 0.25]}], learning_rate=1.0)
    assert [float(rate.asnumpy()) for rate in optimizer.get_lr()] == [np.float32(5e-8), 0.5]


def test_get_lr_parameter_gives_what_holds_the_rate():
    a, b = pair()
    schedule = ExponentialDecayLR(0.5, 0.5, 1)
    optimizer = SignDescent([{"params": [a], "lr": 0.25}, {"params": [b], "lr": schedule}], learning_rate=1.0)
    assert float(optimizer.get_lr_parameter(a).asnumpy()) == 0.25
    assert optimizer.get_lr_parameter([b, a])[0] is schedule
    with pytest.raises(ValueError, match="'other' is not one"):
        optimizer.get_lr_parameter(parameter("other", [1.0]))
    with pytest.raises(TypeError, match="'param' must be a Parameter"):
        optimizer.get_lr_parameter("a")


class Plain(SignDescent):
    """An optimizer that declares as little as it can."""

    spec = dataclasses.replace(
        SignDescent.spec,
        capabilities=Capabilities(centralization=False, grouped_rates=False, dynamic_rates=False, dtypes=("float32",)),
    )


UNDECLARED = {
    "centralization": (lambda a, k: [{"params": [k], "grad_centralization": True}], 0.1, ValueError, "'kernel' asks"),
    "schedule": (lambda a, k: [a], [0.1, 0.2], ValueError, "one number"),
    "rates of groups": (
        lambda a, k: [{"params": [a], "lr": 0.2}, {"params": [k]}],
        0.1,
        ValueError,
        "'a' must be the optimizer's 'learning_rate', 0.1",
    ),
    "dtype": (lambda a, k: [parameter("half", [1.0], np.float16)], 0.1, TypeError, "'half' is of Float16.*float32"),
}


@pytest.mark.parametrize("case", UNDECLARED)
def test_what_is_not_declared_is_refused(case):
    groups, rate, kind, message = UNDECLARED[case]
    with pytest.raises(kind, match=message):
        Plain(groups(parameter("a", [1.0]), parameter("kernel", np.ones((1, 2, 2)))), learning_rate=rate)

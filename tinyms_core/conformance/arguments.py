"""Construction: bad values of arguments are refused with an error that names argument and value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from mindspore import Tensor

from tinyms_core.conformance.catalog import ONCE, check
from tinyms_core.conformance.compare import require, require_same
from tinyms_core.conformance.construction import refusal, require_named
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.trial import make_arguments, make_parameters
from tinyms_core.conformance.values import BadValue, bad_values, of_optimizer
from tinyms_core.registry.hyperparameters import Hyperparameter

_CHECKED = ("float", "number", "int", "flag", "floats")


@check("Construction", ONCE)
def check_bad_hyperparameters_raise(subject: Subject) -> None:
    """Wrong types, NaN and values outside the declared interval are refused, with the argument and the value."""
    for declared in of_optimizer(subject.spec.hyperparameters):
        if declared.kind in _CHECKED:
            _require_refused(subject, declared.name, bad_values(declared))


@check("Construction", ONCE)
def check_bad_learning_rate_raises(subject: Subject) -> None:
    """A learning rate that is none is refused: by type, sign, NaN, shape, also inside a list or Tensor."""
    declared = next(h for h in subject.spec.hyperparameters if h.kind == "rate")
    _require_refused(subject, declared.name, _bad_rates(declared))


def _bad_rates(declared: Hyperparameter) -> list[BadValue]:
    def tensor(values: Any) -> Tensor:
        return Tensor(np.asarray(values, np.float32))

    bad = [
        BadValue(True, TypeError, "a bool", "True"),
        BadValue("0.1", TypeError, "a str", "0.1"),
        BadValue({}, TypeError, "a dict"),
        BadValue(-0.25, ValueError, "negative", "-0.25"),
        BadValue(math.nan, ValueError, "NaN", "nan"),
        BadValue(math.inf, ValueError, "infinite", "inf"),
        BadValue(np.float32(-0.25), ValueError, "negative, from numpy", "-0.25"),
        BadValue([], ValueError, "an empty list"),
        BadValue([0.1, -0.25], ValueError, "negative in a list", "-0.25"),
        BadValue([0.1, math.nan], ValueError, "NaN in a list", "nan"),
        BadValue([0.1, "0.2"], TypeError, "a str in a list", "0.2"),
        BadValue([0.1, True], TypeError, "a bool in a list", "True"),
        BadValue(tensor(-0.25), ValueError, "negative as a Tensor", "-0.25"),
        BadValue(tensor([0.1, -0.25]), ValueError, "negative in a Tensor", "-0.25"),
        BadValue(tensor([0.1, math.inf]), ValueError, "infinite in a Tensor", "inf"),
        BadValue(tensor([[0.1, 0.2]]), ValueError, "a Tensor of two dimensions"),
        BadValue(tensor([]), ValueError, "an empty Tensor"),
    ]
    if declared.required or declared.default is not None:
        bad.append(BadValue(None, TypeError, "None", "None"))
    return bad


@check("Construction", ONCE, requirement=lambda can: can.weight_decay != "none", needs="a declared weight_decay")
def check_bad_weight_decay_raises(subject: Subject) -> None:
    """A weight decay must be a finite number >= 0, or a Cell."""
    declared = next(h for h in subject.spec.hyperparameters if h.kind == "decay")
    bad = [
        BadValue(True, TypeError, "a bool", "True"),
        BadValue("0.1", TypeError, "a str", "0.1"),
        BadValue(None, TypeError, "None", "None"),
        BadValue([0.1], TypeError, "a list", "0.1"),
        BadValue(-0.25, ValueError, "negative", "-0.25"),
        BadValue(-1, ValueError, "a negative int", "-1"),
        BadValue(math.nan, ValueError, "NaN", "nan"),
        BadValue(math.inf, ValueError, "infinite", "inf"),
    ]
    _require_refused(subject, declared.name, bad)


@check("Construction", ONCE, requirement=lambda can: can.loss_scale, needs="a declared loss_scale")
def check_bad_loss_scale_raises(subject: Subject) -> None:
    """A loss scale must be a finite number > 0."""
    bad = [
        BadValue(True, TypeError, "a bool", "True"),
        BadValue("2.0", TypeError, "a str", "2.0"),
        BadValue(None, TypeError, "None", "None"),
        BadValue(0.0, ValueError, "zero", "0"),
        BadValue(0, ValueError, "zero as an int", "0"),
        BadValue(-2.0, ValueError, "negative", "-2"),
        BadValue(math.nan, ValueError, "NaN", "nan"),
        BadValue(math.inf, ValueError, "infinite", "inf"),
    ]
    _require_refused(subject, "loss_scale", bad)


@check("Construction", ONCE)
def check_number_types_accepted(subject: Subject) -> None:
    """Numpy's numbers count as numbers, and ints where a float is not insisted on."""
    workload = subject.plain()
    usual = make_arguments(subject.spec, workload)
    expected = subject.trial(workload).run(3).snapshot().parameters
    for declared in subject.spec.hyperparameters:
        value = usual[declared.name]
        if not isinstance(value, float):
            continue
        accepted: list[Any] = [np.float64(value)]
        if declared.kind in ("rate", "decay", "number") and value.is_integer():
            accepted += [int(value), np.int64(value)]
        for other in accepted:
            what = f"{declared.name}={other!r} of type {type(other).__name__}"
            trial = subject.trial(workload, **{declared.name: other}).run(3)
            for name, right in trial.snapshot().parameters.items():
                require_same(right, expected[name], f"{name} after 3 steps with {what}")


def _require_refused(subject: Subject, name: str, bad: list[BadValue]) -> None:
    workload = subject.plain()
    for wrong in bad:
        parameters = make_parameters(workload)
        before = {key: parameter.asnumpy().copy() for key, parameter in parameters.items()}
        arguments = {**make_arguments(subject.spec, workload), name: wrong.value}
        what = f"{name}={_short(wrong.value)} ({wrong.why})"

        def build(parameters: Any = parameters, arguments: Any = arguments) -> None:
            subject.optimizer_class(list(parameters.values()), **arguments)

        message = refusal(build, (wrong.error,), what)
        require_named(message, (name, wrong.shown) if wrong.shown else (name,), what)
        for key, parameter in parameters.items():
            require(parameter.name == key, f"{what}: the parameter {key!r} is now named {parameter.name!r}")
            require_same(parameter.asnumpy(), before[key], f"{key} after {what} was refused")


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:59] + "…"

"""Construction: what the first argument may be, and that building changes nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import mindspore
import numpy as np
from mindspore import Parameter, Tensor

from tinyms_core.conformance.catalog import ONCE, CheckFailure, check
from tinyms_core.conformance.compare import require, require_same
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.trial import make_arguments, make_parameters, make_params, make_tensor
from tinyms_core.conformance.workload import Member

Refusals = tuple[type[Exception], ...]


def refusal(build: Callable[[], Any], errors: Refusals, what: str) -> str:
    """Require that something is refused with one of some exceptions.

    Arguments:
        build: what is to be refused.
        errors: the exceptions that say so clearly.
        what: the thing, for the message.

    Returns:
        The exception's message.

    Raises:
        CheckFailure: nothing is raised, or something else.
    """
    names = " or ".join(error.__name__ for error in errors)
    try:
        build()
    except errors as error:
        return str(error)
    except Exception as error:
        raise CheckFailure(f"{what}: raised {type(error).__name__} instead of {names}: {str(error)[:200]}") from error
    raise CheckFailure(f"{what}: accepted, where {names} is right")


def require_named(message: str, parts: tuple[str, ...], what: str) -> None:
    """Require that an error's message holds some texts.

    Raises:
        CheckFailure: one is missing.
    """
    missing = [part for part in parts if part not in message]
    require(not missing, f"{what}: the message does not name {', '.join(map(repr, missing))}: {message[:300]!r}")


@check("Construction", ONCE)
def check_unknown_keyword_raises(subject: Subject) -> None:
    """An argument that does not exist is refused, also one that is nearly right."""
    workload = subject.plain()
    for wrong in ("no_such_argument", "learning_rates", "Learning_rate"):
        argument: dict[str, Any] = {wrong: 0.1}
        message = refusal(partial(subject.trial, workload, **argument), (TypeError,), f"{wrong}=0.1")
        require_named(message, (wrong,), f"{wrong}=0.1")


@check("Construction", ONCE)
def check_construction_has_no_side_effects(subject: Subject) -> None:
    """Building changes neither the caller's dicts and lists, the parameters, random numbers nor the context."""
    workload = subject.workload()
    parameters = make_parameters(workload)
    groups = make_params(workload, parameters)
    arguments = make_arguments(subject.spec, workload)
    group_copies: list[dict[str, Any]] = [
        {key: list(v) if isinstance(v, list) else v for key, v in group.items()} for group in groups
    ]
    argument_copies = dict(arguments)
    about = {name: _about(parameter) for name, parameter in parameters.items()}
    values = {name: parameter.asnumpy().copy() for name, parameter in parameters.items()}
    np.random.seed(1)
    random.seed(1)
    world = _world()
    subject.optimizer_class(groups, **arguments)
    require(_world() == world, "construction changes a random state or MindSpore's context")
    require(len(groups) == len(group_copies), "construction changes the list of groups")
    for index, (group, copied) in enumerate(zip(groups, group_copies, strict=True)):
        require(list(group) == list(copied), f"construction changes the keys of group {index} to {list(group)}")
        for key, value in copied.items():
            held = group[key]
            same = held is value or (isinstance(value, list) and list(map(id, held)) == list(map(id, value)))
            same = same or (key == "lr" and held == value)
            require(same, f"construction changes {key!r} of group {index}")
    require(all(arguments[key] is value for key, value in argument_copies.items()), "construction changes an argument")
    for name, parameter in parameters.items():
        require(_about(parameter) == about[name], f"construction changes {name}: {about[name]} to {_about(parameter)}")
        require_same(parameter.asnumpy(), values[name], f"{name} after construction")


def _about(parameter: Parameter) -> tuple[Any, ...]:
    return parameter.name, str(parameter.dtype), tuple(parameter.shape), parameter.requires_grad, parameter.data_ptr()


def _world() -> tuple[Any, ...]:
    state: Any = np.random.get_state()
    kind, keys, *rest = state[:3]
    context = tuple(mindspore.get_context(name) for name in ("mode", "device_target", "deterministic"))
    return kind, bytes(keys), *rest, random.getstate(), mindspore.get_seed(), context


@check("Construction", ONCE)
def check_bad_parameters_raise(subject: Subject) -> None:
    """Wrong parameters and groups are refused with an error that names the group and the parameter."""
    valid = make_arguments(subject.spec, subject.plain())
    for what, params, parts in _bad_parameters(subject.parameter_dtype):
        message = refusal(partial(subject.optimizer_class, params, **valid), (TypeError, ValueError), what)
        require_named(message, parts, what)


def _bad_parameters(dtype: str) -> list[tuple[str, Any, tuple[str, ...]]]:
    """What is wrong, the argument, and what the message has to name."""

    def make(name: str, shape: tuple[int, ...] = (3,)) -> Parameter:
        return Parameter(make_tensor(np.ones(shape), dtype), name=name)

    a, b, other = make("weight_a"), make("weight_b"), make("weight_other")
    twin = make("weight_a")
    whole = Parameter(Tensor(np.ones(3, np.int32)), name="counts")
    return [
        ("params=None", None, ("params",)),
        ("params=[]", [], ("params",)),
        ("an exhausted iterator", iter(()), ("params",)),
        ("one Parameter without a list", a, ("params",)),
        ("a str", "weight_a", ("params",)),
        ("a number", 3, ("params",)),
        ("one group without a list", {"params": [a]}, ("params",)),
        ("a Tensor among Parameters", [a, make_tensor(np.ones(3), dtype)], ("params[1]",)),
        ("None among Parameters", [a, None], ("params[1]", "None")),
        ("a Parameter among groups", [{"params": [a]}, b], ("params",)),
        ("a Parameter of int32", [a, whole], ("counts", "Int32")),
        ("a Parameter twice", [a, b, a], ("weight_a",)),
        ("two Parameters of one name", [a, twin], ("weight_a",)),
        ("a group without params", [{"params": [a]}, {"lr": 0.1}], ("group 1", "params")),
        ("an unknown key", [{"params": [a], "learning_rate": 0.1}], ("group 0", "learning_rate")),
        ("an empty group", [{"params": [a]}, {"params": []}], ("group 1",)),
        ("a Parameter in two groups", [{"params": [a]}, {"params": [b, a]}], ("group 0", "group 1", "weight_a")),
        ("a Parameter twice in a group", [{"params": [a, a]}], ("group 0", "weight_a")),
        ("a number in a group", [{"params": [a, 1.0]}], ("group 0", "1.0")),
        ("a Parameter as a group's params", [{"params": a}], ("group 0",)),
        ("order_params beside params", [{"params": [a], "order_params": [a]}], ("group 0", "order_params")),
        ("order_params twice", [{"params": [a]}, {"order_params": [a]}, {"order_params": [a]}], ("order_params",)),
        ("order_params alone", [{"order_params": [a]}], ("order_params",)),
        ("order_params lacks one", [{"params": [a, b]}, {"order_params": [a]}], ("order_params", "weight_b")),
        ("order_params has another", [{"params": [a]}, {"order_params": [a, other]}], ("order_params", "weight_other")),
        ("order_params repeats one", [{"params": [a, b]}, {"order_params": [a, b, a]}], ("order_params", "weight_a")),
        ("a negative lr", [{"params": [a]}, {"params": [b], "lr": -0.1}], ("group 1", "lr", "-0.1")),
        ("a str as lr", [{"params": [a], "lr": "0.1"}], ("group 0", "lr", "0.1")),
        ("a negative weight_decay", [{"params": [a], "weight_decay": -0.5}], ("group 0", "weight_decay", "-0.5")),
        ("a bool as weight_decay", [{"params": [a], "weight_decay": True}], ("group 0", "weight_decay", "True")),
        ("an int as a flag", [{"params": [a], "grad_centralization": 1}], ("group 0", "grad_centralization")),
    ]


@check("Construction", {"pynative": ("float32",)})
def check_generator_groups_equal_list(subject: Subject) -> None:
    """Parameters from any iterable, which is read once, are those of a list, bit for bit."""
    flat = subject.plain(Member("a", (4, 3)), Member("b", (5,)))
    forms: list[tuple[str, Callable[[list[Any]], Any]]] = [
        ("a tuple", tuple),
        ("a generator", lambda items: (item for item in items)),
        ("a dict's values", lambda items: dict(enumerate(items)).values()),
    ]
    for workload, grouped in ((flat, False), (subject.workload(), True)):
        expected = subject.trial(workload).run(5).snapshot().parameters
        for what, form in forms:
            parameters = make_parameters(workload)
            items = make_params(workload, parameters)
            if grouped:
                items = [{k: form(v) if k.endswith("params") else v for k, v in item.items()} for item in items]
            built = subject.optimizer_class(form(items), **make_arguments(subject.spec, workload))
            names = [parameter.name for parameter in built.parameters]
            require(names == list(parameters), f"{what}: the optimizer has the parameters {names}")
            gradients = subject.trial(workload)
            for step in range(5):
                built(tuple(gradients.gradients(step)))
            for name, parameter in parameters.items():
                require_same(parameter.asnumpy(), expected[name], f"{name} after 5 steps, parameters from {what}")

"""Construction from a network: what is taken and refused, and that the network stays what it is."""

from __future__ import annotations

import inspect
import random
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import mindspore
import numpy as np
from mindspore import Tensor, nn

from tinyms_core.conformance.catalog import ONCE, CheckFailure
from tinyms_core.conformance.compare import require, require_same
from tinyms_core.conformance.construction import refusal, require_named
from tinyms_core.conformance.declared import declared_table, require_covered_by
from tinyms_core.conformance.identity import require_equal
from tinyms_core.conformance.networks import (
    NetworkTrial,
    SmallNetwork,
    batch,
    network_arguments,
    network_check,
)
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.tables import Made, Refused
from tinyms_core.conformance.trial import values_of
from tinyms_core.conformance.values import BadValue, bad_values

_CHECKED = ("float", "number", "int", "flag", "floats", "decay")


def _values(network: nn.Cell) -> dict[str, Any]:
    return {parameter.name: values_of(parameter) for parameter in network.get_parameters()}


@network_check("Identity", ONCE)
def check_network_signature_matches(subject: Subject) -> None:
    """After the network come the declared hyperparameters, in their order, with their defaults, and no catch-all."""
    signature = inspect.signature(subject.declared_class).parameters
    declared = {h.name: h for h in subject.declared.hyperparameters}
    caught = [p.name for p in signature.values() if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    require(not caught, f"these arguments take everything: {caught}")
    found = list(signature)[1:]
    require(found == list(declared), f"after the network it takes {found}, declared are {list(declared)}")
    for name in found:
        default, empty = signature[name].default, inspect.Parameter.empty
        right = empty if declared[name].required else declared[name].default
        same = default is right or (type(default) is type(right) and default == right)
        require(same, f"{name!r}: its default is {default!r}, the declared one {right!r}")


@network_check("Identity", ONCE)
def check_network_config_roundtrip(subject: Subject) -> None:
    """`get_config` holds every argument but the network, and builds an optimizer that steps alike, bit for bit."""
    trial = NetworkTrial(subject, full=True)
    config = trial.optimizer.get_config()
    names = {h.name for h in subject.spec.hyperparameters}
    require(set(config) == names, f"get_config() has {sorted(config)}, the arguments are {sorted(names)}")
    again = NetworkTrial(subject, **config)
    require_equal(again.run(3).snapshot(), trial.run(3).snapshot(), "after 3 steps, built from get_config()")


@network_check("Construction", ONCE)
def check_network_unknown_keyword_raises(subject: Subject) -> None:
    """An argument that does not exist is refused, also one that is nearly right."""
    for wrong in ("no_such_argument", "learning_rates"):
        argument: dict[str, Any] = {wrong: 0.1}
        message = refusal(partial(NetworkTrial, subject, **argument), (TypeError,), f"{wrong}=0.1")
        require_named(message, (wrong,), f"{wrong}=0.1")


@network_check("Construction", ONCE)
def check_network_wanted(subject: Subject) -> None:
    """What is no network with trainable parameters is refused: None, Parameters, a Cell without any."""
    given = network_arguments(subject.spec)
    first = next(iter(inspect.signature(subject.declared_class).parameters))
    wrong: list[tuple[str, Any]] = [
        ("None", None),
        ("Parameters", SmallNetwork().trainable_params()),
        ("a class", nn.Dense),
    ]
    for what, value in wrong:
        message = refusal(partial(subject.optimizer_class, value, **given), (TypeError,), what)
        require_named(message, (first,), what)
    refusal(partial(subject.optimizer_class, nn.ReLU(), **given), (ValueError,), "a network without parameters")


@network_check("Construction", ONCE)
def check_network_bad_hyperparameters_raise(subject: Subject) -> None:
    """Values that the declaration rules out are refused, with argument and value, and nothing holds on to it."""
    network = SmallNetwork()
    before = _values(network)
    good = network_arguments(subject.spec)
    for declared in subject.spec.hyperparameters:
        bad = bad_values(declared) if declared.kind in _CHECKED else []
        if declared.kind == "rate":
            bad = [_tensor(-0.1, "-0.1"), _tensor([0.1, np.nan], "nan"), _tensor([[0.1]]), _tensor([])]
            bad.append(BadValue("0.1", TypeError, "a str", "0.1"))
        for wrong in bad:
            what = f"{declared.name}={wrong.value!r} ({wrong.why})"
            build = partial(subject.optimizer_class, network, **{**good, declared.name: wrong.value})
            message = refusal(build, (wrong.error,), what)
            require_named(message, (declared.name, wrong.shown) if wrong.shown else (declared.name,), what)
    for name, value in _values(network).items():
        require_same(value, before[name], f"{name} after wrong arguments were refused")
    subject.optimizer_class(network, **good)


def _tensor(values: Any, shown: str = "") -> BadValue:
    return BadValue(Tensor(np.asarray(values, np.float32)), ValueError, f"a Tensor of {values}", shown)


@network_check("Construction", ONCE)
def check_network_declared_refusals(subject: Subject) -> None:
    """The plugin's table of refused arguments holds, to the exception and its message, and has every argument."""
    table = declared_table(subject, "refused", Refused)
    for declared in subject.declared.hyperparameters:
        require_covered_by(table, declared)
    first = next(iter(inspect.signature(subject.declared_class).parameters))
    known = {first, *(h.name for h in subject.declared.hyperparameters)}
    network, good = SmallNetwork(), network_arguments(subject.spec)
    for entry in table:
        unknown = sorted({entry.argument, *entry.beside} - known)
        require(not unknown, f"the table of refused arguments has {unknown}, which are no arguments")
        value = entry.value.make() if isinstance(entry.value, Made) else entry.value
        given = {**good, **entry.beside}
        if entry.argument != first:
            given[entry.argument] = value
        what = f"{entry.argument}={' '.join(repr(value).split())[:60]}"
        try:
            subject.optimizer_class(value if entry.argument == first else network, **given)
        except Exception as error:
            right, message = type(error) is entry.error, str(error)
            require(right, f"{what}: raised {type(error).__name__}, not {entry.error.__name__}: {message[:200]}")
            found = re.search(entry.message, message)
            require(found, f"{what}: the message does not match {entry.message!r}: {message!r}")
        else:
            raise CheckFailure(f"{what}: accepted, where {entry.error.__name__} is right")


@network_check("Construction", ONCE)
def check_network_declared_acceptances(subject: Subject) -> None:
    """What the plugin's table of accepted arguments has is taken, and is what the configuration says."""
    for row in declared_table(subject, "accepted", Mapping):
        made = {name: value.make() if isinstance(value, Made) else value for name, value in row.items()}
        what = ", ".join(f"{name}={value!r}" for name, value in made.items())
        given = {**network_arguments(subject.spec), **made}
        try:
            optimizer = subject.optimizer_class(SmallNetwork(), **given)
        except (TypeError, ValueError) as error:
            raise CheckFailure(f"{what}: refused, and the table has it as accepted: {error}") from error
        config = optimizer.get_config()
        for name, value in made.items():
            same = np.array_equal(_plain(config[name]), _plain(value))
            require(same, f"{what}: the configuration has {name}={config[name]!r}")


def _plain(value: Any) -> Any:
    return value.asnumpy() if isinstance(value, Tensor) else value


@network_check("Construction", {"pynative": ("float32",), "graph": ("float32",)})
def check_network_left_as_it_is(subject: Subject) -> None:
    """Building, steps at a rate of zero and letting go change neither the network's cells, Parameters nor outputs."""
    rate = next(h.name for h in subject.spec.hyperparameters if h.kind == "rate")
    network = SmallNetwork()
    images, words, _ = batch()
    expected, about, values = network(images, words).asnumpy(), _about(network), _values(network)
    np.random.seed(1)
    random.seed(1)
    world = _world()
    trial = NetworkTrial(subject, **{rate: Tensor(np.float32(0.0))})
    require(_world() == world, "construction changes a random state or MindSpore's context")

    def compare(when: str) -> None:
        require(
            _about(trial.network) == about,
            f"{when}: the network has other cells or Parameters: {_about(trial.network)}",
        )
        for name, value in _values(trial.network).items():
            require_same(value, values[name], f"{name}, {when}")
        require_same(trial.network(images, words).asnumpy(), expected, f"the network's output, {when}")

    compare("after construction")
    trial.run(3)
    compare("after 3 steps at a rate of 0")
    trial.release()
    compare("after the optimizer let go of it")


def _about(network: nn.Cell) -> Any:
    cells = [(name, type(cell).__name__) for name, cell in network.cells_and_names()]
    return str(network), cells, [(p.name, str(p.dtype), p.requires_grad) for p in network.get_parameters()]


def _world() -> tuple[Any, ...]:
    state: Any = np.random.get_state()
    context = tuple(mindspore.get_context(name) for name in ("mode", "device_target", "deterministic"))
    return bytes(state[1]), state[2:], random.getstate(), mindspore.get_seed(), context

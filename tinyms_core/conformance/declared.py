"""Construction: the tables of refused and of accepted arguments that a plugin ships hold, and leave none out."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mindspore import Tensor

from tinyms_core.conformance.catalog import ONCE, CheckFailure, CheckSkipped, check
from tinyms_core.conformance.combinations import with_flag_for
from tinyms_core.conformance.compare import require, require_same
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.tables import Made, Refused
from tinyms_core.conformance.trial import make_arguments, make_parameters
from tinyms_core.conformance.values import inside
from tinyms_core.conformance.workload import Workload
from tinyms_core.registry.hyperparameters import Hyperparameter
from tinyms_core.registry.probe import resolve

_PARAMS = "params"
_NUMBERS = ("float", "number", "int", "floats", "rate", "decay")


@check("Construction", ONCE)
def check_declared_refusals(subject: Subject) -> None:
    """The plugin's table of refused arguments holds, to the exception and its message, and has every argument."""
    table = declared_table(subject, "refused", Refused)
    own = subject.declared.hyperparameters
    for declared in own:
        require_covered_by(table, declared)
    known = {_PARAMS, _first_argument(subject), *(h.name for h in own)}
    for entry in table:
        unknown = sorted({entry.argument, *entry.beside} - known)
        require(not unknown, f"the table of refused arguments has {unknown}, which are no arguments")
        _require_refused(subject, entry)


def declared_table(subject: Subject, field: str, kind: type) -> tuple[Any, ...]:
    """A table that the spec names.

    Raises:
        CheckSkipped: it names none.
        CheckFailure: what it names is no table of that kind.
    """
    place = getattr(subject.spec, field)
    if not place:
        raise CheckSkipped(f"the optimizer declares no table, OptimizerSpec.{field}")
    found = resolve(place)
    if not isinstance(found, tuple | list) or not found:
        raise CheckFailure(f"OptimizerSpec.{field}: {place!r} must be a tuple with rows in it, got {found!r:.80}")
    for row in found:
        require(isinstance(row, kind), f"OptimizerSpec.{field}: {place!r} has a row that is no {kind.__name__}: {row}")
    return tuple(found)


def _blames_alone(entry: Refused, declared: Hyperparameter) -> bool:
    """Whether the argument itself is wrong, not what it is given with; the flag that it needs is no such thing."""
    return not entry.beside or (bool(declared.only_with) and entry.beside == with_flag_for(declared, {}))


def require_covered_by(table: Sequence[Refused], declared: Hyperparameter) -> None:
    """Require that a table of refused arguments has rows for a hyperparameter.

    Raises:
        CheckFailure: it has none with a value of a wrong type, or none outside its interval.
    """
    entries = [entry for entry in table if entry.argument == declared.name and _blames_alone(entry, declared)]
    what = f"the table of refused arguments has no row for {declared.name!r} with"
    require(any(entry.error is TypeError for entry in entries), f"{what} a value of a wrong type (TypeError)")
    if declared.kind in _NUMBERS and declared.interval != "(-inf, inf)":
        outside = [entry for entry in entries if entry.error is ValueError and _outside(entry.value, declared)]
        require(outside, f"{what} a number outside {declared.interval} (ValueError)")


def _outside(value: Any, declared: Hyperparameter) -> bool:
    made = value.make() if isinstance(value, Made) else value
    if isinstance(made, Tensor):
        made = made.asnumpy().reshape(-1).tolist()
    numbers = made if isinstance(made, tuple | list) and (made is not value or declared.kind == "floats") else (made,)
    return any(_is_number(number) and not inside(number, declared) for number in numbers)


def _is_number(value: Any) -> bool:
    # NaN is in no interval, but says nothing about one.
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _first_argument(subject: Subject) -> str:
    """What the optimizer is built from: parameters, or the optimizer that it is around."""
    return next(iter(inspect.signature(subject.declared_class).parameters))


def _plain(subject: Subject) -> tuple[Workload, dict[str, Any]]:
    """A workload, and the arguments that have no default."""
    workload = subject.plain(hyperparameters=subject.defaults)
    given = make_arguments(subject.spec, workload)
    return workload, {h.name: given[h.name] for h in subject.spec.hyperparameters if h.required}


def _require_refused(subject: Subject, entry: Refused) -> None:
    workload, needed = _plain(subject)
    value = entry.value.make() if isinstance(entry.value, Made) else entry.value
    parameters = make_parameters(workload)
    before = {name: parameter.asnumpy().copy() for name, parameter in parameters.items()}
    arguments = {**needed, **entry.beside}
    build, first = subject.optimizer_class, list(parameters.values())
    if entry.argument in (_PARAMS, _first_argument(subject)):
        own = {h.name for h in subject.declared.hyperparameters}
        build, first = subject.declared_class, value
        arguments = {name: given for name, given in arguments.items() if name in own}
    else:
        arguments[entry.argument] = value
    shown = " ".join(repr(value).split())
    what = f"{entry.argument}={shown[:60]}" + "".join(f", {name}={other!r}" for name, other in entry.beside.items())
    try:
        build(first, **arguments)
    except Exception as error:
        right, message = type(error) is entry.error, str(error)
        require(right, f"{what}: raised {type(error).__name__}, not {entry.error.__name__}: {message[:200]}")
        require(re.search(entry.message, message), f"{what}: the message does not match {entry.message!r}: {message!r}")
        require(entry.argument in message, f"{what}: the message does not name {entry.argument!r}: {message!r}")
    else:
        raise CheckFailure(f"{what}: accepted, where {entry.error.__name__} is right")
    for name, parameter in parameters.items():
        require(parameter.name == name, f"{what}: the parameter {name!r} is now named {parameter.name!r}")
        require_same(parameter.asnumpy(), before[name], f"{name} after {what} was refused")


@check("Construction", ONCE)
def check_declared_acceptances(subject: Subject) -> None:
    """What the plugin's table of accepted arguments has is taken, and is what the configuration says."""
    for arguments in declared_table(subject, "accepted", Mapping):
        workload, needed = _plain(subject)
        made = {name: value.make() if isinstance(value, Made) else value for name, value in arguments.items()}
        what = ", ".join(f"{name}={value!r}" for name, value in made.items())
        try:
            optimizer = subject.optimizer_class(list(make_parameters(workload).values()), **{**needed, **made})
        except (TypeError, ValueError) as error:
            raise CheckFailure(f"{what}: refused, and the table has it as accepted: {error}") from error
        configured = optimizer.get_config()
        several = {h.name for h in subject.spec.hyperparameters if h.kind == "floats"}
        for name, value in made.items():
            right = tuple(value) if name in several else value
            require(configured[name] == right, f"{what}: the configuration has {name}={configured[name]!r}")

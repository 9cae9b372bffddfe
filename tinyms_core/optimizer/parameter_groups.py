"""Groups of parameters by patterns of their names: which decay, and how fast each layer learns."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase, translate
from typing import Any, Final

from mindspore import Parameter, nn
from mindspore.nn.learning_rate_schedule import LearningRateSchedule

from tinyms_core.optimizer.groups import make_decay
from tinyms_core.optimizer.rates import make_rate
from tinyms_core.registry.validation import describe, inside, integer, is_number

_OWNER: Final = "parameter_groups"
_NUMBER: Final = "{}"
# Stands for the number while a wildcard becomes a regular expression, which leaves a letter of no alphabet as it is.
_PLACE: Final = "\ue000"
# By name, since the groups of Python 3.10's regular expressions of wildcards are numbered as well.
_GROUP: Final = "layer"
_SHOWN: Final = 8


def parameter_groups(
    net_or_params: nn.Cell | Iterable[Parameter],
    *,
    weight_decay: Any = None,
    no_decay: str | Iterable[str] = (),
    no_decay_ndim: int | None = None,
    learning_rate: Any = None,
    layers: Iterable[str] = (),
    layer_decay: float | None = None,
) -> list[dict[str, Any]]:
    r"""Put parameters into groups by patterns of their names, for any optimizer, those of `mindspore.nn` among them.

    A parameter whose name matches ``no_decay``, or that has at most ``no_decay_ndim`` dimensions, is in a group without
    weight decay. With ``layers`` and ``layer_decay`` earlier layers learn more slowly:

    .. math::
        \eta_i = \eta \cdot d^{\,n - 1 - i}

    for layer :math:`i` of :math:`n`, counted from the input. A pattern is a layer of its own; where it has ``{}`` in
    the place of a number, each number that occurs there is one, in the order of the numbers. A parameter belongs to the
    first pattern that it matches.

    Arguments:
        net_or_params: a network, of which the trainable parameters are taken, or an iterable of Parameters.
        weight_decay: the decay of all others, float or int >= 0 or a Cell of the step; None leaves it to the optimizer.
        no_decay: wildcards as in a shell, such as ``"*.bias"``, which match whole names.
        no_decay_ndim: a number of dimensions >= 0; 1 spares biases and the scales and shifts of normalizations.
        learning_rate: with ``layers``, :math:`\eta`: a number, one for each step, or a LearningRateSchedule.
        layers: wildcards from the input to the output, with at most one ``{}`` each.
        layer_decay: with ``layers``, :math:`d` in (0, 1].

    Returns:
        Group dicts, and ``order_params`` for the network's own order, as every optimizer takes them.

    Raises:
        TypeError: an argument of a wrong type.
        ValueError: a pattern that matches nothing, or nothing that an earlier layer has not; a parameter in none of the
            layers; ``learning_rate``, ``layers`` and ``layer_decay`` not all together; a value out of range.

    Example:
        >>> from mindspore import nn
        >>> import tinyms_core
        >>> net = nn.SequentialCell(nn.Dense(4, 8), nn.LayerNorm((8,)), nn.Dense(8, 2))
        >>> groups = tinyms_core.parameter_groups(
        ...     net, weight_decay=0.1, no_decay=["*.bias", "*.gamma", "*.beta"],
        ...     learning_rate=0.8, layers=["{}.*"], layer_decay=0.5,
        ... )
        >>> for group in groups[:-1]:
        ...     print([p.name for p in group["params"]], group["weight_decay"], group["lr"])
        ['0.weight'] 0.1 0.2
        ['0.bias'] 0.0 0.2
        ['1.gamma', '1.beta'] 0.0 0.4
        ['2.weight'] 0.1 0.8
        ['2.bias'] 0.0 0.8
        >>> optimizer = nn.Adam(groups, learning_rate=0.8)
    """
    parameters = _parameters(net_or_params)
    spared = _spared(parameters, no_decay, no_decay_ndim)
    depths = _depths(parameters, learning_rate, tuple(_patterns("layers", layers)), layer_decay)
    count = max(depths.values(), default=0) + 1
    rates = _rates(learning_rate, layer_decay, count) if depths else []
    decay = None if weight_decay is None else make_decay(_OWNER, "weight_decay", weight_decay)
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for parameter in parameters:
        key = depths.get(parameter.name, 0), parameter.name in spared
        group = groups.setdefault(key, {"params": []})
        group["params"].append(parameter)
        if depths:
            group["lr"] = rates[key[0]]
        if parameter.name in spared:
            group["weight_decay"] = 0.0
        elif decay is not None:
            group["weight_decay"] = decay
    ordered = [groups[key] for key in sorted(groups)]
    return [*ordered, {"order_params": parameters}]


def taken_rate(owner: str, name: str, rate: Any) -> Any:
    """Take a learning rate that is to be used more than once.

    Arguments:
        owner: the function's name, for errors.
        name: the argument's name, for errors.
        rate: as for `tinyms_core.Optimizer`; an iterable is read once.

    Returns:
        A float, a list of floats, or the schedule.

    Raises:
        TypeError: not one of the kinds of rate.
        ValueError: negative, infinite, NaN, empty, or of more than one dimension.
    """
    return make_rate(owner, name, rate, name).argument


def scaled(rate: Any, factor: float) -> Any:
    """Return a learning rate times a factor, in the form that it has.

    Arguments:
        rate: a float, a list of floats, or a LearningRateSchedule.
        factor: a number >= 0.
    """
    if isinstance(rate, LearningRateSchedule):
        return ScaledSchedule(rate, factor)
    return [value * factor for value in rate] if isinstance(rate, list) else rate * factor


class ScaledSchedule(LearningRateSchedule):
    """A schedule times a factor.

    Arguments:
        schedule: the schedule.
        factor: the factor.
    """

    def __init__(self, schedule: LearningRateSchedule, factor: float) -> None:
        super().__init__()
        self.schedule = schedule
        self.factor = factor

    def construct(self, global_step: Any) -> Any:
        """The rate of a 0-based step."""
        return self.schedule(global_step) * self.factor


def _parameters(given: Any) -> list[Parameter]:
    if isinstance(given, nn.Cell):
        found = given.trainable_params()
        if not found:
            raise ValueError(f"{_OWNER}: the network {type(given).__name__} has no trainable parameters")
        return list(found)
    if isinstance(given, Parameter | str) or not isinstance(given, Iterable):
        raise TypeError(f"{_OWNER}: 'net_or_params' must be a network or a list of Parameters, got {describe(given)}")
    found = list(given)
    if not found:
        raise ValueError(f"{_OWNER}: 'net_or_params' is empty; there is nothing to put into groups")
    for index, item in enumerate(found):
        if not isinstance(item, Parameter):
            raise TypeError(f"{_OWNER}: net_or_params[{index}] must be a Parameter, got {describe(item)}")
    for name, times in Counter(parameter.name for parameter in found).items():
        if times > 1:
            raise ValueError(f"{_OWNER}: {times} parameters have the name {name!r}; names tell them apart")
    return found


def _patterns(argument: str, given: Any) -> Iterable[str]:
    patterns = (given,) if isinstance(given, str) else given
    if not isinstance(patterns, Iterable):
        raise TypeError(
            f"{_OWNER}: {argument!r} must be a str such as '*.bias', or a list of them, got {describe(given)}"
        )
    for index, pattern in enumerate(patterns):
        if not isinstance(pattern, str):
            raise TypeError(f"{_OWNER}: {argument}[{index}] must be a str such as '*.bias', got {describe(pattern)}")
        yield pattern


def _spared(parameters: Sequence[Parameter], no_decay: Any, ndim: Any) -> set[str]:
    """Names of the parameters without decay."""
    found = set()
    for pattern in _patterns("no_decay", no_decay):
        matched = {parameter.name for parameter in parameters if fnmatchcase(parameter.name, pattern)}
        if not matched:
            raise ValueError(f"{_OWNER}: 'no_decay': {pattern!r} matches no parameter; there are {_names(parameters)}")
        found |= matched
    if ndim is not None:
        most = integer(_OWNER, "no_decay_ndim", ndim, "[0, inf)")
        found |= {parameter.name for parameter in parameters if parameter.ndim <= most}
    return found


def _depths(parameters: Sequence[Parameter], rate: Any, layers: Sequence[str], decay: Any) -> dict[str, int]:
    """For each parameter its layer, from 0 at the input; empty where no layers are asked for."""
    given = {"learning_rate": rate is not None, "layers": bool(layers), "layer_decay": decay is not None}
    if not any(given.values()):
        return {}
    if not all(given.values()):
        missing = ", ".join(repr(name) for name, there in given.items() if not there)
        there = ", ".join(repr(name) for name, there in given.items() if there)
        raise ValueError(f"{_OWNER}: {there} given without {missing}; rates by layer need all three")
    if not is_number(decay):
        raise TypeError(f"{_OWNER}: 'layer_decay' must be a float in (0, 1], got {describe(decay)}")
    inside(_OWNER, "layer_decay", float(decay), "(0, 1]")
    places = _places(parameters, layers)
    missed = [parameter for parameter in parameters if parameter.name not in places]
    if missed:
        raise ValueError(
            f"{_OWNER}: 'layers': in none of {', '.join(map(repr, layers))} are {_names(missed)}; a last pattern '*' "
            "would take the rest"
        )
    ranks = {place: rank for rank, place in enumerate(sorted(set(places.values())))}
    return {name: ranks[place] for name, place in places.items()}


def _places(parameters: Sequence[Parameter], layers: Sequence[str]) -> dict[str, tuple[int, int]]:
    """For each parameter the first pattern that it matches, and the number in it."""
    places: dict[str, tuple[int, int]] = {}
    for index, pattern in enumerate(layers):
        if pattern.count(_NUMBER) > 1:
            raise ValueError(f"{_OWNER}: 'layers': {pattern!r} has more than one {_NUMBER!r}; one number makes a layer")
        expression = re.compile(translate(pattern.replace(_NUMBER, _PLACE)).replace(_PLACE, rf"(?P<{_GROUP}>\d+)"))
        before = len(places)
        for parameter in parameters:
            found = expression.match(parameter.name)
            if found and parameter.name not in places:
                places[parameter.name] = index, int(found[_GROUP]) if _NUMBER in pattern else 0
        if len(places) == before:
            raise ValueError(
                f"{_OWNER}: 'layers': {pattern!r} matches no parameter that an earlier pattern has not; there are "
                f"{_names(parameters)}"
            )
    return places


def _rates(rate: Any, decay: Any, count: int) -> list[Any]:
    """The rate of each layer."""
    taken = taken_rate(_OWNER, "learning_rate", rate)
    return [scaled(taken, math.pow(float(decay), count - 1 - depth)) for depth in range(count)]


def _names(parameters: Sequence[Parameter]) -> str:
    names = ", ".join(parameter.name for parameter in parameters[:_SHOWN])
    return names + (f" and {len(parameters) - _SHOWN} more" if len(parameters) > _SHOWN else "")

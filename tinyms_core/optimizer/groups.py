"""From what a user gives as ``params`` to one setting for each parameter, whether there are groups or not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import mindspore
from mindspore import Parameter, nn

from tinyms_core.optimizer.dtypes import dtype_name
from tinyms_core.optimizer.errors import InvalidGroupError
from tinyms_core.optimizer.rates import FixedRate, NoRate, Rate, make_rate
from tinyms_core.registry.specs import Capabilities
from tinyms_core.registry.validation import describe, flag, is_number, number

# Hyperparameters with values; in this form two of them can be compared and be keys.
Options = tuple[tuple[str, Any], ...]
# Takes a group's value of a hyperparameter, with its place for errors, or refuses it.
Take = Callable[[str, Any], Any]

KEYS = ("params", "lr", "weight_decay", "grad_centralization")
ORDER = "order_params"
FLOATS = (mindspore.float32, mindspore.float16, mindspore.bfloat16, mindspore.float64)


@dataclass(frozen=True)
class Setting:
    """What applies to one parameter.

    Attributes:
        parameter: the parameter.
        rate: its learning rate; parameters of a group share one.
        decay: its weight decay, a float or a Cell of the step.
        decays: whether the decay applies to it.
        centralize: whether its gradient is centralized.
        options: hyperparameters for which its group has values of its own, sorted by name.
    """

    parameter: Parameter
    rate: Rate
    decay: float | nn.Cell
    decays: bool
    centralize: bool
    options: Options = ()


@dataclass(frozen=True)
class Grouping:
    """The settings of all parameters, in the order of the update.

    Attributes:
        settings: one for each parameter.
        grouped: whether the user gave groups.
        grouped_rates: whether a group has a rate of its own.
        default_rate: the optimizer's own rate.
        source: what the user gave, read once: Parameters, or group dicts of the optimizer's own.
    """

    settings: tuple[Setting, ...]
    grouped: bool
    grouped_rates: bool
    default_rate: Rate
    source: list[Any]


def make_grouping(
    owner: str,
    params: Any,
    learning_rate: Any,
    weight_decay: Any,
    decays: Callable[[Parameter], bool],
    options: Mapping[str, Take] = MappingProxyType({}),
) -> Grouping:
    """Read ``params`` once and give each parameter its setting.

    Arguments:
        owner: the optimizer's name, for errors.
        params: an iterable of Parameters, or of group dicts; left as it is.
        learning_rate: the optimizer's rate, for groups without one.
        weight_decay: the optimizer's decay, for groups without one.
        decays: which ungrouped parameters the decay applies to.
        options: the hyperparameters that a group may have values of its own for, with what takes such a value.

    Returns:
        The grouping.

    Raises:
        TypeError, ValueError, InvalidGroupError: what is wrong, and with which group and parameter.
    """
    rate = make_rate(owner, "learning_rate", learning_rate, "learning_rate")
    decay = make_decay(owner, "weight_decay", weight_decay)
    items = _read(owner, "params", params)
    if all(isinstance(item, Mapping) for item in items):
        return _from_groups(owner, items, rate, decay, options)
    parameters = [_parameter(owner, f"params[{index}]", item) for index, item in enumerate(items)]
    _refuse_repetition(owner, [("params", p) for p in parameters])
    settings = tuple(Setting(p, rate, decay, _active(decay) and decays(p), False) for p in parameters)
    return Grouping(settings, False, False, rate, parameters)


def require_capabilities(owner: str, grouping: Grouping, capabilities: Capabilities) -> None:
    """Refuse settings that an optimizer declares not to support.

    Arguments:
        owner: the optimizer's name, for errors.
        grouping: the settings.
        capabilities: what it declares.

    Raises:
        TypeError: a parameter of a dtype that is not declared.
        ValueError: centralization, a schedule, or rates that differ between groups, where they are not declared.
    """
    default = grouping.default_rate
    if isinstance(default, NoRate) and grouping.grouped_rates:
        index = next(i for i, group in enumerate(grouping.source) if "lr" in group)
        raise ValueError(
            f"{owner}: group {index} has an 'lr', {grouping.source[index]['lr']!r}, where {owner} finds its own rate, "
            "since 'learning_rate' is None; leave it out"
        )
    _require_rate(owner, "'learning_rate'", default, default, capabilities)
    for setting in grouping.settings:
        parameter = setting.parameter
        _require_rate(owner, f"'lr' of the group of parameter {parameter.name!r}", setting.rate, default, capabilities)
        if setting.centralize and not capabilities.centralization:
            raise ValueError(
                f"{owner}: a group with parameter {parameter.name!r} asks for 'grad_centralization', "
                f"which {owner} does not support; leave it out"
            )
        if dtype_name(parameter.dtype) not in capabilities.dtypes:
            raise TypeError(
                f"{owner}: parameter {parameter.name!r} is of {parameter.dtype}; {owner} supports "
                f"{', '.join(capabilities.dtypes)}"
            )


def _require_rate(owner: str, what: str, rate: Rate, default: Rate, capabilities: Capabilities) -> None:
    if not capabilities.dynamic_rates and not isinstance(rate, FixedRate):
        raise ValueError(f"{owner}: {what} must be one number, got a rate that changes with the step: {rate.argument}")
    if not capabilities.grouped_rates and rate.argument != default.argument:
        raise ValueError(
            f"{owner}: {what} must be the optimizer's 'learning_rate', {default.argument!r}, which is the same for "
            f"all groups; got {rate.argument!r}"
        )


def make_decay(owner: str, name: str, value: Any) -> float | nn.Cell:
    """Take a weight decay: a float or an int >= 0, or a Cell that is called with the step.

    Raises:
        TypeError: neither a number nor a Cell.
        ValueError: negative or not finite.
    """
    if isinstance(value, nn.Cell):
        return value
    if not is_number(value):
        raise TypeError(f"{owner}: '{name}' must be a float or int >= 0, or a Cell of the step, got {describe(value)}")
    return number(owner, name, value, "[0, inf)")


def _active(decay: float | nn.Cell) -> bool:
    return isinstance(decay, nn.Cell) or decay > 0.0


def _read(owner: str, name: str, params: Any) -> list[Any]:
    if params is None:
        raise ValueError(f"{owner}: '{name}' must be an iterable of Parameters or of group dicts, got None")
    if isinstance(params, nn.Cell):
        raise TypeError(
            f"{owner}: '{name}' must be an iterable of Parameters or of group dicts, got the network "
            f"{type(params).__name__}; give its trainable_params(), or the network to tinyms_core.create_optimizer"
        )
    if isinstance(params, Parameter | Mapping | str) or not isinstance(params, Iterable):
        raise TypeError(
            f"{owner}: '{name}' must be an iterable of Parameters or of group dicts, got {describe(params)}; "
            "put it in a list"
        )
    items = list(params)
    if not items:
        raise ValueError(f"{owner}: '{name}' is empty; there is nothing to optimize")
    return items


def _parameter(owner: str, where: str, item: Any) -> Parameter:
    if not isinstance(item, Parameter):
        raise TypeError(f"{owner}: {where} must be a Parameter, or all of 'params' group dicts, got {describe(item)}")
    if item.dtype not in FLOATS:
        allowed = ", ".join(str(kind).lower() for kind in FLOATS)
        raise TypeError(f"{owner}: {where}, parameter {item.name!r}, is of {item.dtype}; it must be one of {allowed}")
    return item


def _refuse_repetition(owner: str, members: list[tuple[str, Parameter]]) -> None:
    seen: dict[str, str] = {}
    for where, parameter in members:
        if parameter.name in seen:
            first = seen[parameter.name]
            places = f"twice in {where}" if first == where else f"in {first} and in {where}"
            raise ValueError(
                f"{owner}: parameter {parameter.name!r} is {places}; each must be there once and have a name of its own"
            )
        seen[parameter.name] = where


def _from_groups(
    owner: str, items: list[Any], rate: Rate, decay: float | nn.Cell, options: Mapping[str, Take]
) -> Grouping:
    settings: dict[str, Setting] = {}
    members: list[tuple[str, Parameter]] = []
    order: list[Parameter] | None = None
    source: list[dict[str, Any]] = []
    grouped_rates = False
    for index, group in enumerate(items):
        where = f"group {index}"
        _check_keys(owner, where, group, (*KEYS, *options))
        if ORDER in group:
            if order is not None:
                raise ValueError(f"{owner}: {where} is a second dict with {ORDER!r}; there may be one")
            order = [
                _parameter(owner, f"{where} ['{ORDER}'][{i}]", item)
                for i, item in enumerate(_read(owner, f"{where} ['{ORDER}']", group[ORDER]))
            ]
            source.append({ORDER: order})
            continue
        parameters = [
            _parameter(owner, f"{where} ['params'][{i}]", item)
            for i, item in enumerate(_read(owner, f"{where} ['params']", group["params"]))
        ]
        members += [(where, p) for p in parameters]
        _refuse_repetition(owner, members)
        group_rate, group_decay = rate, decay
        source.append({**group, "params": parameters})
        if "lr" in group:
            grouped_rates = True
            group_rate = make_rate(owner, f"{where} ['lr']", group["lr"], f"learning_rate_group_{index}")
            source[-1]["lr"] = group_rate.argument
        if "weight_decay" in group:
            group_decay = make_decay(owner, f"{where} ['weight_decay']", group["weight_decay"])
        centralize = flag(owner, f"{where} ['grad_centralization']", group.get("grad_centralization", False))
        own = tuple((key, options[key](f"{where} ['{key}']", group[key])) for key in sorted(options) if key in group)
        for parameter in parameters:
            settings[parameter.name] = Setting(
                parameter,
                group_rate,
                group_decay,
                _active(group_decay),
                centralize and _centralized(owner, where, parameter),
                own,
            )
    if not settings:
        raise ValueError(f"{owner}: 'params' holds no group with parameters, only {ORDER!r}")
    chosen = tuple(settings.values()) if order is None else _ordered(owner, settings, order)
    return Grouping(chosen, True, grouped_rates, rate, source)


def _check_keys(owner: str, where: str, group: Mapping[str, Any], keys: Sequence[str]) -> None:
    if ORDER in group:
        if len(group) > 1:
            others = sorted(str(key) for key in group if key != ORDER)
            raise ValueError(f"{owner}: {where} has {ORDER!r} beside {others}; it must be alone in its dict")
        return
    unknown = sorted(str(key) for key in group if key not in keys)
    if unknown:
        raise InvalidGroupError(
            f"{owner}: {where} has the unknown key(s) {unknown}; allowed are {', '.join(keys)}, {ORDER}"
        )
    if "params" not in group:
        raise InvalidGroupError(f"{owner}: {where} has no 'params'; its keys are {sorted(group)}")


def _centralized(owner: str, where: str, parameter: Parameter) -> bool:
    """Whether centralization applies to a parameter of a group that asks for it."""
    if parameter.ndim in (0, 2):
        raise ValueError(
            f"{owner}: {where} asks for 'grad_centralization', but parameter {parameter.name!r} of shape "
            f"{tuple(parameter.shape)} is not a convolution's; leave it to a group without"
        )
    return bool(parameter.ndim >= 3)


def _ordered(owner: str, settings: dict[str, Setting], order: list[Parameter]) -> tuple[Setting, ...]:
    _refuse_repetition(owner, [(f"{ORDER!r}", p) for p in order])
    names = {p.name for p in order}
    missing = [name for name in settings if name not in names]
    foreign = [p.name for p in order if p.name not in settings or settings[p.name].parameter is not p]
    if missing or foreign:
        raise ValueError(
            f"{owner}: {ORDER!r} must hold exactly the grouped parameters; "
            f"missing: {missing}, not in any group: {foreign}"
        )
    return tuple(settings[p.name] for p in order)

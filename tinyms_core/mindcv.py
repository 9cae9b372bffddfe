"""`create_optimizer` with the arguments of MindCV, so that code for it changes one import.

>>> from mindspore import nn
>>> from tinyms_core.mindcv import create_optimizer
>>> optimizer = create_optimizer(nn.Dense(4, 2), opt="adamw", lr=[0.1, 0.05], weight_decay=0.05)
>>> type(optimizer).__name__
'AdamW'

The arguments are those of `mindcv.optim.create_optimizer` 0.3. What that function would leave out in silence is an
error here that names the argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import mindspore
from mindspore import Parameter, nn

from tinyms_core.optimizer.create import create_optimizer as _create
from tinyms_core.optimizer.parameter_groups import scaled, taken_rate
from tinyms_core.registry.validation import describe, inside, is_default, is_number

__all__ = ["create_optimizer"]


@dataclass(frozen=True)
class _Optimizer:
    """What one of MindCV's names stands for.

    Attributes:
        name: the optimizer's name here.
        takes: MindCV's arguments that apply to it, with what they are called here.
    """

    name: str
    takes: Mapping[str, str] = field(default_factory=dict)


_SCALE: Final = {"loss_scale": "loss_scale"}
_MOMENTUM: Final = _Optimizer("momentum", {"momentum": "momentum", "nesterov": "use_nesterov", **_SCALE})

OPTIMIZERS: Final[Mapping[str, _Optimizer]] = {
    "sgd": _Optimizer("sgd", {"momentum": "momentum", "nesterov": "nesterov", **_SCALE}),
    "momentum": _MOMENTUM,
    # There too the name alone does not choose Nesterov's momentum; the argument does.
    "nesterov": _MOMENTUM,
    "adam": _Optimizer("adam", {"nesterov": "use_nesterov", **_SCALE}),
    "adamw": _Optimizer("adamw", _SCALE),
    "lion": _Optimizer("lion", _SCALE),
    "adan": _Optimizer("adan", _SCALE),
    "rmsprop": _Optimizer("rmsprop", {"momentum": "momentum", "eps": "epsilon", **_SCALE}),
    "adagrad": _Optimizer("adagrad", _SCALE),
    "lamb": _Optimizer("lamb"),
}
"""MindCV's names of optimizers that are there here too."""

# Names of MindCV that nothing here stands for.
ABSENT: Final = ("nadam",)
# Arguments that not every optimizer has, with MindCV's defaults; a default asks for nothing.
DEFAULTS: Final[Mapping[str, Any]] = {
    "momentum": 0.9,
    "nesterov": False,
    "loss_scale": 1.0,
    "schedule_decay": 4e-3,
    "eps": 1e-10,
}
# Arguments of `tinyms_core.create_optimizer` that every optimizer has, and what MindCV calls them.
_NAMED: Final = {"name": "opt", "net_or_params": "model_or_params", "learning_rate": "lr"}
FILTERS: Final = ("disable", "auto", "norm_and_bias")
# Parameters in a row that are a layer for `layer_decay`, as many as a block of a vision transformer has.
_LAYER: Final = 12
_BY_PATTERNS: Final = "tinyms_core.parameter_groups makes groups by patterns of names"
_OWNER: Final = "create_optimizer"


def create_optimizer(
    model_or_params: nn.Cell | Iterable[Any],
    opt: str = "adam",
    lr: Any = 1e-3,
    weight_decay: Any = 0,
    momentum: float = 0.9,
    nesterov: bool = False,
    weight_decay_filter: str = "disable",
    layer_decay: float | None = None,
    loss_scale: float = 1.0,
    schedule_decay: float = 4e-3,
    checkpoint_path: str = "",
    eps: float = 1e-10,
    **kwargs: Any,
) -> nn.Optimizer:
    """Build an optimizer from the arguments of MindCV's function of this name.

    ``momentum``, ``nesterov``, ``loss_scale``, ``schedule_decay`` and ``eps`` apply to some optimizers. For another one
    each may have its default, which asks for nothing; any other value is refused.

    Arguments:
        model_or_params: a network, Parameters, or group dicts.
        opt: one of sgd, momentum, nesterov, adam, adamw, lion, adan, rmsprop, adagrad, lamb, in any case of letters.
        lr: the rate: a number, one for each step, as MindCV's schedulers give, or a LearningRateSchedule.
        weight_decay: the decay, float or int >= 0, or a Cell of the step.
        momentum: of sgd, momentum, nesterov and rmsprop.
        nesterov: of sgd, momentum, nesterov and adam; there too the name nesterov alone does not choose it.
        weight_decay_filter: "disable": every parameter decays. "norm_and_bias": not those with beta, gamma or bias in
            their names, and not those that the network's ``no_weight_decay()`` names. "auto": not those with beta or
            gamma in their names, unless they are in a group.
        layer_decay: d in (0, 1] for smaller rates of earlier layers: lr times d for each layer between it and the last.
            It needs a network whose ``pretrained_cfg["classifier"]`` names its last layer; of the others 12
            parameters in a row are a layer. Vectors do not decay then, nor what ``no_weight_decay()`` names.
        loss_scale: what gradients are divided by: float > 0; of all but lamb.
        schedule_decay: of nadam, which is not there here.
        checkpoint_path: a file to load the optimizer's state from; empty for none.
        eps: of rmsprop.
        kwargs: the optimizer's own arguments, as `tinyms_core.get_optimizer(name)` has them.

    Returns:
        The optimizer.

    Raises:
        ValueError: an optimizer of no known name; an argument that does not apply to it, or out of range.
        TypeError: an argument that the optimizer does not have, or of a wrong type.
        FileNotFoundError: there is no file at ``checkpoint_path``.

    Example:
        >>> from mindspore import nn
        >>> optimizer = create_optimizer(nn.Dense(4, 2), opt="sgd", lr=[0.1, 0.05], momentum=0.9, nesterov=True)
        >>> type(optimizer).__name__, optimizer.rate_limit
        ('SGD', 2)
    """
    chosen = _chosen(opt)
    shared = {
        "momentum": momentum,
        "nesterov": nesterov,
        "loss_scale": loss_scale,
        "schedule_decay": schedule_decay,
        "eps": eps,
    }
    arguments = _own(opt, chosen, shared, kwargs)
    if layer_decay is not None:
        # Read once, for the rates of all layers.
        lr = taken_rate(_OWNER, "lr", lr)
    params, decay = _grouped(model_or_params, lr, weight_decay, weight_decay_filter, layer_decay)
    if checkpoint_path and not Path(checkpoint_path).is_file():
        raise FileNotFoundError(f"{_OWNER}: 'checkpoint_path': there is no file {checkpoint_path!r}")
    optimizer = _create(chosen.name, params, learning_rate=lr, weight_decay=decay, **arguments)
    if checkpoint_path:
        _load(optimizer, checkpoint_path)
    return optimizer


def _chosen(opt: Any) -> _Optimizer:
    if not isinstance(opt, str):
        raise TypeError(f"{_OWNER}: 'opt' must be the name of an optimizer, got {describe(opt)}")
    name = opt.lower()
    if name in OPTIMIZERS:
        return OPTIMIZERS[name]
    there = ", ".join(OPTIMIZERS)
    if name in ABSENT:
        raise ValueError(f"{_OWNER}: 'opt': {opt!r} is MindCV's alone and is not there here; there are {there}")
    close = get_close_matches(name, OPTIMIZERS, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ValueError(
        f"{_OWNER}: 'opt': {opt!r} is no optimizer of MindCV's; {hint}there are {there}. "
        "tinyms_core.create_optimizer has more, by name"
    )


def _own(opt: str, chosen: _Optimizer, shared: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """The optimizer's arguments, from those that MindCV has for all."""
    for ours, theirs in (*_NAMED.items(), *((chosen.takes[name], name) for name in shared if name in chosen.takes)):
        if ours in more:
            raise TypeError(f"{_OWNER}: {ours!r} is {theirs!r} here; give it by that name")
    found = dict(more)
    for name, value in shared.items():
        if name in chosen.takes:
            found[chosen.takes[name]] = value
        elif not is_default(value, DEFAULTS[name]):
            holders = ", ".join(other for other, entry in OPTIMIZERS.items() if name in entry.takes)
            raise ValueError(
                f"{_OWNER}: {name!r} does not apply to {opt!r}, got {value!r}; "
                + (f"it is of {holders}; " if holders else "")
                + "leave it out, or give the optimizer's own argument to tinyms_core.create_optimizer"
            )
    return found


def _grouped(given: Any, lr: Any, decay: Any, decay_filter: Any, layer_decay: float | None) -> tuple[Any, Any]:
    """What the optimizer is built from, and its own decay."""
    if decay_filter not in FILTERS:
        raise ValueError(
            f"{_OWNER}: 'weight_decay_filter' must be one of {', '.join(FILTERS)}, got {describe(decay_filter)}"
        )
    network = isinstance(given, nn.Cell)
    named = set(given.no_weight_decay()) if hasattr(given, "no_weight_decay") else set()
    params = _items(given)
    if layer_decay is not None:
        if not network or decay_filter == "auto":
            what = "'weight_decay_filter' other than 'auto'" if network else "a network to find the layers in"
            raise ValueError(f"{_OWNER}: 'layer_decay' needs {what}")
        return _layered(given, params, lr, decay, layer_decay, named), 0.0
    if decay_filter == "auto":
        return params, decay
    if any(isinstance(item, Mapping) for item in params):
        if decay_filter != "disable":
            raise ValueError(
                f"{_OWNER}: 'weight_decay_filter' makes groups itself; with group dicts it must be 'disable' or "
                f"'auto', got {decay_filter!r}"
            )
        return params, decay
    spared = [_is_norm_or_bias(p) or p.name in named for p in params] if decay_filter == "norm_and_bias" else None
    return _by_decay(params, decay, spared or [False] * len(params)), 0.0


def _items(given: Any) -> list[Any]:
    """The Parameters, or group dicts."""
    if isinstance(given, Parameter | Mapping | str) or not isinstance(given, nn.Cell | Iterable):
        raise TypeError(
            f"{_OWNER}: 'model_or_params' must be a network, or a list of Parameters or of group dicts, got "
            f"{describe(given)}"
        )
    items = given.trainable_params() if isinstance(given, nn.Cell) else list(given)
    if not items:
        network = isinstance(given, nn.Cell)
        what = f"the network {type(given).__name__} has no trainable parameters" if network else "it is empty"
        raise ValueError(f"{_OWNER}: 'model_or_params': {what}; there is nothing to optimize")
    for index, item in enumerate(items):
        if not isinstance(item, Parameter | Mapping):
            raise TypeError(
                f"{_OWNER}: model_or_params[{index}] must be a Parameter or a group dict, got {describe(item)}"
            )
    return items


def _is_norm_or_bias(parameter: Parameter) -> bool:
    return any(word in parameter.name for word in ("beta", "gamma", "bias"))


def _by_decay(params: list[Parameter], decay: Any, spared: list[bool]) -> list[dict[str, Any]]:
    groups = [
        {"params": [p for p, free in zip(params, spared, strict=True) if not free], "weight_decay": decay},
        {"params": [p for p, free in zip(params, spared, strict=True) if free], "weight_decay": 0.0},
    ]
    return [*(group for group in groups if group["params"]), {"order_params": params}]


def _layered(
    net: nn.Cell, params: list[Parameter], lr: Any, decay: Any, layer_decay: Any, named: set[str]
) -> list[dict[str, Any]]:
    """Groups by layer and by decay."""
    if not is_number(layer_decay):
        raise TypeError(f"{_OWNER}: 'layer_decay' must be a float in (0, 1], got {describe(layer_decay)}")
    inside(_OWNER, "layer_decay", float(layer_decay), "(0, 1]")
    layers = _layers(net)
    last = max(layers.values())
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for parameter in params:
        layer = layers[id(parameter)]
        spared = parameter.ndim == 1 or parameter.name in named
        group = groups.setdefault((layer, spared), {"params": []})
        group["params"].append(parameter)
        group["weight_decay"] = 0.0 if spared else decay
        group["lr"] = scaled(lr, float(layer_decay) ** (last - layer))
    return [*groups.values(), {"order_params": params}]


def _layers(net: nn.Cell) -> dict[int, int]:
    """The layer of each parameter, by its identity: so many in a row, and the classifier's last."""
    head = (getattr(net, "pretrained_cfg", None) or {}).get("classifier")
    if not head or hasattr(net, "group_matcher"):
        raise ValueError(
            f"{_OWNER}: 'layer_decay' needs a network whose pretrained_cfg['classifier'] names its last layer; "
            f"{type(net).__name__} has {'a group_matcher' if head else 'none'}. {_BY_PATTERNS}"
        )
    prefixes = (head,) if isinstance(head, str) else tuple(head)
    # By their places in the network; what a Parameter calls itself may be another name.
    trunk = [parameter for name, parameter in net.parameters_and_names() if not name.startswith(prefixes)]
    last = [parameter for name, parameter in net.parameters_and_names() if name.startswith(prefixes)]
    if not last:
        raise ValueError(
            f"{_OWNER}: 'layer_decay': pretrained_cfg['classifier'] of {type(net).__name__} is {head!r}, with "
            f"which no parameter's name begins. {_BY_PATTERNS}"
        )
    layers = {id(parameter): place // _LAYER for place, parameter in enumerate(trunk)}
    return {**layers, **dict.fromkeys(map(id, last), -(-len(trunk) // _LAYER))}


def _load(optimizer: nn.Optimizer, file: str) -> None:
    missing, _ = mindspore.load_param_into_net(optimizer, mindspore.load_checkpoint(file))
    if missing:
        raise ValueError(
            f"{_OWNER}: 'checkpoint_path': {file!r} has no {', '.join(missing)}; it is of another optimizer"
        )

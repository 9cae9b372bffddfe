"""`create_optimizer`: an optimizer by name, with the groups that training a network usually wants."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import numpy as np
from mindspore import Parameter, Tensor, nn

from tinyms_core.optimizer.base import Optimizer
from tinyms_core.optimizer.elsewhere import called_here
from tinyms_core.registry import api
from tinyms_core.registry.specs import Hyperparameter
from tinyms_core.registry.validation import describe, flag, inside, is_default, is_number

# Layers whose parameters are scales and shifts of a normalization.
NORMALIZATIONS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
)


def create_optimizer(
    name: str,
    net_or_params: nn.Cell | Iterable[Any],
    *,
    learning_rate: Any = None,
    weight_decay: Any = 0.0,
    decay_bias_and_norm: bool = False,
    layer_decay: float | None = None,
    around: str | None = None,
    offload: bool | None = None,
    **hyperparameters: Any,
) -> nn.Optimizer:
    r"""Build an optimizer by name, for a network or for parameters.

    For a network, biases and the parameters of normalization layers are put in a group without weight
    decay, and ``layer_decay`` gives earlier layers smaller rates:

    .. math::
        \eta_i = \eta \cdot d^{\,n - 1 - i}

    for layer :math:`i` of :math:`n`, a layer being a Cell that holds parameters itself, in the network's
    order. Parameters or group dicts are passed on as they are.

    An optimizer that is built from a network is given the network itself, and chooses itself what decays. Where it
    wants a Tensor of one value, or of one for each step, a number or a list of numbers is made one.

    An optimizer that is built around another one, such as LARS, needs that one: either its name as ``around``, and
    it is built as above, or the built optimizer in place of the network.

    Arguments:
        name: the optimizer's name, as for `get_optimizer`.
        net_or_params: a network, an iterable of Parameters, or group dicts; for an optimizer around another one
            also that other one, built.
        learning_rate: the rate; may be left out where the optimizer has a default.
        weight_decay: the decay, float or int >= 0, or a Cell of the step.
        decay_bias_and_norm: whether the decay applies to biases and normalizations too.
        layer_decay: :math:`d`, in (0, 1]; None for one rate. Needs a network and a rate that is a number.
        around: name of the optimizer that one of the given name is built around.
        offload: whether state is in the host's memory and updated there, for a rule on single elements; as the
            optimizer declares when None.
        hyperparameters: the optimizer's other arguments; an unknown one is refused with the known ones. With
            ``around`` they are those of either optimizer; one that both have is the outer one's.

    Returns:
        The optimizer.

    Raises:
        UnknownOptimizerError: no optimizer of that name.
        TypeError: an argument that the optimizer does not have, or of a wrong type; ``around`` is missing where it is
            needed, or given where it is not.
        ValueError: an argument out of range, ``layer_decay`` or ``decay_bias_and_norm`` without a network, or
            ``offload`` where a step is not elementwise.
        MissingKernelError: state is to be offloaded, and MindSpore's device is not the CPU.

    Example:
        >>> from mindspore import nn
        >>> import tinyms_core
        >>> net = nn.SequentialCell(nn.Dense(4, 8), nn.LayerNorm((8,)), nn.Dense(8, 2))
        >>> optimizer = tinyms_core.create_optimizer("adam", net, learning_rate=0.01, weight_decay=0.1)
        >>> [s.parameter.name for s in optimizer.settings if s.decays]
        ['0.weight', '2.weight']
        >>> optimizer = tinyms_core.create_optimizer("lars", net, around="momentum", learning_rate=0.1, momentum=0.9)
        >>> type(optimizer).__name__, type(optimizer.optimizer).__name__
        ('LARS', 'Momentum')
    """
    cls = api.get_optimizer(name)
    flag(name, "decay_bias_and_norm", decay_bias_and_norm)
    base = {
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "decay_bias_and_norm": decay_bias_and_norm,
        "layer_decay": layer_decay,
    }
    if api.optimizer_info(name).capabilities.wraps_optimizer:
        if offload:
            raise ValueError(f"{name}: 'offload' must be False: its factors are of whole parameters")
        return _create_around(name, cls, net_or_params, around, base, hyperparameters)
    if around is not None:
        raise TypeError(f"{name}: it is not built around another optimizer, got around={around!r}")
    accepted = _accepted(cls)
    arguments = dict(hyperparameters)
    if learning_rate is not None:
        arguments["learning_rate"] = learning_rate
    unknown = sorted(set(arguments) - set(accepted))
    if unknown:
        called = called_here(unknown, accepted)
        raise TypeError(f"{name}: unknown argument(s) {unknown}{called}; it takes {', '.join(accepted)}")
    for key, parameter in accepted.items():
        required = parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        )
        if required and key not in arguments and key != "weight_decay":
            raise TypeError(f"{name}: {key!r} is required; it has no default")
    consumes_network = api.optimizer_info(name).capabilities.consumes_network
    if consumes_network:
        _refuse_groups(name, decay_bias_and_norm=decay_bias_and_norm, layer_decay=layer_decay)
    if "weight_decay" in accepted:
        arguments["weight_decay"] = weight_decay
    elif not is_number(weight_decay) or weight_decay != 0:
        raise TypeError(f"{name}: it has no 'weight_decay', got {describe(weight_decay)}")
    if consumes_network:
        params: Any = net_or_params
        arguments = _as_tensors(api.optimizer_info(name).hyperparameters, arguments)
    elif isinstance(net_or_params, nn.Cell):
        rate = arguments.get("learning_rate", getattr(accepted.get("learning_rate"), "default", None))
        params = _network_groups(name, net_or_params, rate, decay_bias_and_norm, layer_decay)
    elif layer_decay is not None:
        raise ValueError(f"{name}: 'layer_decay' needs a network to find the layers in, got parameters")
    elif decay_bias_and_norm:
        raise ValueError(
            f"{name}: 'decay_bias_and_norm' is for a network, in which biases and normalizations are found; parameters "
            "and groups are taken as they are"
        )
    else:
        params = net_or_params
    optimizer: Optimizer = cls(params, **arguments)
    if offload is not None:
        optimizer.use_offload = offload
    return optimizer


def _refuse_groups(name: str, **asked: Any) -> None:
    """Refuse what is done with groups, for an optimizer that is given the network itself."""
    for argument, value in asked.items():
        if value:
            raise ValueError(
                f"{name}: it is built from a network, not from groups of its parameters, so {argument!r} would have no "
                f"effect; got {value!r}"
            )


def _as_tensors(declared: Iterable[Hyperparameter], arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments, with numbers and lists of them as Tensors where one value, or one for each step, is meant."""
    listed = {hyperparameter.name for hyperparameter in declared if hyperparameter.by_step}
    return {
        key: Tensor(np.asarray(value, np.float32)) if key in listed and _is_listed(value) else value
        for key, value in arguments.items()
    }


def _is_listed(value: Any) -> bool:
    return is_number(value) or (isinstance(value, (list, tuple)) and bool(value) and all(map(is_number, value)))


def _create_around(
    name: str, cls: Any, given: Any, around: str | None, base: dict[str, Any], hyperparameters: dict[str, Any]
) -> nn.Optimizer:
    """Build an optimizer around another one, which is given, or built first."""
    own = _accepted(cls)
    if isinstance(given, nn.Optimizer):
        changed = [key for key, value in base.items() if _is_given(key, value)]
        if around is not None or changed:
            raise TypeError(
                f"{name}: the optimizer that it is around is built already, so these say nothing: "
                f"{', '.join(['around'] * (around is not None) + changed)}"
            )
        unknown = sorted(set(hyperparameters) - set(own))
        if unknown:
            raise TypeError(f"{name}: unknown argument(s) {unknown}; it takes {', '.join(own)}")
        return cls(given, **hyperparameters)
    if around is None:
        raise TypeError(
            f"{name}: it is built around another optimizer; name that one, such as around='momentum', or give the "
            "optimizer that you have built in place of the network"
        )
    theirs = _accepted(api.get_optimizer(around))
    if api.optimizer_info(around).capabilities.wraps_optimizer:
        raise TypeError(
            f"{name}: 'around' must name an optimizer that is not around another one itself, got {around!r}"
        )
    unknown = sorted(set(hyperparameters) - set(own) - set(theirs))
    if unknown:
        raise TypeError(
            f"{name}: unknown argument(s) {unknown}; it takes {', '.join(own)}; {around} takes {', '.join(theirs)}"
        )
    rest = {key: value for key, value in hyperparameters.items() if key not in own}
    inner = create_optimizer(around, given, **base, **rest)
    return cls(inner, **{key: value for key, value in hyperparameters.items() if key in own})


def _is_given(argument: str, value: Any) -> bool:
    """Whether an argument of `create_optimizer` has another value than its default."""
    return not is_default(value, inspect.signature(create_optimizer).parameters[argument].default)


def _accepted(cls: type) -> dict[str, inspect.Parameter]:
    """The constructor's arguments after the first."""
    found = dict(inspect.signature(cls).parameters)
    found.pop(next(iter(found)))
    return found


def _network_groups(
    name: str, net: nn.Cell, rate: Any, decay_bias_and_norm: bool, layer_decay: float | None
) -> list[dict[str, Any]]:
    """Groups by decay and layer, and the network's own order for the update."""
    parameters = net.trainable_params()
    if not parameters:
        raise ValueError(f"{name}: the network {type(net).__name__} has no trainable parameters")
    plain = set() if decay_bias_and_norm else _bias_and_norm(net)
    depths = _depths(net)
    count = max(depths.values(), default=0) + 1
    groups: dict[tuple[bool, int], dict[str, Any]] = {}
    for parameter in parameters:
        depth = depths[id(parameter)] if layer_decay is not None else 0
        group = groups.setdefault((id(parameter) in plain, depth), {"params": []})
        group["params"].append(parameter)
        if id(parameter) in plain:
            group["weight_decay"] = 0.0
        if layer_decay is not None:
            group["lr"] = _layer_rate(name, rate, layer_decay, count - 1 - depth)
    return [*groups.values(), {"order_params": parameters}]


def _layer_rate(name: str, rate: Any, layer_decay: Any, distance: int) -> float:
    if not is_number(layer_decay):
        raise TypeError(f"{name}: 'layer_decay' must be a float in (0, 1], got {describe(layer_decay)}")
    inside(name, "layer_decay", float(layer_decay), "(0, 1]")
    if not is_number(rate):
        raise ValueError(f"{name}: 'layer_decay' needs a 'learning_rate' that is a number, got {describe(rate)}")
    return float(rate) * float(layer_decay) ** distance


def _bias_and_norm(net: nn.Cell) -> set[int]:
    """Identities of biases and of the parameters of normalization layers."""
    found: set[int] = set()
    for _, cell in net.cells_and_names():
        for own, parameter in cell._params.items():
            if parameter is not None and (isinstance(cell, NORMALIZATIONS) or _is_bias(own, parameter)):
                found.add(id(parameter))
    return found


def _is_bias(name: str, parameter: Parameter) -> bool:
    return name == "bias" or name.endswith("_bias") or parameter.name.rpartition(".")[2] == "bias"


def _depths(net: nn.Cell) -> dict[int, int]:
    """For each parameter its layer's place in the network, from 0."""
    depths: dict[int, int] = {}
    depth = 0
    for _, cell in net.cells_and_names():
        own = [p for p in cell._params.values() if p is not None and id(p) not in depths]
        for parameter in own:
            depths[id(parameter)] = depth
        depth += bool(own)
    return depths

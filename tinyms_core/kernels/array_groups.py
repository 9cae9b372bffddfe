"""Plain arrays and groups of them: one setting for each array, and the numbers of a step for each group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinyms_core.kernels.buffers import Buffer, read_buffer
from tinyms_core.registry.specs import Capabilities
from tinyms_core.registry.validation import describe, flag, number

KEYS = ("params", "lr", "weight_decay", "grad_centralization")

# A number for all steps, or a function of the number of steps that were done.
Schedule = float | Callable[[int], float]


@dataclass(frozen=True)
class ArrayGroup:
    """What applies to the arrays of a group.

    Attributes:
        rate: their learning rate; None where there is none.
        decay: their weight decay.
        centralize: whether their gradients are centralized.
    """

    rate: Schedule | None
    decay: Schedule
    centralize: bool


@dataclass(frozen=True)
class ArraySetting:
    """One array to update.

    Attributes:
        place: what errors call it.
        array: the array.
        buffer: its memory.
        group: the place of its group.
    """

    place: str
    array: Any
    buffer: Buffer
    group: int


def schedule(owner: str, name: str, value: Any) -> Schedule:
    """Take a number >= 0, or a function of the step."""
    if callable(value) and not hasattr(value, "__float__"):
        return value  # type: ignore[no-any-return]
    return number(owner, name, value, "[0, inf)")


def value_at(owner: str, name: str, given: Schedule, step: int) -> float:
    """A number at a 0-based step."""
    return number(owner, f"{name} at step {step}", given(step), "[0, inf)") if callable(given) else given


def read_groups(
    owner: str, params: Any, rate: Schedule | None, decay: Schedule, stream: int
) -> tuple[list[ArraySetting], list[ArrayGroup]]:
    """Read what is given as ``params``: arrays, or group dicts as MindSpore's optimizers take them.

    Arguments:
        owner: the optimizer's name, for errors.
        params: the arrays or the groups.
        rate: the rate of groups without one.
        decay: the decay of groups without one.
        stream: handle of the CUDA stream of the steps.

    Returns:
        A setting for each array, and the groups.

    Raises:
        TypeError: no sequence of arrays or of dicts, or a value of a wrong type.
        ValueError: nothing to update, an unknown key, or arrays on more than one device.
    """
    if isinstance(params, str | bytes | Mapping) or not isinstance(params, Iterable) or hasattr(params, "shape"):
        raise TypeError(f"{owner}: 'params' must be a list of arrays or of group dicts, got {describe(params)}")
    items = list(params)
    grouped = bool(items) and all(isinstance(item, Mapping) for item in items)
    groups, arrays = [ArrayGroup(rate, decay, False)], [(f"params[{i}]", 0, item) for i, item in enumerate(items)]
    if grouped:
        groups = [_group(owner, f"params[{i}]", item, rate, decay) for i, item in enumerate(items)]
        arrays = [
            (f"params[{i}]['params'][{j}]", i, array) for i, item in enumerate(items)
            for j, array in enumerate(item["params"])
        ]  # fmt: skip
    if not arrays:
        raise ValueError(f"{owner}: 'params' is empty; it must hold at least one array")
    settings = []
    for place, group, array in arrays:
        buffer = read_buffer(f"{owner}: {place}", array, stream)
        if not buffer.writable:
            raise ValueError(f"{owner}: {place} is read-only, and steps write to it")
        settings.append(ArraySetting(place, array, buffer, group))
    require_one_device(owner, [(s.place, s.buffer) for s in settings])
    return settings, groups


def _group(owner: str, place: str, item: Mapping[str, Any], rate: Schedule | None, decay: Schedule) -> ArrayGroup:
    unknown = sorted(set(item) - set(KEYS))
    if unknown or "params" not in item:
        raise ValueError(f"{owner}: {place} must have 'params', and of {KEYS} only; it has {sorted(item)}")
    if not isinstance(item["params"], Sequence):
        raise TypeError(f"{owner}: {place}['params'] must be a list of arrays, got {describe(item['params'])}")
    if not item["params"]:
        raise ValueError(f"{owner}: {place}['params'] is empty; a group must hold at least one array")
    return ArrayGroup(
        schedule(owner, f"{place}['lr']", item["lr"]) if "lr" in item else rate,
        schedule(owner, f"{place}['weight_decay']", item["weight_decay"]) if "weight_decay" in item else decay,
        flag(owner, f"{place}['grad_centralization']", item.get("grad_centralization", False)),
    )


def require_one_device(owner: str, buffers: Sequence[tuple[str, Buffer]]) -> None:
    """Refuse arrays on more than one device.

    Raises:
        ValueError: names the first two that differ.
    """
    place, first = buffers[0]
    for other_place, other in buffers[1:]:
        apart = None not in (first.index, other.index) and first.index != other.index
        if other.device != first.device or apart:
            raise ValueError(
                f"{owner}: {place} is on {_device(first)} and {other_place} on {_device(other)}; "
                "an optimizer's arrays are on one device"
            )


def _device(buffer: Buffer) -> str:
    return buffer.device if buffer.index is None else f"{buffer.device} {buffer.index}"


def require_supported(owner: str, groups: list[ArrayGroup], scale: float, capabilities: Capabilities) -> None:
    """Refuse settings that an optimizer declares not to support.

    Raises:
        ValueError: names the setting.
    """
    rates = [group.rate for group in groups]
    for wrong, what in (
        (any(group.centralize for group in groups) and not capabilities.centralization, "centralized gradients"),
        (scale != 1.0 and not capabilities.loss_scale, f"a 'loss_scale' other than 1.0, got {scale!r}"),
        (any(callable(rate) for rate in rates) and not capabilities.dynamic_rates, "a rate that changes with the step"),
        (any(rate != rates[0] for rate in rates) and not capabilities.grouped_rates, "rates that differ by group"),
        (
            any(group.decay != 0.0 for group in groups) and capabilities.weight_decay == "none",
            "a 'weight_decay' other than 0.0",
        ),
    ):
        if wrong:
            raise ValueError(f"{owner}: {owner} does not support {what}")

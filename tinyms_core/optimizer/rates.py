"""Learning rates: one number, one for each step, or a schedule.

A rate is a float32 Parameter or a schedule, as MindSpore expects, so that it is saved, may be changed
while training, and can be read in a graph. Beside it stands the number that the user wrote: parameters
in float64 use that one for as long as the Parameter holds its rounding.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import mindspore
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore.nn.learning_rate_schedule import LearningRateSchedule

from tinyms_core.registry.validation import as_float, describe, is_number

_EXPECTED = "a float or int >= 0, a 0-d or 1-D Tensor, an iterable of such numbers, or a LearningRateSchedule"

_LARGEST = float(np.finfo(np.float32).max)

# Reads an element of a Parameter of at most one dimension.
Read = Callable[[Parameter, int], float]
# Gives a rate at a 0-based step. What is the same in each step has been looked up: a Cell finds its members slowly.
HostRate = Callable[[int], float]


def read_element(parameter: Parameter, index: int) -> float:
    """An element of a Parameter, on any device."""
    return float(parameter.asnumpy().reshape(-1)[index])


def rate_parameter(value: Any, name: str) -> Parameter:
    """A Parameter for rates, which `set_data` writes in place.

    A compiled `ms.jit` function keeps the memory that a Parameter had when it was compiled, so a rate that
    is given other memory would not reach it.
    """
    parameter = Parameter(Tensor(value, mindspore.float32), name=name, requires_grad=False)
    parameter.set_data = types.MethodType(_set_in_place, parameter)
    return parameter


def _set_in_place(parameter: Parameter, data: Any, slice_shape: bool = False) -> Parameter:
    value = data if isinstance(data, Tensor) else Tensor(data, parameter.dtype)
    if not slice_shape and tuple(value.shape) != tuple(parameter.shape):
        raise ValueError(
            f"{parameter.name}: a value of shape {tuple(value.shape)} cannot replace one of {tuple(parameter.shape)}"
        )
    ops.assign(parameter, value.astype(parameter.dtype))
    return parameter


class FixedRate(nn.Cell):
    """One rate for all steps, held in a Parameter.

    Arguments:
        value: the rate.
        name: the Parameter's name.
    """

    length = 0

    def __init__(self, value: float, name: str) -> None:
        super().__init__(auto_prefix=False)
        self.learning_rate = rate_parameter(value, name)
        self.exact = float(value)
        self.rounded_value = float(np.float32(value))
        self.rounded = Tensor(self.rounded_value, mindspore.float32)
        self.written = Tensor(self.exact, mindspore.float64)

    @property
    def public(self) -> Any:
        """What ``optimizer.learning_rate`` shows."""
        return self.learning_rate

    @property
    def argument(self) -> float:
        """What the user gave, such that it can be given again."""
        return self.exact

    def on_host(self, wide: bool, read: Read = read_element) -> HostRate:
        """What gives the rate as a number on the host."""
        parameter, exact, rounded = self.learning_rate, self.exact, self.rounded_value

        def at(step: int) -> float:
            current = read(parameter, 0)
            return exact if wide and current == rounded else current

        return at

    def construct(self, global_step: Any, wide: bool) -> Any:
        current = self.learning_rate
        if wide:
            return ops.where(current == self.rounded, self.written, ops.cast(current, mindspore.float64))
        return current + 0.0


class NoRate(FixedRate):
    """No rate: the optimizer finds its step by itself. The Parameter that a checkpoint has for one is zero.

    Arguments:
        name: the Parameter's name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(0.0, name)

    @property
    def argument(self) -> None:  # type: ignore[override]
        """What the user gave, such that it can be given again."""
        return None


class ListedRate(LearningRateSchedule):
    """The i-th rate at the i-th step, held in a 1-D Parameter.

    Arguments:
        values: the rates.
        name: the Parameter's name.
    """

    def __init__(self, values: list[float], name: str) -> None:
        super().__init__()
        rounded = np.asarray(values, dtype=np.float32)
        self.learning_rate = rate_parameter(rounded, name)
        self.length = len(values)
        self.exact = [float(value) for value in values]
        self.rounded_values = [float(value) for value in rounded]
        self.rounded = Tensor(rounded)
        self.written = Tensor(np.asarray(values, dtype=np.float64))

    @property
    def public(self) -> Any:
        """What ``optimizer.learning_rate`` shows."""
        return self

    @property
    def argument(self) -> list[float]:
        """What the user gave, such that it can be given again."""
        return list(self.exact)

    def on_host(self, wide: bool, read: Read = read_element) -> HostRate:
        """What gives the rate as a number on the host; a ValueError where there are not so many."""
        parameter, length, exact, rounded = self.learning_rate, self.length, self.exact, self.rounded_values

        def at(step: int) -> float:
            if step >= length:
                raise ValueError(exhausted(length, parameter.name))
            current = read(parameter, step)
            return exact[step] if wide and current == rounded[step] else current

        return at

    def construct(self, global_step: Any, wide: bool = False) -> Any:
        current = ops.gather(self.learning_rate, global_step, 0).reshape(())
        if wide:
            rounded = ops.gather(self.rounded, global_step, 0).reshape(())
            written = ops.gather(self.written, global_step, 0).reshape(())
            return ops.where(current == rounded, written, ops.cast(current, mindspore.float64))
        return current


class ScheduledRate(nn.Cell):
    """A user's schedule, called with the 0-based step.

    Arguments:
        schedule: the schedule.
    """

    length = 0

    def __init__(self, schedule: LearningRateSchedule) -> None:
        super().__init__(auto_prefix=False)
        self.schedule = schedule

    @property
    def public(self) -> Any:
        """What ``optimizer.learning_rate`` shows."""
        return self.schedule

    @property
    def argument(self) -> LearningRateSchedule:
        """What the user gave, such that it can be given again."""
        return self.schedule

    def on_host(self, wide: bool, read: Read = read_element) -> HostRate:
        """What gives the rate as a number on the host; a ValueError where the schedule's is negative or not finite."""
        return partial(value_at, "learning_rate", self.schedule, "rate")

    def construct(self, global_step: Any, wide: bool) -> Any:
        return ops.cast(self.schedule(global_step), mindspore.float32).reshape(())


def value_at(argument: str, cell: nn.Cell, what: str, step: int) -> float:
    """What a user's Cell gives for a 0-based step, as a number on the host.

    Arguments:
        argument: the argument's name, for errors.
        cell: the Cell.
        what: what it gives, for errors.
        step: the step.

    Raises:
        ValueError: the number is negative or not finite.
    """
    result = cell(Tensor([step], mindspore.int32))
    value = float(result.asnumpy().reshape(())) if isinstance(result, Tensor) else float(result)
    if not (math.isfinite(value) and value >= 0.0):
        raise ValueError(
            f"{argument}: {type(cell).__name__} gave {value!r} at step {step}; a {what} must be finite and >= 0"
        )
    return value


Rate = FixedRate | ListedRate | ScheduledRate


def exhausted(length: int, name: str) -> str:
    """The message for a step past the last of the listed rates."""
    return (
        f"{name} lists {length} value(s), one for each step, and all have been used; give more values, "
        "or a LearningRateSchedule. Nothing was changed"
    )


def make_rate(owner: str, name: str, value: Any, parameter_name: str) -> Rate:
    """Make a rate of what a user gave.

    Arguments:
        owner: the optimizer's name, for errors.
        name: the argument's name, for errors.
        value: the user's value.
        parameter_name: name of the Parameter that will hold it.

    Returns:
        The rate.

    Raises:
        TypeError: not one of the kinds of rate.
        ValueError: negative, infinite, NaN, empty, or of more than one dimension.
    """
    if isinstance(value, NoRate):
        return value
    if isinstance(value, LearningRateSchedule):
        return ScheduledRate(value)
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if is_number(value):
        return FixedRate(_checked(owner, name, value), parameter_name)
    if isinstance(value, Tensor | np.ndarray):
        numbers_ = value.asnumpy() if isinstance(value, Tensor) else value
        if numbers_.ndim > 1:
            raise ValueError(
                f"{owner}: '{name}' as a Tensor must have 0 or 1 dimensions, got {numbers_.ndim}, "
                f"shape {numbers_.shape}"
            )
        if numbers_.dtype == bool:
            raise TypeError(f"{owner}: '{name}' must be {_EXPECTED}; got a Tensor of bool")
        if numbers_.ndim == 0:
            return FixedRate(_checked(owner, name, float(numbers_)), parameter_name)
        value = [float(v) for v in numbers_]
    if isinstance(value, str | bytes | dict) or not isinstance(value, Iterable):
        raise TypeError(f"{owner}: '{name}' must be {_EXPECTED}, got {describe(value)}")
    listed = []
    for index, item in enumerate(value):
        if isinstance(item, Tensor) and item.ndim == 0:
            item = item.asnumpy()[()]
        listed.append(_checked(owner, f"{name}[{index}]", item))
    if not listed:
        raise ValueError(f"{owner}: '{name}' is an empty list; give one rate for each step")
    return ListedRate(listed, parameter_name)


def _checked(owner: str, name: str, value: Any) -> float:
    if not is_number(value):
        raise TypeError(f"{owner}: '{name}' must be {_EXPECTED}, got {describe(value)}")
    result = as_float(value)
    if not math.isfinite(result) or result < 0.0:
        raise ValueError(f"{owner}: '{name}' must be finite and >= 0, got {result!r}")
    if result > _LARGEST:
        raise ValueError(
            f"{owner}: '{name}' must be at most {_LARGEST!r}, the largest float32, as which it is held; got {result!r}"
        )
    return result

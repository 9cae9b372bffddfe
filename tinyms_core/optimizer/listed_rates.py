"""Learning rates of MindSpore's experimental schedulers, as a list that any optimizer takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from mindspore import Parameter, Tensor
from mindspore.experimental import optim

from tinyms_core.registry.validation import describe, integer, number

_OWNER: Final = "listed_rates"


def listed_rates(
    make_scheduler: Callable[[Any], Any], learning_rate: float, steps: int, *, steps_per_epoch: int = 1
) -> list[float]:
    """List the rates that a scheduler of `mindspore.experimental.optim.lr_scheduler` gives.

    Those schedulers change an optimizer of `mindspore.experimental` from outside and refuse every other, those of
    `mindspore.nn` among them. A list of what they would set is taken by all. The list is in float32, in which
    MindSpore holds the rate.

    Arguments:
        make_scheduler: a function of an optimizer that returns its scheduler.
        learning_rate: the rate that the optimizer begins with, >= 0.
        steps: how many rates; the training's number of steps.
        steps_per_epoch: after how many steps the scheduler's ``step`` is called, where it counts epochs.

    Returns:
        A rate for each step.

    Raises:
        TypeError: ``make_scheduler`` is no function or returns no scheduler, or another argument is of a wrong type.
        ValueError: a number out of range; a scheduler that waits for a metric, such as ReduceLROnPlateau, whose rates
            nobody knows before.

    Example:
        >>> from mindspore.experimental.optim.lr_scheduler import StepLR
        >>> [round(rate, 4) for rate in listed_rates(lambda o: StepLR(o, 2, gamma=0.5), 0.1, steps=5)]
        [0.1, 0.1, 0.05, 0.05, 0.025]
    """
    if not callable(make_scheduler):
        raise TypeError(
            f"{_OWNER}: 'make_scheduler' must be a function of an optimizer, got {describe(make_scheduler)}"
        )
    count = integer(_OWNER, "steps", steps, "[1, inf)")
    width = integer(_OWNER, "steps_per_epoch", steps_per_epoch, "[1, inf)")
    begin = number(_OWNER, "learning_rate", learning_rate, "[0, inf)")
    parameter = Parameter(Tensor(np.zeros(1, np.float32)), name="listed_rates")
    optimizer = optim.SGD([parameter], lr=begin)
    scheduler = make_scheduler(optimizer)
    if isinstance(scheduler, optim.lr_scheduler.ReduceLROnPlateau):
        raise ValueError(
            f"{_OWNER}: a ReduceLROnPlateau waits for a metric, so its rates cannot be listed before; set the "
            "optimizer's learning_rate while training"
        )
    if not callable(getattr(scheduler, "step", None)):
        raise TypeError(
            f"{_OWNER}: 'make_scheduler' must return a scheduler with a method step, got {describe(scheduler)}"
        )
    rates: list[float] = []
    while len(rates) < count:
        rates += [float(optimizer.param_groups[0]["lr"].asnumpy())] * width
        scheduler.step()
    return rates[:count]

"""The scalars of a step, in the columns that `layout` names."""

from math import sqrt
from typing import Any


def step_numbers(options: dict[str, Any], scale: float, lr: float, t: float, weight_decay: float) -> tuple[float, ...]:
    """Find a group's scalars.

    Arguments:
        options: the hyperparameters, by name.
        scale: the factor of the gradient.
        lr: the learning rate, which counts where the step has none of its own.
        t: the number of the step, 1 at the first.
        weight_decay: the weight decay.
    """
    rate = lr
    if options["relative_step"]:
        rate = min(1e-6 * t if options["warmup_init"] else 1e-2, 1.0 / sqrt(t))
    eps, smallest = options["eps"]
    return (
        scale, 1.0 - t ** -options["decay_rate"], rate, weight_decay, eps, smallest, options["beta1"] or 0.0,
        float(options["scale_parameter"]), options["clip_threshold"],
    )  # fmt: skip

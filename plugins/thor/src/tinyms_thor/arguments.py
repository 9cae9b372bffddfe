"""Checks of the arguments that the base class does not check."""

from __future__ import annotations

from typing import Any

import mindspore
import numpy as np
from mindspore import Tensor, nn


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 80 else text[:77] + '...'} of type {type(value).__name__}"


def checked_arguments(owner: str, net: Any, arguments: dict[str, Any]) -> None:
    """Refuse what cannot be, before anything is made.

    Raises:
        TypeError, ValueError: what is wrong, with which argument, and what would be right.
    """
    if not isinstance(net, nn.Cell):
        raise TypeError(f"{owner}: 'net' must be a network, a Cell of mindspore.nn, got {_shown(net)}")
    if not net.trainable_params():
        raise ValueError(f"{owner}: the network {type(net).__name__} has no trainable parameters")
    _check_parallel_mode(owner)
    _check_rate(owner, "learning_rate", arguments["learning_rate"])
    _check_rate(owner, "damping", arguments["damping"])
    _check_filter(owner, net, arguments["decay_filter"])
    _check_indices(owner, arguments["split_indices"])
    _check_thresholds(owner, arguments["trace_thresholds"])


def _check_parallel_mode(owner: str) -> None:
    mode = mindspore.get_auto_parallel_context("parallel_mode")
    if mode not in ("stand_alone", "data_parallel"):
        raise ValueError(
            f"{owner}: every process has to have the whole network, and the parallel mode is {mode!r}; 'stand_alone' "
            "and 'data_parallel' are right"
        )
    if mode == "data_parallel" and not mindspore.get_auto_parallel_context("gradients_mean"):
        raise ValueError(
            f"{owner}: gradients must be means over the processes, and the parallel mode is 'data_parallel' with "
            "gradients_mean=False; set gradients_mean=True with mindspore.set_auto_parallel_context"
        )


def _check_rate(owner: str, name: str, value: Any) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{owner}: '{name}' must be a Tensor >= 0, 0-d, or 1-D with one value for each step, got {_shown(value)}"
        )
    numbers = value.asnumpy()
    if numbers.ndim > 1 or numbers.size == 0:
        raise ValueError(
            f"{owner}: '{name}' must have 0 dimensions, or 1 with a value for each step, got shape {numbers.shape}"
        )
    if not np.issubdtype(numbers.dtype, np.number):
        raise TypeError(f"{owner}: '{name}' must be a Tensor of numbers, got one of {value.dtype}")
    if not (np.isfinite(numbers).all() and (numbers >= 0).all()):
        raise ValueError(f"{owner}: '{name}' must be finite and >= 0, got {_shown(numbers.tolist())}")


def _check_filter(owner: str, net: nn.Cell, chosen: Any) -> None:
    if not callable(chosen):
        raise TypeError(
            f"{owner}: 'decay_filter' must be a function of a Parameter that returns a bool, got {_shown(chosen)}"
        )
    for parameter in net.trainable_params():
        answer = chosen(parameter)
        if not isinstance(answer, bool):
            raise TypeError(
                f"{owner}: 'decay_filter' must return True or False, got {_shown(answer)} for {parameter.name!r}"
            )


def _check_indices(owner: str, indices: Any) -> None:
    if indices is None:
        return
    whole = isinstance(indices, list | tuple) and all(isinstance(i, int) and not isinstance(i, bool) for i in indices)
    if not whole:
        raise TypeError(f"{owner}: 'split_indices' must be None or a list of ints, got {_shown(indices)}")
    if any(i < 0 for i in indices) or sorted(set(indices)) != list(indices):
        raise ValueError(f"{owner}: 'split_indices' must be ints >= 0 that rise, got {indices!r}")


def _check_thresholds(owner: str, thresholds: Any) -> None:
    if thresholds is None:
        return
    pair = isinstance(thresholds, tuple | list) and len(thresholds) == 2
    if not pair or not all(isinstance(value, float | np.floating) for value in thresholds):
        raise TypeError(f"{owner}: 'trace_thresholds' must be None or a tuple of two floats, got {_shown(thresholds)}")
    above, below = thresholds
    if not (np.isfinite(thresholds).all() and above >= below >= 0.0):
        raise ValueError(
            f"{owner}: 'trace_thresholds' must be finite, >= 0, and the second at most the first, got {thresholds!r}"
        )

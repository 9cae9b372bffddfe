"""What thor takes and refuses: data that its tests read."""

import numpy as np

from tinyms_core.conformance import DECAY_REFUSED, SCALE_REFUSED, Made, Refused


def _tensor(values):
    def make():
        from mindspore import Tensor

        return Tensor(np.asarray(values))

    return Made(make)


def _parameters():
    from tinyms_core.examples import parameter

    return [parameter("lone", [1.0])]


def _without_parameters():
    from mindspore import nn

    return nn.ReLU()


def _rate_refused(name):
    """A learning rate or a damping."""
    return (
        Refused(name, 0.1, TypeError, rf"'{name}' must be a Tensor >= 0, 0-d, or 1-D.* got 0\.1 of type float"),
        Refused(name, None, TypeError, rf"'{name}' must be a Tensor.* got None"),
        Refused(name, [0.1], TypeError, rf"'{name}' must be a Tensor"),
        Refused(name, _tensor(True), TypeError, rf"'{name}' must be a Tensor of numbers, got one of Bool"),
        Refused(name, _tensor(-0.1), ValueError, rf"'{name}' must be finite and >= 0, got -0\.1"),
        Refused(name, _tensor([0.1, np.nan]), ValueError, rf"'{name}' must be finite and >= 0, got \[0\.1, nan\]"),
        Refused(name, _tensor([[0.1]]), ValueError, rf"'{name}' must have 0 dimensions, or 1 .* got shape \(1, 1\)"),
    )


# What is refused, with which exception, and what its message matches.
REFUSED = (
    Refused("net", None, TypeError, r"'net' must be a network, a Cell of mindspore\.nn, got None"),
    Refused("net", Made(_parameters), TypeError, r"'net' must be a network"),
    Refused("net", Made(_without_parameters), ValueError, r"network ReLU has no trainable parameters"),
    *_rate_refused("learning_rate"),
    *_rate_refused("damping"),
    *DECAY_REFUSED,
    *SCALE_REFUSED,
    Refused("momentum", 1, TypeError, r"'momentum' must be a float in \[0, inf\), got 1 of type int; write 1\.0"),
    Refused("momentum", True, TypeError, r"'momentum' must be a float"),
    Refused("momentum", None, TypeError, r"'momentum' must be a float"),
    Refused("momentum", -0.1, ValueError, r"'momentum' must be in \[0, inf\), got -0\.1"),
    Refused("momentum", float("nan"), ValueError, r"'momentum' must be in \[0, inf\), got nan"),
    Refused("batch_size", 32.0, TypeError, r"'batch_size' must be an int in \[1, inf\), got 32\.0 of type float"),
    Refused("batch_size", 0, ValueError, r"'batch_size' must be in \[1, inf\), got 0"),
    Refused("use_nesterov", 1, TypeError, r"'use_nesterov' must be True or False, got 1 of type int"),
    Refused("decay_filter", None, TypeError, r"'decay_filter' must be a function of a Parameter that returns a bool"),
    Refused("decay_filter", lambda p: 1, TypeError, r"'decay_filter' must return True or False, got 1 of type int for"),
    Refused("split_indices", 3, TypeError, r"'split_indices' must be None or a list of ints, got 3"),
    Refused("split_indices", [1.5], TypeError, r"'split_indices' must be None or a list of ints"),
    Refused("split_indices", [26, 3], ValueError, r"'split_indices' must be ints >= 0 that rise, got \[26, 3\]"),
    Refused("enable_clip_grad", None, TypeError, r"'enable_clip_grad' must be True or False, got None"),
    Refused("frequency", 100.0, TypeError, r"'frequency' must be an int in \[2, inf\), got 100\.0 of type float"),
    Refused("frequency", None, TypeError, r"'frequency' must be an int"),
    Refused("frequency", 1, ValueError, r"'frequency' must be in \[2, inf\), got 1"),
    Refused("trace_thresholds", 0.1, TypeError, r"'trace_thresholds' must be None or a tuple of two floats, got 0\.1"),
    Refused("trace_thresholds", (1, 0), TypeError, r"'trace_thresholds' must be None or a tuple of two floats"),
    Refused("trace_thresholds", (0.1, 0.2), ValueError, r"'trace_thresholds' .* the second at most the first"),
    Refused("factor_decay", 1, TypeError, r"'factor_decay' must be a float in \[0, 1\), got 1 of type int"),
    Refused("factor_decay", 1.0, ValueError, r"'factor_decay' must be in \[0, 1\), got 1\.0"),
    Refused("damping_balance", 1, TypeError, r"'damping_balance' must be True or False, got 1 of type int"),
)

# Arguments that are taken; the first row has good values for what has no default.
ACCEPTED = (
    {"learning_rate": _tensor(np.float32(0.05)), "damping": _tensor(np.float32(0.1)), "momentum": 0.9},
    {"momentum": 0.0},
    {"momentum": np.float32(0.5)},
    {"weight_decay": 1, "loss_scale": 2, "batch_size": 1, "frequency": 2},
    {"split_indices": [26, 53]},
    {"trace_thresholds": (0.5, 0.0), "factor_decay": 0.0, "damping_balance": True},
)

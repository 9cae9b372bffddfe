"""What Momentum takes and refuses, and where `mindspore.nn` is right: data that the conformance kit reads."""

import numpy as np

from tinyms_core.conformance import (
    DECAY_REFUSED,
    PARAMS_REFUSED,
    RATE_REFUSED,
    SCALE_REFUSED,
    PeerOptions,
    Refused,
)

# What is refused, with which exception, and what its message matches.
REFUSED = (
    *PARAMS_REFUSED,
    *RATE_REFUSED,
    *DECAY_REFUSED,
    *SCALE_REFUSED,
    Refused("momentum", 1, TypeError, r"'momentum' must be a float in \[0, inf\), got 1 of type int; write 1\.0"),
    Refused("momentum", True, TypeError, r"'momentum' must be a float"),
    Refused("momentum", "0.5", TypeError, r"'momentum' must be a float"),
    Refused("momentum", None, TypeError, r"'momentum' must be a float"),
    Refused("momentum", float("nan"), ValueError, r"'momentum' must be in \[0, inf\), got nan"),
    Refused("momentum", -0.1, ValueError, r"'momentum' must be in \[0, inf\), got -0\.1"),
    Refused("use_nesterov", 1, TypeError, r"'use_nesterov' must be True or False, got 1 of type int"),
    Refused("use_nesterov", None, TypeError, r"'use_nesterov' must be True or False, got None"),
    Refused("use_nesterov", "yes", TypeError, r"'use_nesterov' must be True or False, got 'yes'"),
)

# Arguments that are taken.
ACCEPTED = (
    {"momentum": 0.0},
    {"momentum": np.float32(0.5)},
    {"learning_rate": 1, "weight_decay": 1, "loss_scale": 2},
)

# Options, which oracle decides about them on CPU, and why that one.
PEERS = (
    PeerOptions({"learning_rate": 0.1, "momentum": 0.9}, "mindspore.nn", "momentum"),
    PeerOptions({"learning_rate": 0.1, "momentum": 0.0}, "mindspore.nn", "no momentum"),
    PeerOptions(
        {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.1, "loss_scale": 8.0},
        "mindspore.nn",
        "decay and scaled loss",
    ),
    PeerOptions(
        {"learning_rate": 0.1, "momentum": 0.9, "use_nesterov": True},
        "reference",
        "mindspore.nn ignores the flag on CPU",
    ),
)

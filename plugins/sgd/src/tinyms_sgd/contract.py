"""What SGD takes and refuses, and where `mindspore.nn` is right: data that the conformance kit reads."""

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
    Refused("momentum", True, TypeError, r"'momentum' must be a float or an int"),
    Refused("momentum", "0.5", TypeError, r"'momentum' must be a float or an int"),
    Refused("momentum", None, TypeError, r"'momentum' must be a float or an int"),
    Refused("momentum", float("nan"), ValueError, r"'momentum' must be in \[0, inf\), got nan"),
    Refused("momentum", -0.1, ValueError, r"'momentum' must be in \[0, inf\), got -0\.1"),
    Refused("momentum", -1, ValueError, r"'momentum' must be in \[0, inf\), got -1\.0"),
    Refused("dampening", True, TypeError, r"'dampening' must be a float or an int"),
    Refused("dampening", "0.5", TypeError, r"'dampening' must be a float or an int"),
    Refused("dampening", None, TypeError, r"'dampening' must be a float or an int"),
    Refused("dampening", float("nan"), ValueError, r"'dampening' must be in \[0, inf\), got nan"),
    Refused("dampening", -0.1, ValueError, r"'dampening' must be in \[0, inf\), got -0\.1"),
    Refused("dampening", -1, ValueError, r"'dampening' must be in \[0, inf\), got -1\.0"),
    Refused("nesterov", 1, TypeError, r"'nesterov' must be True or False, got 1 of type int"),
    Refused("nesterov", None, TypeError, r"'nesterov' must be True or False, got None"),
    Refused("nesterov", "yes", TypeError, r"'nesterov' must be True or False, got 'yes'"),
    Refused("nesterov", True, ValueError, r"'nesterov' needs 'momentum' > 0, got momentum=0\.0"),
    Refused(
        "nesterov",
        True,
        ValueError,
        r"needs 'dampening' to be 0, got dampening=0\.1",
        beside={"momentum": 0.9, "dampening": 0.1},
    ),
    Refused("nesterov", True, ValueError, r"dampening=nan", beside={"momentum": 0.9, "dampening": float("nan")}),
)

# Arguments that are taken.
ACCEPTED = (
    {"momentum": 1, "dampening": 2},
    {"momentum": 1, "nesterov": True},
    {"momentum": np.float32(0.5)},
)

# Options, which oracle decides about them on CPU, and why that one.
PEERS = (
    PeerOptions({}, "mindspore.nn", "plain descent"),
    PeerOptions({"weight_decay": 0.1}, "mindspore.nn", "decay"),
    PeerOptions({"loss_scale": 8.0}, "mindspore.nn", "scaled loss"),
    PeerOptions({"dampening": 0.3}, "mindspore.nn", "dampening without momentum changes nothing"),
    PeerOptions({"momentum": 0.9}, "mindspore.nn", "momentum"),
    PeerOptions({"momentum": 0.9, "dampening": 0.3}, "mindspore.nn", "the first gradient is not damped"),
    PeerOptions({"momentum": 0.9, "nesterov": True}, "mindspore.nn", "Nesterov's momentum"),
    PeerOptions({"momentum": 0.9, "weight_decay": 0.1, "loss_scale": 8.0}, "mindspore.nn", "all of preprocessing"),
)

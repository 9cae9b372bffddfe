"""What Adagrad takes and refuses, and where `mindspore.nn` is right: data that the conformance kit reads."""

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
    Refused("accum", 1, TypeError, r"'accum' must be a float in \[0, inf\), got 1 of type int; write 1\.0"),
    Refused("accum", True, TypeError, r"'accum' must be a float"),
    Refused("accum", "0.5", TypeError, r"'accum' must be a float"),
    Refused("accum", None, TypeError, r"'accum' must be a float"),
    Refused("accum", float("nan"), ValueError, r"'accum' must be in \[0, inf\), got nan"),
    Refused("accum", -0.1, ValueError, r"'accum' must be in \[0, inf\), got -0\.1"),
    Refused("update_slots", 1, TypeError, r"'update_slots' must be True or False, got 1 of type int"),
    Refused("update_slots", None, TypeError, r"'update_slots' must be True or False, got None"),
    Refused("update_slots", "yes", TypeError, r"'update_slots' must be True or False, got 'yes'"),
)

# Arguments that are taken.
ACCEPTED = (
    {"accum": 0.0},
    {"accum": np.float32(0.5)},
    {"learning_rate": 1, "weight_decay": 1},
)

# Options, which oracle decides about them on CPU, and why that one.
PEERS = (
    PeerOptions({}, "mindspore.nn", "the plain step"),
    PeerOptions({"learning_rate": 0.1}, "mindspore.nn", "a larger rate"),
    PeerOptions({"accum": 0.0}, "mindspore.nn", "nothing accumulated at first"),
    PeerOptions({"accum": 2.0}, "mindspore.nn", "much accumulated at first"),
    PeerOptions({"weight_decay": 0.1, "loss_scale": 8.0}, "mindspore.nn", "decay and scaled loss"),
    PeerOptions({"update_slots": False}, "reference", "mindspore.nn accumulates all the same"),
)

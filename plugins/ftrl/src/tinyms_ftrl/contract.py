"""What FTRL takes and refuses, and where `mindspore.nn` is right: data that the conformance kit reads."""

import numpy as np

from tinyms_core.conformance import (
    DECAY_REFUSED,
    PARAMS_REFUSED,
    RATE_REFUSED,
    SCALE_REFUSED,
    Made,
    PeerOptions,
    Refused,
)


def _schedule():
    from mindspore.nn.learning_rate_schedule import ExponentialDecayLR

    return ExponentialDecayLR(0.1, 0.9, 2)


# What is refused, with which exception, and what its message matches.
REFUSED = (
    *PARAMS_REFUSED,
    *RATE_REFUSED,
    *DECAY_REFUSED,
    *SCALE_REFUSED,
    Refused(
        "initial_accum", 1, TypeError, r"'initial_accum' must be a float in \[0, inf\), got 1 of type int; write 1\.0"
    ),
    Refused("initial_accum", True, TypeError, r"'initial_accum' must be a float"),
    Refused("initial_accum", "0.5", TypeError, r"'initial_accum' must be a float"),
    Refused("initial_accum", None, TypeError, r"'initial_accum' must be a float"),
    Refused("initial_accum", float("nan"), ValueError, r"'initial_accum' must be in \[0, inf\), got nan"),
    Refused("initial_accum", -0.1, ValueError, r"'initial_accum' must be in \[0, inf\), got -0\.1"),
    Refused("learning_rate", 0.0, ValueError, r"'learning_rate' must be > 0, got 0\.0"),
    Refused("learning_rate", 0, ValueError, r"'learning_rate' must be > 0, got 0\.0"),
    Refused(
        "learning_rate",
        [0.1, 0.2],
        ValueError,
        r"'learning_rate' must be one number.* changes with the step: \[0\.1, 0\.2\]",
    ),
    Refused("learning_rate", Made(_schedule), ValueError, r"'learning_rate' must be one number"),
    Refused("lr_power", 1, TypeError, r"'lr_power' must be a float in \(-inf, 0\], got 1 of type int; write 1\.0"),
    Refused("lr_power", True, TypeError, r"'lr_power' must be a float"),
    Refused("lr_power", "0.5", TypeError, r"'lr_power' must be a float"),
    Refused("lr_power", None, TypeError, r"'lr_power' must be a float"),
    Refused("lr_power", float("nan"), ValueError, r"'lr_power' must be in \(-inf, 0\], got nan"),
    Refused("lr_power", 0.1, ValueError, r"'lr_power' must be in \(-inf, 0\], got 0\.1"),
    Refused("l1", 1, TypeError, r"'l1' must be a float in \[0, inf\), got 1 of type int; write 1\.0"),
    Refused("l1", True, TypeError, r"'l1' must be a float"),
    Refused("l1", "0.5", TypeError, r"'l1' must be a float"),
    Refused("l1", None, TypeError, r"'l1' must be a float"),
    Refused("l1", float("nan"), ValueError, r"'l1' must be in \[0, inf\), got nan"),
    Refused("l1", -0.1, ValueError, r"'l1' must be in \[0, inf\), got -0\.1"),
    Refused("l2", 1, TypeError, r"'l2' must be a float in \[0, inf\), got 1 of type int; write 1\.0"),
    Refused("l2", True, TypeError, r"'l2' must be a float"),
    Refused("l2", "0.5", TypeError, r"'l2' must be a float"),
    Refused("l2", None, TypeError, r"'l2' must be a float"),
    Refused("l2", float("nan"), ValueError, r"'l2' must be in \[0, inf\), got nan"),
    Refused("l2", -0.1, ValueError, r"'l2' must be in \[0, inf\), got -0\.1"),
    Refused("use_locking", 1, TypeError, r"'use_locking' must be True or False, got 1 of type int"),
    Refused("use_locking", None, TypeError, r"'use_locking' must be True or False, got None"),
    Refused("use_locking", "yes", TypeError, r"'use_locking' must be True or False, got 'yes'"),
)

# Arguments that are taken.
ACCEPTED = (
    {"learning_rate": 1},
    {"initial_accum": 0.0},
    {"lr_power": 0.0},
    {"l1": np.float64(0.5)},
)

# Options, which oracle decides about them on CPU, and why that one.
PEERS = (
    PeerOptions({}, "mindspore.nn", "the plain step"),
    PeerOptions({"learning_rate": 0.1}, "mindspore.nn", "a larger rate"),
    PeerOptions({"learning_rate": 0.1, "initial_accum": 0.0}, "mindspore.nn", "nothing accumulated at first"),
    PeerOptions({"learning_rate": 0.1, "l2": 0.5}, "mindspore.nn", "shrinkage"),
    PeerOptions({"learning_rate": 0.1, "lr_power": -0.3}, "mindspore.nn", "another power"),
    PeerOptions({"learning_rate": 0.1, "lr_power": 0.0}, "mindspore.nn", "a rate that stays"),
    PeerOptions({"use_locking": True}, "mindspore.nn", "changes nothing"),
    PeerOptions({"learning_rate": 0.1, "weight_decay": 0.1, "loss_scale": 8.0}, "mindspore.nn", "decay, also of gamma"),
    PeerOptions({"learning_rate": 0.1, "l1": 0.5}, "reference", "mindspore.nn adds l1 whatever the sign of the sum"),
    PeerOptions({"learning_rate": 0.1, "l1": 0.5, "l2": 0.5}, "reference", "mindspore.nn has l1 wrong, also with l2"),
)

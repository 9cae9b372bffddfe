"""What ProximalAdagrad takes and refuses, and where `mindspore.nn` is right: data that the conformance kit reads."""

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
    {"accum": 0.0},
    {"l1": np.float32(0.5)},
    {"loss_scale": 2},
)

# Options, which oracle decides about them on CPU, and why that one.
PEERS = (
    PeerOptions({}, "mindspore.nn", "no regularization"),
    PeerOptions({"learning_rate": 0.1}, "mindspore.nn", "a larger rate"),
    PeerOptions({"accum": 0.0}, "mindspore.nn", "nothing accumulated at first"),
    PeerOptions({"accum": 2.0, "use_locking": True}, "mindspore.nn", "much accumulated at first"),
    PeerOptions({"weight_decay": 0.1, "loss_scale": 8.0}, "mindspore.nn", "decay and scaled loss"),
    PeerOptions({"learning_rate": 0.1, "l1": 0.3}, "reference", "mindspore.nn has the adapted rate in the threshold"),
    PeerOptions({"learning_rate": 0.1, "l2": 0.3}, "reference", "mindspore.nn has the adapted rate in the shrinkage"),
    PeerOptions({"learning_rate": 0.1, "l1": 0.3, "l2": 0.3}, "reference", "mindspore.nn has the adapted rate in both"),
)

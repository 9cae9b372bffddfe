"""What RMSProp takes and refuses, and where `mindspore.nn` is right: data that the conformance kit reads."""

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
    Refused("decay", 1, TypeError, r"'decay' must be a float in \[0, inf\), got 1 of type int; write 1\.0"),
    Refused("decay", True, TypeError, r"'decay' must be a float"),
    Refused("decay", "0.5", TypeError, r"'decay' must be a float"),
    Refused("decay", None, TypeError, r"'decay' must be a float"),
    Refused("decay", float("nan"), ValueError, r"'decay' must be in \[0, inf\), got nan"),
    Refused("decay", -0.1, ValueError, r"'decay' must be in \[0, inf\), got -0\.1"),
    Refused("momentum", 1, TypeError, r"'momentum' must be a float in \[0, inf\), got 1 of type int; write 1\.0"),
    Refused("momentum", True, TypeError, r"'momentum' must be a float"),
    Refused("momentum", "0.5", TypeError, r"'momentum' must be a float"),
    Refused("momentum", None, TypeError, r"'momentum' must be a float"),
    Refused("momentum", float("nan"), ValueError, r"'momentum' must be in \[0, inf\), got nan"),
    Refused("momentum", -0.1, ValueError, r"'momentum' must be in \[0, inf\), got -0\.1"),
    Refused("epsilon", 1, TypeError, r"'epsilon' must be a float in \(0, inf\), got 1 of type int; write 1\.0"),
    Refused("epsilon", True, TypeError, r"'epsilon' must be a float"),
    Refused("epsilon", "0.5", TypeError, r"'epsilon' must be a float"),
    Refused("epsilon", None, TypeError, r"'epsilon' must be a float"),
    Refused("epsilon", float("nan"), ValueError, r"'epsilon' must be in \(0, inf\), got nan"),
    Refused("epsilon", 0.0, ValueError, r"'epsilon' must be in \(0, inf\), got 0\.0"),
    Refused("epsilon", -0.1, ValueError, r"'epsilon' must be in \(0, inf\), got -0\.1"),
    Refused("use_locking", 1, TypeError, r"'use_locking' must be True or False, got 1 of type int"),
    Refused("use_locking", None, TypeError, r"'use_locking' must be True or False, got None"),
    Refused("use_locking", "yes", TypeError, r"'use_locking' must be True or False, got 'yes'"),
    Refused("centered", 1, TypeError, r"'centered' must be True or False, got 1 of type int"),
    Refused("centered", None, TypeError, r"'centered' must be True or False, got None"),
    Refused("centered", "yes", TypeError, r"'centered' must be True or False, got 'yes'"),
)

# Arguments that are taken.
ACCEPTED = (
    {"decay": 0.0},
    {"decay": 1.0},
    {"momentum": np.float32(0.5)},
)

# Options, which oracle decides about them on CPU, and why that one.
PEERS = (
    PeerOptions({}, "mindspore.nn", "the plain step; eps is too small to be seen"),
    PeerOptions({"momentum": 0.8}, "mindspore.nn", "momentum"),
    PeerOptions({"decay": 0.5}, "mindspore.nn", "a shorter average"),
    PeerOptions({"use_locking": True}, "mindspore.nn", "changes nothing"),
    PeerOptions({"weight_decay": 0.1, "loss_scale": 8.0}, "mindspore.nn", "decay and scaled loss"),
    PeerOptions({"centered": True}, "mindspore.nn", "centered"),
    PeerOptions({"centered": True, "momentum": 0.8, "decay": 0.5}, "mindspore.nn", "centered, with momentum"),
    PeerOptions({"centered": True, "epsilon": 0.1}, "mindspore.nn", "centered, eps is under the root in both"),
    PeerOptions(
        {"epsilon": 0.1}, "reference", "mindspore.nn has eps outside the root for elements in whole blocks of eight"
    ),
    PeerOptions({"epsilon": 0.1, "momentum": 0.8}, "reference", "mindspore.nn has eps outside, also with momentum"),
)

"""What AdamWeightDecay takes and refuses, and where `mindspore.nn` is right: data that the conformance kit reads."""

import numpy as np

from tinyms_core.conformance import (
    DECAY_REFUSED,
    PARAMS_REFUSED,
    RATE_REFUSED,
    PeerOptions,
    Refused,
)

# What is refused, with which exception, and what its message matches.
REFUSED = (
    *PARAMS_REFUSED,
    *RATE_REFUSED,
    *DECAY_REFUSED,
    Refused("beta1", 1, TypeError, r"'beta1' must be a float in \(0, 1\), got 1 of type int; write 1\.0"),
    Refused("beta1", True, TypeError, r"'beta1' must be a float"),
    Refused("beta1", "0.5", TypeError, r"'beta1' must be a float"),
    Refused("beta1", None, TypeError, r"'beta1' must be a float"),
    Refused("beta1", float("nan"), ValueError, r"'beta1' must be in \(0, 1\), got nan"),
    Refused("beta1", 0.0, ValueError, r"'beta1' must be in \(0, 1\), got 0\.0"),
    Refused("beta1", 1.0, ValueError, r"'beta1' must be in \(0, 1\), got 1\.0"),
    Refused("beta1", -0.5, ValueError, r"'beta1' must be in \(0, 1\), got -0\.5"),
    Refused("beta2", 1, TypeError, r"'beta2' must be a float in \(0, 1\), got 1 of type int; write 1\.0"),
    Refused("beta2", True, TypeError, r"'beta2' must be a float"),
    Refused("beta2", "0.5", TypeError, r"'beta2' must be a float"),
    Refused("beta2", None, TypeError, r"'beta2' must be a float"),
    Refused("beta2", float("nan"), ValueError, r"'beta2' must be in \(0, 1\), got nan"),
    Refused("beta2", 0.0, ValueError, r"'beta2' must be in \(0, 1\), got 0\.0"),
    Refused("beta2", 1.0, ValueError, r"'beta2' must be in \(0, 1\), got 1\.0"),
    Refused("beta2", 1.5, ValueError, r"'beta2' must be in \(0, 1\), got 1\.5"),
    Refused("eps", 1, TypeError, r"'eps' must be a float in \(0, inf\), got 1 of type int; write 1\.0"),
    Refused("eps", True, TypeError, r"'eps' must be a float"),
    Refused("eps", "0.5", TypeError, r"'eps' must be a float"),
    Refused("eps", None, TypeError, r"'eps' must be a float"),
    Refused("eps", float("nan"), ValueError, r"'eps' must be in \(0, inf\), got nan"),
    Refused("eps", 0.0, ValueError, r"'eps' must be in \(0, inf\), got 0\.0"),
    Refused("eps", -0.001, ValueError, r"'eps' must be in \(0, inf\), got -0\.001"),
)

# Arguments that are taken.
ACCEPTED = (
    {"eps": np.float32(0.5)},
    {"weight_decay": 1},
)

# Options, which oracle decides about them on CPU, and why that one.
PEERS = (
    PeerOptions({}, "mindspore.nn", "the plain step"),
    PeerOptions({"weight_decay": 0.1}, "mindspore.nn", "decoupled decay"),
    PeerOptions({"beta1": 0.8, "beta2": 0.99}, "mindspore.nn", "other averages"),
    PeerOptions({"eps": 0.1}, "mindspore.nn", "eps is added to the root"),
)

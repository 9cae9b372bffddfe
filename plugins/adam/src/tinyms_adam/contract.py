"""What Adam takes and refuses, and where `mindspore.nn` is right: data that the conformance kit reads."""

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
    Refused("use_locking", 1, TypeError, r"'use_locking' must be True or False, got 1 of type int"),
    Refused("use_locking", None, TypeError, r"'use_locking' must be True or False, got None"),
    Refused("use_locking", "yes", TypeError, r"'use_locking' must be True or False, got 'yes'"),
    Refused("use_nesterov", 1, TypeError, r"'use_nesterov' must be True or False, got 1 of type int"),
    Refused("use_nesterov", None, TypeError, r"'use_nesterov' must be True or False, got None"),
    Refused("use_nesterov", "yes", TypeError, r"'use_nesterov' must be True or False, got 'yes'"),
)

# Arguments that are taken.
ACCEPTED = (
    {"beta1": np.float32(0.5)},
    {"loss_scale": 2},
    {"weight_decay": 1},
    {"learning_rate": 0},
)

# Options, which oracle decides about them on CPU, and why that one.
PEERS = (
    PeerOptions({}, "mindspore.nn", "the plain step"),
    PeerOptions({"use_nesterov": True}, "mindspore.nn", "Nesterov's numerator"),
    PeerOptions({"use_locking": True}, "mindspore.nn", "changes nothing"),
    PeerOptions({"beta1": 0.8, "beta2": 0.99}, "mindspore.nn", "other averages"),
    PeerOptions({"eps": 0.1}, "mindspore.nn", "eps is added to the root"),
    PeerOptions({"weight_decay": 0.1, "loss_scale": 8.0}, "mindspore.nn", "decay and scaled loss"),
)

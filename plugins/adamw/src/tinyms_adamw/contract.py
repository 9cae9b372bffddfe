"""What AdamW takes and refuses: data that the conformance kit reads."""

import numpy as np

from tinyms_core.conformance import DECAY_REFUSED, PARAMS_REFUSED, RATE_REFUSED, SCALE_REFUSED, Refused

NAN = float("nan")

# What is refused, with which exception, and what its message matches.
REFUSED = (
    *PARAMS_REFUSED,
    *RATE_REFUSED,
    *DECAY_REFUSED,
    *SCALE_REFUSED,
    Refused("beta1", 1, TypeError, r"'beta1' must be a float in \[0, 1\), got 1 of type int; write 1\.0"),
    Refused("beta1", True, TypeError, r"'beta1' must be a float"),
    Refused("beta1", "0.5", TypeError, r"'beta1' must be a float"),
    Refused("beta1", (0.9, 0.999), TypeError, r"'beta1' must be a float"),
    Refused("beta1", NAN, ValueError, r"'beta1' must be in \[0, 1\), got nan"),
    Refused("beta1", 1.0, ValueError, r"'beta1' must be in \[0, 1\), got 1\.0"),
    Refused("beta1", -0.5, ValueError, r"'beta1' must be in \[0, 1\), got -0\.5"),
    Refused("beta2", 0, TypeError, r"'beta2' must be a float in \[0, 1\), got 0 of type int; write 0\.0"),
    Refused("beta2", None, TypeError, r"'beta2' must be a float"),
    Refused("beta2", NAN, ValueError, r"'beta2' must be in \[0, 1\), got nan"),
    Refused("beta2", 1.0, ValueError, r"'beta2' must be in \[0, 1\), got 1\.0"),
    Refused("beta2", -1e-3, ValueError, r"'beta2' must be in \[0, 1\), got -0\.001"),
    Refused("eps", 1, TypeError, r"'eps' must be a float in \(0, inf\), got 1 of type int; write 1\.0"),
    Refused("eps", None, TypeError, r"'eps' must be a float"),
    Refused("eps", NAN, ValueError, r"'eps' must be in \(0, inf\), got nan"),
    Refused("eps", 0.0, ValueError, r"'eps' must be in \(0, inf\), got 0\.0"),
    Refused("eps", -0.001, ValueError, r"'eps' must be in \(0, inf\), got -0\.001"),
    Refused("amsgrad", 1, TypeError, r"'amsgrad' must be True or False, got 1 of type int"),
    Refused("amsgrad", None, TypeError, r"'amsgrad' must be True or False, got None"),
)

# Arguments that are taken.
ACCEPTED = (
    {"beta1": 0.0, "beta2": 0.0},
    {"beta1": np.float32(0.5)},
    {"weight_decay": 0},
    {"learning_rate": 0, "amsgrad": True},
    {"loss_scale": 2},
)

"""What Adan takes and refuses: data that the conformance kit reads."""

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
    Refused("beta1", None, TypeError, r"'beta1' must be a float"),
    Refused("beta1", NAN, ValueError, r"'beta1' must be in \[0, 1\), got nan"),
    Refused("beta1", 1.0, ValueError, r"'beta1' must be in \[0, 1\), got 1\.0"),
    Refused("beta1", -0.5, ValueError, r"'beta1' must be in \[0, 1\), got -0\.5"),
    Refused("beta2", 1, TypeError, r"'beta2' must be a float in \[0, 1\), got 1 of type int; write 1\.0"),
    Refused("beta2", None, TypeError, r"'beta2' must be a float"),
    Refused("beta2", NAN, ValueError, r"'beta2' must be in \[0, 1\), got nan"),
    Refused("beta2", 1.0, ValueError, r"'beta2' must be in \[0, 1\), got 1\.0"),
    Refused("beta2", -0.5, ValueError, r"'beta2' must be in \[0, 1\), got -0\.5"),
    Refused("beta3", 1, TypeError, r"'beta3' must be a float in \[0, 1\), got 1 of type int; write 1\.0"),
    Refused("beta3", None, TypeError, r"'beta3' must be a float"),
    Refused("beta3", NAN, ValueError, r"'beta3' must be in \[0, 1\), got nan"),
    Refused("beta3", 1.0, ValueError, r"'beta3' must be in \[0, 1\), got 1\.0"),
    Refused("beta3", -0.5, ValueError, r"'beta3' must be in \[0, 1\), got -0\.5"),
    Refused("eps", 1, TypeError, r"'eps' must be a float in \(0, inf\), got 1 of type int; write 1\.0"),
    Refused("eps", None, TypeError, r"'eps' must be a float"),
    Refused("eps", NAN, ValueError, r"'eps' must be in \(0, inf\), got nan"),
    Refused("eps", 0.0, ValueError, r"'eps' must be in \(0, inf\), got 0\.0"),
    Refused("no_prox", 1, TypeError, r"'no_prox' must be True or False, got 1 of type int"),
    Refused("no_prox", None, TypeError, r"'no_prox' must be True or False, got None"),
)

# Arguments that are taken.
ACCEPTED = (
    {"beta1": 0.0, "beta2": 0.0, "beta3": 0.0},
    {"beta2": np.float32(0.5)},
    {"weight_decay": 1, "no_prox": True},
    {"learning_rate": 0},
    {"loss_scale": 2},
)

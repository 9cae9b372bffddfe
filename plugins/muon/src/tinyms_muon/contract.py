"""What Muon takes and refuses: data that the conformance kit reads."""

import numpy as np

from tinyms_core.conformance import DECAY_REFUSED, PARAMS_REFUSED, RATE_REFUSED, SCALE_REFUSED, Refused

NAN = float("nan")

# What is refused, with which exception, and what its message matches.
REFUSED = (
    *PARAMS_REFUSED,
    *RATE_REFUSED,
    *DECAY_REFUSED,
    *SCALE_REFUSED,
    Refused("momentum", 1, TypeError, r"'momentum' must be a float in \[0, 1\), got 1 of type int; write 1\.0"),
    Refused("momentum", None, TypeError, r"'momentum' must be a float"),
    Refused("momentum", NAN, ValueError, r"'momentum' must be in \[0, 1\), got nan"),
    Refused("momentum", 1.0, ValueError, r"'momentum' must be in \[0, 1\), got 1\.0"),
    Refused("momentum", -0.5, ValueError, r"'momentum' must be in \[0, 1\), got -0\.5"),
    Refused("nesterov", 1, TypeError, r"'nesterov' must be True or False, got 1 of type int"),
    Refused("ns_steps", 5.0, TypeError, r"'ns_steps' must be an int in \[1, 100\], got 5\.0"),
    Refused("ns_steps", True, TypeError, r"'ns_steps' must be an int"),
    Refused("ns_steps", 0, ValueError, r"'ns_steps' must be in \[1, 100\], got 0"),
    Refused("ns_steps", 101, ValueError, r"'ns_steps' must be in \[1, 100\], got 101"),
    Refused("ns_coefficients", 3.4, TypeError, r"'ns_coefficients' must be a tuple of 3 floats"),
    Refused("ns_coefficients", (3.4, -4.7), ValueError, r"'ns_coefficients' must hold 3 floats .* got 2"),
    Refused("ns_coefficients", (3.4, -4.7, 2), TypeError, r"'ns_coefficients\[2\]' must be a float"),
    Refused("ns_coefficients", (3.4, NAN, 2.0), ValueError, r"'ns_coefficients\[1\]' must be .* got nan"),
    Refused("ns_coefficients", (3.5, -4.7, 2.1), ValueError, r"'ns_coefficients' must keep .* grow to"),
    Refused("orthogonal", None, TypeError, r"'orthogonal' must be True or False, got None"),
    Refused("match_adamw", "yes", TypeError, r"'match_adamw' must be True or False, got 'yes'"),
    Refused("adamw_scale", 1, TypeError, r"'adamw_scale' must be a float in \(0, inf\), got 1 of type int; write 1\.0"),
    Refused("adamw_scale", 0.0, ValueError, r"'adamw_scale' must be in \(0, inf\), got 0\.0"),
    Refused(
        "adamw_scale",
        1.0,
        ValueError,
        r"'adamw_scale' must be 0\.015 with match_adamw=True, got 1\.0",
        beside={"match_adamw": True},
    ),
    Refused("adamw_beta1", 1, TypeError, r"'adamw_beta1' must be a float in \[0, 1\), got 1 of type int; write 1\.0"),
    Refused("adamw_beta1", 1.0, ValueError, r"'adamw_beta1' must be in \[0, 1\), got 1\.0"),
    Refused("adamw_beta2", None, TypeError, r"'adamw_beta2' must be a float"),
    Refused("adamw_beta2", -0.1, ValueError, r"'adamw_beta2' must be in \[0, 1\), got -0\.1"),
    Refused("adamw_eps", "1e-10", TypeError, r"'adamw_eps' must be a float"),
    Refused("adamw_eps", 0.0, ValueError, r"'adamw_eps' must be in \(0, inf\), got 0\.0"),
)

# Arguments that are taken.
ACCEPTED = (
    {"momentum": 0.0, "nesterov": False},
    {"ns_coefficients": [2.0, -1.5, 0.5], "ns_steps": 10},
    {"adamw_scale": 1.0, "orthogonal": False},
    {"match_adamw": True, "adamw_beta1": 0.0, "adamw_beta2": 0.0},
    {"adamw_eps": np.float64(1e-8)},
    {"weight_decay": 1, "learning_rate": 0},
    {"loss_scale": 2},
)

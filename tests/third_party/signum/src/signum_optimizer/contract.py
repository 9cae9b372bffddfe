"""What Signum takes and refuses: data that the conformance kit reads."""

from tinyms_core.conformance import DECAY_REFUSED, PARAMS_REFUSED, RATE_REFUSED, SCALE_REFUSED, Refused

REFUSED = (
    *PARAMS_REFUSED,
    *RATE_REFUSED,
    *DECAY_REFUSED,
    *SCALE_REFUSED,
    Refused("beta", 1, TypeError, r"'beta' must be a float in \[0, 1\), got 1 of type int; write 1\.0"),
    Refused("beta", 1.0, ValueError, r"'beta' must be in \[0, 1\), got 1\.0"),
)
ACCEPTED = ({"beta": 0.0}, {"learning_rate": 1})

"""Tables of the sound momentum, and some that are wrong: what defects name in their specifications."""

from __future__ import annotations

from tinyms_core.conformance import DECAY_REFUSED, PARAMS_REFUSED, RATE_REFUSED, SCALE_REFUSED, PeerOptions, Refused

INCOMPLETE = (
    *PARAMS_REFUSED,
    *RATE_REFUSED,
    *DECAY_REFUSED,
    *SCALE_REFUSED,
    Refused("momentum", True, TypeError, r"'momentum' must be a float"),
    Refused("momentum", -0.5, ValueError, r"'momentum' must be in \[0, inf\), got -0\.5"),
)
REFUSED = (*INCOMPLETE, Refused("use_nesterov", 1, TypeError, r"'use_nesterov' must be True or False"))

ACCEPTED = ({"momentum": 0.0}, {"momentum": 0.5, "use_nesterov": True})

PEERS = (PeerOptions({"learning_rate": 0.1, "momentum": 0.8}, "mindspore.nn", "momentum"),)
ACCUSING = (PeerOptions({"learning_rate": 0.1}, "reference", "said to be wrong in mindspore.nn"),)

NETWORK_INCOMPLETE = (
    Refused("learning_rate", -0.1, ValueError, r"'learning_rate' must be"),
    Refused("learning_rate", "0.1", TypeError, r"'learning_rate' must be"),
    *DECAY_REFUSED,
    *SCALE_REFUSED,
    Refused("momentum", True, TypeError, r"'momentum' must be a float"),
    Refused("momentum", -0.5, ValueError, r"'momentum' must be in \[0, 1\), got -0\.5"),
)
NETWORK_REFUSED = (*NETWORK_INCOMPLETE, Refused("use_nesterov", 1, TypeError, r"'use_nesterov' must be True or False"))
NETWORK_ACCEPTED = ({"learning_rate": 0.1}, {"momentum": 0.0}, {"weight_decay": 1, "use_nesterov": True})

"""What AdaFactor takes and refuses, and where `mindspore.nn` is right: data that the conformance kit reads."""

from dataclasses import replace

import numpy as np

from tinyms_core.conformance import (
    DECAY_REFUSED,
    PARAMS_REFUSED,
    RATE_REFUSED,
    SCALE_REFUSED,
    PeerOptions,
    Refused,
)

# What a rate goes with.
OWN_RATE = {"relative_step": False}

# What is refused, with which exception, and what its message matches.
REFUSED = (
    *PARAMS_REFUSED,
    # No rate at all is refused as one that is missing.
    *(replace(row, beside=OWN_RATE) for row in RATE_REFUSED if row.value is not None),
    *DECAY_REFUSED,
    *SCALE_REFUSED,
    Refused("learning_rate", 0.1, ValueError, r"'learning_rate' must be None with relative_step=True, got 0\.1"),
    Refused("learning_rate", 0.0, ValueError, r"'learning_rate' must be None with relative_step=True, got 0\.0"),
    Refused("learning_rate", [0.1], ValueError, r"'learning_rate' must be None with relative_step=True"),
    Refused("learning_rate", None, ValueError, r"'learning_rate' must be given with relative_step=False", OWN_RATE),
    Refused("eps", 1e-3, TypeError, r"'eps' must be a tuple of 2 floats in \(0, inf\), got 0\.001 of type float"),
    Refused("eps", None, TypeError, r"'eps' must be a tuple of 2 floats"),
    Refused("eps", "ab", TypeError, r"'eps' must be a tuple of 2 floats"),
    Refused("eps", (1e-30,), ValueError, r"'eps' must hold 2 floats in \(0, inf\), got 1"),
    Refused("eps", (1e-30, 1e-3, 1.0), ValueError, r"'eps' must hold 2 floats in \(0, inf\), got 3"),
    Refused("eps", (0.0, 1e-3), ValueError, r"'eps\[0\]' must be in \(0, inf\), got 0\.0"),
    Refused("eps", (1e-30, -1.0), ValueError, r"'eps\[1\]' must be in \(0, inf\), got -1\.0"),
    Refused("eps", (1e-30, float("nan")), ValueError, r"'eps\[1\]' must be in \(0, inf\), got nan"),
    Refused("eps", (1e-30, 1), TypeError, r"'eps\[1\]' must be a float in \(0, inf\), got 1 of type int; write 1\.0"),
    Refused("clip_threshold", 0.0, ValueError, r"'clip_threshold' must be in \(0, inf\), got 0\.0"),
    Refused("clip_threshold", -1.0, ValueError, r"'clip_threshold' must be in \(0, inf\), got -1\.0"),
    Refused("clip_threshold", float("nan"), ValueError, r"'clip_threshold' must be in \(0, inf\), got nan"),
    Refused("clip_threshold", 1, TypeError, r"'clip_threshold' must be a float .* write 1\.0"),
    Refused("clip_threshold", None, TypeError, r"'clip_threshold' must be a float"),
    Refused("decay_rate", 0.0, ValueError, r"'decay_rate' must be in \(0, 1\), got 0\.0"),
    Refused("decay_rate", 1.0, ValueError, r"'decay_rate' must be in \(0, 1\), got 1\.0"),
    Refused("decay_rate", float("nan"), ValueError, r"'decay_rate' must be in \(0, 1\), got nan"),
    Refused("decay_rate", "0.8", TypeError, r"'decay_rate' must be a float"),
    Refused("decay_rate", None, TypeError, r"'decay_rate' must be a float"),
    Refused("beta1", 0.0, ValueError, r"'beta1' must be in \(0, 1\), got 0\.0"),
    Refused("beta1", 1.0, ValueError, r"'beta1' must be in \(0, 1\), got 1\.0"),
    Refused("beta1", float("nan"), ValueError, r"'beta1' must be in \(0, 1\), got nan"),
    Refused("beta1", 1, TypeError, r"'beta1' must be a float"),
    Refused("beta1", True, TypeError, r"'beta1' must be a float"),
    Refused("scale_parameter", 1, TypeError, r"'scale_parameter' must be True or False, got 1"),
    Refused("relative_step", None, TypeError, r"'relative_step' must be True or False, got None"),
    Refused("relative_step", False, ValueError, r"'learning_rate' must be given with relative_step=False"),
    Refused("warmup_init", "yes", TypeError, r"'warmup_init' must be True or False, got 'yes'"),
    Refused(
        "warmup_init",
        True,
        ValueError,
        r"'warmup_init' must be False with relative_step=False, got True",
        beside={**OWN_RATE, "learning_rate": 0.1},
    ),
    Refused("compression", 0, TypeError, r"'compression' must be True or False, got 0"),
)

# Arguments that are taken.
ACCEPTED = (
    {"learning_rate": 1, "relative_step": False},
    {"eps": (1e-20, 1e-2)},
    {"eps": [1e-20, 1e-2]},
    {"beta1": np.float64(0.5)},
    {"warmup_init": True},
    {"compression": True, "scale_parameter": False},
    {"weight_decay": 2},
)

# Options with which `mindspore.nn` is right on CPU without groups. With groups it never is: it applies the
# optimizer's own weight decay to all of them, and fails where one has a rate.
OF_MINDSPORE = (
    PeerOptions({}, "mindspore.nn", "the plain step"),
    PeerOptions({"beta1": 0.9}, "mindspore.nn", "an average of the changes"),
    PeerOptions({"decay_rate": 0.5}, "mindspore.nn", "another decay of the averages"),
    PeerOptions({"clip_threshold": 0.5}, "mindspore.nn", "steps are clipped"),
    PeerOptions({"eps": (0.01, 3.0)}, "mindspore.nn", "both constants matter"),
    PeerOptions({"warmup_init": True, "eps": (1e-30, 1e3)}, "mindspore.nn", "a rate that grows, made large by eps"),
    PeerOptions({"scale_parameter": False}, "mindspore.nn", "not relative to the parameter"),
    PeerOptions({**OWN_RATE, "learning_rate": 0.01}, "mindspore.nn", "a rate of the user's"),
    PeerOptions(
        {**OWN_RATE, "learning_rate": 0.01, "beta1": 0.9, "scale_parameter": False}, "mindspore.nn", "nothing relative"
    ),
    PeerOptions({"beta1": 0.9, "compression": True}, "mindspore.nn", "float16, while it holds the averages"),
)

# Options, which oracle decides about them on CPU, and why that one.
PEERS = (
    *(replace(row, grouped="reference") for row in OF_MINDSPORE),
    PeerOptions({"weight_decay": 0.1}, "reference", "mindspore.nn decays gamma too"),
    PeerOptions({"loss_scale": 8.0, "eps": (0.1, 1e-3)}, "reference", "mindspore.nn does not divide by it"),
    PeerOptions(
        {**OWN_RATE, "learning_rate": [0.01] * 20},
        "reference",
        "with listed rates mindspore.nn turns scale_parameter off",
    ),
)

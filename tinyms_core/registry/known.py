"""The optimizers that this project distributes, so that an absent one can be named with its distribution."""

from __future__ import annotations

from typing import Final, NamedTuple

from tinyms_core.registry.names import fold


class KnownOptimizer(NamedTuple):
    """An optimizer of this project, the distribution that gives it, and what to know before installing."""

    name: str
    distribution: str
    note: str = ""


KNOWN_OPTIMIZERS: Final = (
    KnownOptimizer("momentum", "tinyms-momentum"),
    KnownOptimizer("lars", "tinyms-lars"),
    KnownOptimizer("adam", "tinyms-adam"),
    KnownOptimizer(
        "adam_weight_decay",
        "tinyms-adam-weight-decay",
        "It has no bias correction; adamw is the decoupled algorithm that has.",
    ),
    KnownOptimizer("lazy_adam", "tinyms-lazy-adam"),
    KnownOptimizer("adam_offload", "tinyms-adam-offload"),
    KnownOptimizer("lamb", "tinyms-lamb"),
    KnownOptimizer("sgd", "tinyms-sgd"),
    KnownOptimizer("ftrl", "tinyms-ftrl"),
    KnownOptimizer("rmsprop", "tinyms-rmsprop"),
    KnownOptimizer("proximal_adagrad", "tinyms-proximal-adagrad"),
    KnownOptimizer("adagrad", "tinyms-adagrad"),
    KnownOptimizer("thor", "tinyms-thor"),
    KnownOptimizer("adafactor", "tinyms-adafactor"),
    KnownOptimizer(
        "adamw",
        "tinyms-adamw",
        "It is decoupled and bias-corrected, and is not AdamWeightDecay, which has no bias correction.",
    ),
    KnownOptimizer("lion", "tinyms-lion"),
    KnownOptimizer("adan", "tinyms-adan"),
    KnownOptimizer("muon", "tinyms-muon"),
)
"""The optimizers of this project: an error about a name that is not installed says which distribution has it."""

FIRST_PARTY: Final = frozenset(known.distribution for known in KNOWN_OPTIMIZERS)

_BY_FOLDED_NAME: Final = {fold(known.name): known for known in KNOWN_OPTIMIZERS}


def find_known(folded: str) -> KnownOptimizer | None:
    """Return the project's optimizer of a folded name, or None."""
    return _BY_FOLDED_NAME.get(folded)

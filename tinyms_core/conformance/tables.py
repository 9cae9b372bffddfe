"""What a plugin states about its arguments and its numbers, as data that the kit reads.

The tables are in a module of the plugin that imports neither MindSpore nor the optimizer, such as
``tinyms_ftrl.contract``; the specification names them: ``OptimizerSpec.refused``, ``accepted`` and ``peers``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Decider = Literal["mindspore.nn", "reference"]
ORACLES: Final = ("mindspore.nn", "reference")


@dataclass(frozen=True)
class Made:
    """A value that is made when it is used, so that a table of Tensors or Parameters needs no MindSpore to be read.

    Arguments:
        make: called without arguments, each time that the value is used.

    Example:
        >>> Made(lambda: [0.5]).make()
        [0.5]
    """

    make: Callable[[], Any]

    def __repr__(self) -> str:
        # The same in every process, so that a test's name may have it.
        return f"Made({self.make.__qualname__})"


@dataclass(frozen=True)
class Refused:
    """A value that an argument may not have.

    Arguments:
        argument: the argument's name; the first one's is ``"params"``, or that of the optimizer to be around.
        value: the value, or a `Made`.
        error: the exception, exactly; not a class that it is derived from.
        message: a regular expression that its message must match somewhere, beside naming the argument.
        beside: other arguments that are given with it, where it is the two together that contradict each other, or
            the flag that the argument needs (``Hyperparameter.only_with``).

    Raises:
        TypeError: ``error`` is not a class of exceptions.
        ValueError: ``message`` is empty, or no regular expression.

    Example:
        >>> Refused("momentum", -0.5, ValueError, r"must be in \\[0, inf\\), got -0\\.5").argument
        'momentum'
    """

    argument: str
    value: Any
    error: type[Exception]
    message: str
    beside: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (isinstance(self.error, type) and issubclass(self.error, Exception)):
            raise TypeError(f"Refused({self.argument!r}): 'error' must be a class of exceptions, got {self.error!r}")
        try:
            re.compile(self.message)
        except re.error as error:
            raise ValueError(f"Refused({self.argument!r}): 'message' is no regular expression: {error}") from error
        if not self.message:
            raise ValueError(f"Refused({self.argument!r}): 'message' is empty, which every message matches")


@dataclass(frozen=True)
class PeerOptions:
    """Options with which an optimizer is run beside that of ``mindspore.nn``, and which of the two oracles decides.

    Arguments:
        options: arguments that differ from their defaults, by name.
        oracle: ``"mindspore.nn"`` where its optimizer is right on CPU; ``"reference"`` where it computes something
            else or fails, which the kit verifies as well.
        why: what the row is about; with ``"reference"``, what is wrong in ``mindspore.nn``.
        grouped: which decides where groups have rates and decays of their own: ``"reference"`` where ``mindspore.nn``
            is right without groups only, which is verified too; empty where it is the one that ``oracle`` names.

    Raises:
        ValueError: ``oracle`` or ``grouped`` is neither, ``grouped`` has ``mindspore.nn`` right where ``oracle`` has
            not, or ``why`` is empty.

    Example:
        >>> PeerOptions({"momentum": 0.9}, why="momentum").oracle
        'mindspore.nn'
    """

    options: Mapping[str, Any]
    oracle: Decider = "mindspore.nn"
    why: str = ""
    grouped: Decider | Literal[""] = ""

    def __post_init__(self) -> None:
        if self.oracle not in ORACLES:
            raise ValueError(f"PeerOptions: 'oracle' must be one of {ORACLES}, got {self.oracle!r}")
        if self.grouped not in ("", self.oracle, "reference"):
            raise ValueError(f"PeerOptions: 'grouped' must be 'reference', or empty, got {self.grouped!r}")
        if not isinstance(self.why, str) or not self.why.strip():
            raise ValueError(f"PeerOptions({dict(self.options)!r}): 'why' must say what the row is about")

    def oracle_for(self, grouped: bool) -> Decider:
        """Which oracle decides, with or without groups."""
        return self.grouped or self.oracle if grouped else self.oracle

    @property
    def described(self) -> str:
        """The options as text."""
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items()) or "defaults"


def _parameter() -> Any:
    from tinyms_core.examples import parameter

    return parameter("lone", [1.0])


def _two_dimensional() -> Any:
    from tinyms_core.examples import tensor

    return tensor([[0.1]])


# What the base itself refuses is the same for every optimizer that hands its arguments on to it.

PARAMS_REFUSED: Final = (
    Refused("params", None, ValueError, r"'params' must be an iterable"),
    Refused("params", [], ValueError, r"'params' is empty"),
    Refused("params", [1.0], TypeError, r"params\[0\] must be a Parameter"),
    Refused("params", Made(_parameter), TypeError, r"put it in a list"),
)
"""What the base refuses as parameters."""

RATE_REFUSED: Final = (
    Refused("learning_rate", "0.1", TypeError, r"'learning_rate' must be a float or int >= 0"),
    Refused("learning_rate", None, TypeError, r"'learning_rate'.* got None"),
    Refused("learning_rate", True, TypeError, r"'learning_rate'.* got True"),
    Refused("learning_rate", -0.1, ValueError, r"'learning_rate' must be finite and >= 0, got -0\.1"),
    Refused("learning_rate", math.nan, ValueError, r"'learning_rate' must be finite and >= 0, got nan"),
    Refused("learning_rate", math.inf, ValueError, r"'learning_rate'.* got inf"),
    Refused("learning_rate", [], ValueError, r"'learning_rate' is an empty list"),
    Refused("learning_rate", [0.1, -0.1], ValueError, r"'learning_rate\[1\]' must be finite and >= 0, got -0\.1"),
    Refused(
        "learning_rate",
        Made(_two_dimensional),
        ValueError,
        r"'learning_rate' as a Tensor must have 0 or 1 dimensions, got 2",
    ),
)
"""What the base refuses as a learning rate."""

DECAY_REFUSED: Final = (
    Refused("weight_decay", "0.1", TypeError, r"'weight_decay' must be a float or int >= 0"),
    Refused("weight_decay", None, TypeError, r"'weight_decay'.* got None"),
    Refused("weight_decay", True, TypeError, r"'weight_decay'.* got True"),
    Refused("weight_decay", -0.1, ValueError, r"'weight_decay' must be in \[0, inf\), got -0\.1"),
    Refused("weight_decay", math.nan, ValueError, r"'weight_decay'.* got nan"),
    Refused("weight_decay", math.inf, ValueError, r"'weight_decay'.* got inf"),
)
"""What the base refuses as a weight decay."""

SCALE_REFUSED: Final = (
    Refused("loss_scale", True, TypeError, r"'loss_scale' must be a float or an int"),
    Refused("loss_scale", "0.5", TypeError, r"'loss_scale' must be a float or an int"),
    Refused("loss_scale", None, TypeError, r"'loss_scale' must be a float or an int"),
    Refused("loss_scale", math.nan, ValueError, r"'loss_scale' must be in \(0, inf\), got nan"),
    Refused("loss_scale", 0.0, ValueError, r"'loss_scale' must be in \(0, inf\), got 0\.0"),
    Refused("loss_scale", -1, ValueError, r"'loss_scale' must be in \(0, inf\), got -1\.0"),
    Refused("loss_scale", math.inf, ValueError, r"'loss_scale'.* got inf"),
)
"""What the base refuses as a loss scale."""

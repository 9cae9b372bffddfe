"""Arguments of other libraries, so that an unknown one can be named with what it is called here."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_CALLED: Final = {
    "alpha": "decay",
    "betas": "beta1 and beta2",
    "epsilon": "eps",
    "eps": "epsilon",
    "filter_bias_and_bn": "decay_bias_and_norm, which says the opposite",
    "lr": "learning_rate",
    "nesterov": "use_nesterov",
    "opt": "the first argument",
    "use_nesterov": "nesterov",
    "weight_decay_filter": "decay_bias_and_norm",
}
# What `create_optimizer` takes beside the optimizer's own.
_SHARED: Final = ("learning_rate", "decay_bias_and_norm", "layer_decay", "around")


def called_here(unknown: Iterable[str], accepted: Iterable[str]) -> str:
    """Say what unknown arguments are called here.

    Arguments:
        unknown: the names that an optimizer does not have.
        accepted: the names that it has.

    Returns:
        A piece of a sentence for each that is known or like one that is; empty where there is none.

    Example:
        >>> called_here(["lr", "bta1"], ["learning_rate", "beta1"])
        "; 'lr' is learning_rate here; did you mean 'beta1' by 'bta1'?"
    """
    known = [*accepted, *_SHARED]
    said = ""
    for name in unknown:
        word = _CALLED.get(name, "")
        first = word.replace(",", " ").split(" ")[0]
        close = get_close_matches(name, known, n=1)
        if first in (*known, "the"):
            said += f"; {name!r} is {word} here"
        elif close:
            said += f"; did you mean {close[0]!r} by {name!r}?"
    return said

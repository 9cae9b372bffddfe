"""`rule`: an update rule, stated once as a plain Python function."""

from __future__ import annotations

import functools
import inspect
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from tinyms_core.kernels.errors import RuleError

PARAMETER = "w"
GRADIENT = "g"
# Scalars that the base class supplies; every other scalar is a hyperparameter of the optimizer.
SUPPLIED_SCALARS = ("lr", "t", "weight_decay")


class Rule:
    """An update rule: the arithmetic of one step on one element of a parameter.

    Calling it runs the function as it is, on floats or numpy arrays.

    Arguments:
        function: the rule, as given to `rule`.
        state: names of the arguments that are state.
    """

    def __init__(self, function: Callable[..., Any], state: tuple[str, ...]) -> None:
        self.function = function
        self.state = state
        self.name = function.__name__
        functools.update_wrapper(self, function)
        names = tuple(inspect.signature(function).parameters)
        kinds = {p.kind for p in inspect.signature(function).parameters.values()}
        if not kinds <= {inspect.Parameter.POSITIONAL_OR_KEYWORD}:
            raise RuleError(f"rule {self.name!r}: arguments must be plain names, without *, ** or defaults")
        if names[:2] != (PARAMETER, GRADIENT):
            raise RuleError(
                f"rule {self.name!r}: the first two arguments must be 'w' (parameter) and 'g' (gradient), "
                f"got {', '.join(names[:2]) or 'none'}"
            )
        if names[2 : 2 + len(state)] != state:
            raise RuleError(
                f"rule {self.name!r}: the state {state} must follow 'g' in the arguments, in this order; "
                f"the arguments are {names}"
            )
        self.scalars = names[2 + len(state) :]

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.function(*arguments, **named)

    def __repr__(self) -> str:
        return f"<rule {self.name}({', '.join((PARAMETER, GRADIENT, *self.state, *self.scalars))})>"

    def __reduce__(self) -> str:
        # A rule is a module-level object; pickling it by its name keeps the function's file as its source.
        return str(self.function.__qualname__)

    @functools.cached_property
    def source(self) -> str:
        """The function's source text, from its ``def`` on.

        Raises:
            RuleError: the source cannot be read, as for a function typed into an interpreter.
        """
        try:
            lines = inspect.getsource(self.function)
        except (OSError, TypeError) as error:
            raise RuleError(
                f"rule {self.name!r}: its source cannot be read, so it cannot be compiled; write the rule in a file"
            ) from error
        return textwrap.dedent(lines)


def rule(state: Sequence[str] = ()) -> Callable[[Callable[..., Any]], Rule]:
    """Declare an update rule.

    The function states one step for one element: it takes the parameter ``w``, the preprocessed
    gradient ``g``, the state, then scalars, and returns the new ``w`` and the new state in the same
    order (a bare ``w`` when there is no state).

    Scalars are looked up by name: ``lr`` (the parameter's rate at this step), ``t`` (1 at the first
    step), ``weight_decay`` (the parameter's decay, where the optimizer applies it in its own update),
    and the optimizer's hyperparameters. What depends on scalars alone is computed in float64 once a
    step and rounded once, so ``1 - beta2 ** t`` is exact and free. A condition on a hyperparameter
    (``if use_nesterov:``) is decided when the optimizer is built. Conditions on elements are written
    ``math.where(condition, x, y)``; the other functions are those of ``tinyms_core.math``, among them
    ``norm`` over the whole tensor, which makes a rule layer-wise.

    Arguments:
        state: names of the state arguments, in order. A state whose new value depends on scalars
            alone is one number for the whole optimizer (Adam's ``beta1_power``).

    Returns:
        A decorator that makes a `Rule` of the function.

    Raises:
        RuleError: the arguments are not ``w, g, *state, *scalars``. What the body may not contain is
            found, and named with its line, when the rule is first compiled.

    Example:
        >>> from tinyms_core import math, rule
        >>> @rule(state=("h",))
        ... def adagrad(w, g, h, lr):
        ...     h = h + g * g
        ...     w = w - lr * g / math.sqrt(h)
        ...     return w, h
        >>> w, h = adagrad(1.0, 2.0, 0.0, lr=0.5)
        >>> float(w), h
        (0.5, 4.0)
    """
    if isinstance(state, str) or not all(isinstance(name, str) for name in state):
        raise RuleError(f"rule: 'state' must be a sequence of names such as ('m', 'v'), got {state!r}")
    names = tuple(state)

    def declare(function: Callable[..., Any]) -> Rule:
        return Rule(function, names)

    return declare

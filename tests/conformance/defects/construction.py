"""Defects in constructors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from mindspore import Parameter

from tests.conformance.defects import tables
from tests.conformance.defects.planting import planted, unguarded
from tests.conformance.defects.sound import SoundAdam, SoundMomentum, SoundTrust
from tinyms_core import Capabilities


@planted("A catch-all for keywords swallows a misspelled argument.", "unknown_keyword_raises")
class SwallowsTypos(SoundMomentum):
    def __init__(self, params: Any, learning_rate: Any = 0.1, **more: Any) -> None:
        known = {"momentum", "weight_decay", "loss_scale", "use_nesterov"} & set(more)
        super().__init__(params, learning_rate, **{name: more[name] for name in known})


@planted("The caller's group dicts are changed.", "construction_has_no_side_effects")
class ChangesGroups(SoundMomentum):
    def __init__(self, params: Any, learning_rate: Any = 0.1, *arguments: Any, **named: Any) -> None:
        params = list(params)
        for group in params:
            if isinstance(group, dict) and "params" in group:
                group.setdefault("lr", learning_rate)
        super().__init__(params, learning_rate, *arguments, **named)


@planted("The constructor changes the values of the parameters.", "construction_has_no_side_effects")
class ChangesParameters(SoundMomentum):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        for parameter in self.parameters:
            parameter.set_data(parameter * 0.5)


@planted("The constructor renames the parameters.", "construction_has_no_side_effects")
class RenamesParameters(SoundMomentum):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        for parameter in self.parameters:
            parameter.name = f"optimized.{parameter.name}"


@planted("What is not a Parameter is left out in silence.", "bad_parameters_raise")
class SkipsStrangers(SoundMomentum):
    def __init__(self, params: Any, *arguments: Any, **named: Any) -> None:
        if isinstance(params, list | tuple):
            params = [p for p in params if isinstance(p, Parameter | Mapping)] or params
        super().__init__(params, *arguments, **named)


@planted("A parameter in two groups is taken from the first.", "bad_parameters_raise")
class TakesTwice(SoundMomentum):
    def __init__(self, params: Any, *arguments: Any, **named: Any) -> None:
        if isinstance(params, list) and all(isinstance(group, Mapping) for group in params):
            seen: set[int] = set()
            chosen = []
            for group in params:
                own = [p for p in group.get("params", ()) if id(p) not in seen]
                seen.update(map(id, own))
                chosen.append({**group, "params": own} if own else group)
            params = chosen
        super().__init__(params, *arguments, **named)


@planted("NaN is taken for a hyperparameter.", "bad_hyperparameters_raise")
class TakesNaN(SoundAdam):
    def __init__(self, params: Any, learning_rate: Any = 1e-3, beta1: Any = 0.9, *more: Any, **named: Any) -> None:
        if isinstance(beta1, float) and math.isnan(beta1):
            beta1 = 0.9
        super().__init__(params, learning_rate, beta1, *more, **named)


@planted("A bool is taken for a float.", "bad_hyperparameters_raise")
class TakesBool(SoundMomentum):
    def __init__(self, params: Any, learning_rate: Any = 0.1, momentum: Any = 0.9, *more: Any, **named: Any) -> None:
        super().__init__(params, learning_rate, float(momentum) if momentum is True else momentum, *more, **named)


@planted("A hyperparameter beyond its declared range is taken.", "bad_hyperparameters_raise")
class TakesTooLarge(SoundAdam):
    def __init__(self, params: Any, learning_rate: Any = 1e-3, beta1: Any = 0.9, *more: Any, **named: Any) -> None:
        beta1 = min(beta1, 0.999) if isinstance(beta1, float) else beta1
        super().__init__(params, learning_rate, beta1, *more, **named)


@planted("A wrong hyperparameter is refused without a word on which one.", "bad_hyperparameters_raise")
class SpeechlessError(SoundMomentum):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        try:
            super().__init__(*arguments, **named)
        except (TypeError, ValueError) as error:
            raise type(error)("wrong argument") from None


@planted("A negative learning rate is taken.", "bad_learning_rate_raises")
class TakesNegativeRate(SoundMomentum):
    def __init__(self, params: Any, learning_rate: Any = 0.1, *more: Any, **named: Any) -> None:
        if isinstance(learning_rate, float) and learning_rate < 0:
            learning_rate = -learning_rate
        super().__init__(params, learning_rate, *more, **named)


@planted("A negative weight decay is taken.", "bad_weight_decay_raises")
class TakesNegativeDecay(SoundTrust):
    def __init__(
        self, params: Any, learning_rate: Any = 0.1, momentum: Any = 0.9, weight_decay: Any = 0.0, *more: Any
    ) -> None:
        if isinstance(weight_decay, float) and weight_decay < 0:
            weight_decay = -weight_decay
        super().__init__(params, learning_rate, momentum, weight_decay, *more)


@planted("A loss scale of zero is taken for none.", "bad_loss_scale_raises")
class TakesZeroScale(SoundMomentum):
    def __init__(self, *arguments: Any, loss_scale: Any = 1.0, **named: Any) -> None:
        super().__init__(*arguments, loss_scale=1.0 if loss_scale == 0 else loss_scale, **named)


@planted("Numbers of numpy are refused.", "number_types_accepted", sign="float64")
class RefusesNumpy(SoundMomentum):
    def __init__(self, params: Any, learning_rate: Any = 0.1, *more: Any, **named: Any) -> None:
        if isinstance(learning_rate, np.generic):
            raise TypeError(f"'learning_rate' must be a float, got {type(learning_rate).__name__}")
        super().__init__(params, learning_rate, *more, **named)


@planted(
    "A value is taken that the plugin's own table has as refused.",
    "declared_refusals",
    sign="momentum=True: accepted",
    refused=f"{tables.__name__}:REFUSED",
)
class TakesRefused(SoundMomentum):
    def __init__(self, params: Any, learning_rate: Any = 0.1, momentum: Any = 0.9, *more: Any, **named: Any) -> None:
        super().__init__(params, learning_rate, float(momentum) if momentum is True else momentum, *more, **named)


class StrangeError(ValueError):
    """An exception that no table names."""


@planted(
    "A value is refused with a class that is derived from the exception in the plugin's own table.",
    "declared_refusals",
    sign="raised StrangeError, not ValueError",
    refused=f"{tables.__name__}:REFUSED",
)
class RefusesStrangely(SoundMomentum):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        try:
            super().__init__(*arguments, **named)
        except ValueError as error:
            raise StrangeError(str(error)) from None


@planted(
    "The constructor renames the parameters before it refuses an argument.",
    "declared_refusals",
    sign="is now named 'momentum.first.weight'",
    refused=f"{tables.__name__}:REFUSED",
)
class RenamesThenRefuses(SoundMomentum):
    def __init__(self, params: Any, *arguments: Any, **named: Any) -> None:
        given = list(params) if isinstance(params, list) else []
        for parameter in given:
            if isinstance(parameter, Parameter):
                parameter.name = f"momentum.{parameter.name}"
        super().__init__(params, *arguments, **named)


@planted(
    "The plugin's table of refused arguments leaves one out.",
    "declared_refusals",
    sign="has no row for 'use_nesterov' with a value of a wrong type",
    refused=f"{tables.__name__}:INCOMPLETE",
)
class LeavesOneOut(SoundMomentum):
    pass


@planted(
    "A value is refused that the plugin's own table has as accepted.",
    "declared_acceptances",
    sign=r"momentum=0\.0: refused",
    accepted=f"{tables.__name__}:ACCEPTED",
)
class RefusesZero(SoundMomentum):
    def __init__(self, params: Any, learning_rate: Any = 0.1, momentum: Any = 0.9, *more: Any, **named: Any) -> None:
        if momentum == 0.0:
            raise ValueError(f"'momentum' must be > 0, got {momentum!r}")
        super().__init__(params, learning_rate, momentum, *more, **named)


@planted(
    "A generator of groups is read twice, so that it is empty the second time.",
    "generator_groups_equal_list",
    sign="'params' is empty",
)
class ReadsTwice(SoundMomentum):
    def __init__(self, params: Any, *arguments: Any, **named: Any) -> None:
        self.count_of_groups = sum(1 for _ in params) if hasattr(params, "__next__") else len(params)
        super().__init__(params, *arguments, **named)


@planted("A generator of groups loses its last group.", "generator_groups_equal_list")
class LosesTheLast(SoundMomentum):
    def __init__(self, params: Any, *arguments: Any, **named: Any) -> None:
        if hasattr(params, "__next__"):
            params = list(params)
            params = params[:-1] or params
        super().__init__(params, *arguments, **named)


@planted(
    "A group's own rate is taken, though the capability is not declared.",
    "grouped_rates_refused",
    capabilities=Capabilities(grouped_rates=False),
)
class UndeclaredGroupRates(SoundMomentum):
    def __init__(self, params, *arguments, **named):
        with unguarded():
            super().__init__(params, *arguments, **named)


@planted(
    "Schedules are taken, though the capability is not declared.",
    "dynamic_rates_refused",
    capabilities=Capabilities(dynamic_rates=False),
)
class UndeclaredSchedules(SoundMomentum):
    def __init__(self, params, *arguments, **named):
        with unguarded():
            super().__init__(params, *arguments, **named)


@planted(
    "Weight decay is taken, though the capability is not declared.",
    "weight_decay_refused",
    capabilities=Capabilities(weight_decay="none"),
)
class UndeclaredDecay(SoundMomentum):
    pass


@planted(
    "A loss scale is taken, though the capability is not declared.",
    "loss_scale_refused",
    capabilities=Capabilities(loss_scale=False),
)
class UndeclaredScale(SoundMomentum):
    pass


@planted(
    "float16 is taken, though it is not declared.",
    "undeclared_dtypes_refused",
    capabilities=Capabilities(dtypes=("float32", "bfloat16", "float64")),
)
class UndeclaredDtype(SoundMomentum):
    def __init__(self, params, *arguments, **named):
        with unguarded():
            super().__init__(params, *arguments, **named)


@planted(
    "A graph is run, though the mode is not declared.",
    "undeclared_modes_refused",
    capabilities=Capabilities(modes=("pynative", "jit")),
)
class UndeclaredMode(SoundMomentum):
    pass

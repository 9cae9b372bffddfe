"""Defects in constructors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mindspore import Parameter

from tests.conformance.defects.planting import planted
from tests.conformance.defects.sound import SoundAdam, SoundMomentum


@planted("**kwargs swallow a misspelled argument.", "unknown_keyword_raises")
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
                if own or "params" not in group:
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


@planted("A negative learning rate is taken.", "bad_hyperparameters_raise")
class TakesNegativeRate(SoundMomentum):
    def __init__(self, params: Any, learning_rate: Any = 0.1, *more: Any, **named: Any) -> None:
        if isinstance(learning_rate, float) and learning_rate < 0:
            learning_rate = -learning_rate
        super().__init__(params, learning_rate, *more, **named)


@planted("A generator of groups is read twice, so that it is empty the second time.", "generator_groups_equal_list")
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

"""Defects in groups, rates and decay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import mindspore
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore.nn.learning_rate_schedule import LearningRateSchedule

from tests.conformance.defects.planting import planted
from tests.conformance.defects.sound import SoundAdam, SoundFactor, SoundMomentum
from tinyms_core.optimizer.rates import HostRate, ListedRate, Read, read_element


def without(params: Any, key: str) -> Any:
    """The groups without one of their keys; anything else as it is."""
    items = list(params)
    return [{k: v for k, v in item.items() if k != key} if isinstance(item, Mapping) else item for item in items]


@planted("A group's own rate is ignored.", "group_rate")
class GroupRateIgnored(SoundMomentum):
    def __init__(self, params: Any, *arguments: Any, **named: Any) -> None:
        super().__init__(without(params, "lr"), *arguments, **named)


@planted("A group's own decay is ignored.", "group_decay")
class GroupDecayIgnored(SoundMomentum):
    def __init__(self, params: Any, *arguments: Any, **named: Any) -> None:
        super().__init__(without(params, "weight_decay"), *arguments, **named)


@planted("The decay of a group that sets 0 falls back to the optimizer's.", "group_decay")
class ZeroDecayIgnored(SoundMomentum):
    def __init__(self, params: Any, *arguments: Any, **named: Any) -> None:
        groups = [
            {k: v for k, v in item.items() if k != "weight_decay" or v} if isinstance(item, Mapping) else item
            for item in params
        ]
        super().__init__(groups, *arguments, **named)


@planted("A group's own hyperparameter is ignored.", "options_per_group")
class GroupOptionIgnored(SoundFactor):
    def __init__(self, params: Any, *arguments: Any, **named: Any) -> None:
        super().__init__(without(params, "factor"), *arguments, **named)


@planted("A group's own hyperparameter is the one of all groups.", "options_per_group")
class GroupOptionForAll(SoundFactor):
    def __init__(self, params: Any, *arguments: Any, **named: Any) -> None:
        items = list(params)
        given = [item["factor"] for item in items if isinstance(item, Mapping) and "factor" in item]
        super().__init__(without(items, "factor"), *arguments, **{**named, **({"factor": given[0]} if given else {})})


@planted("A group's own hyperparameter is not checked.", "options_per_group")
class GroupOptionUnchecked(SoundFactor):
    @classmethod
    def _group_options(cls) -> Any:
        return {"factor": lambda place, value: tuple(value) if isinstance(value, list) else value}


@planted("In groups a rate is rounded to float16.", "ungrouped_equals_grouped")
class CoarseGroups(SoundMomentum):
    def __init__(self, params: Any, learning_rate: Any = 0.1, *arguments: Any, **named: Any) -> None:
        items = list(params)
        if all(isinstance(item, Mapping) for item in items) and isinstance(learning_rate, float):
            learning_rate = float(np.float16(learning_rate))
            items = [{**item, "lr": float(np.float16(item["lr"]))} if "lr" in item else item for item in items]
        super().__init__(items, learning_rate, *arguments, **named)


@planted("order_params moves the parameters, but leaves the rates where they were.", "order_params_invariant")
class OrderPermutesRates(SoundMomentum):
    def _set_groups(self, grouping: Any) -> None:
        groups = [group for group in grouping.source if isinstance(group, dict) and "params" in group]
        if groups and len(groups) < len(grouping.source):
            own = {s.parameter.name: s.rate for s in grouping.settings}
            rates = [own[p.name] for group in groups for p in group["params"]]
            settings = tuple(replace(s, rate=r) for s, r in zip(grouping.settings, rates, strict=True))
            grouping = replace(grouping, settings=settings)
        super()._set_groups(grouping)


class Coarse(LearningRateSchedule):
    """A schedule, rounded to float16."""

    def __init__(self, schedule: LearningRateSchedule) -> None:
        super().__init__()
        self.schedule = schedule

    def construct(self, step: Any) -> Any:
        return ops.cast(ops.cast(self.schedule(step), mindspore.float16), mindspore.float32)


@planted("A schedule's rates are rounded to float16.", "constant_schedule_equals_float")
class CoarseSchedule(SoundMomentum):
    def __init__(self, params: Any, learning_rate: Any = 0.1, *arguments: Any, **named: Any) -> None:
        if isinstance(learning_rate, LearningRateSchedule):
            learning_rate = Coarse(learning_rate)
        super().__init__(params, learning_rate, *arguments, **named)


class Late(LearningRateSchedule):
    """A schedule that is asked about the next step."""

    def __init__(self, schedule: LearningRateSchedule) -> None:
        super().__init__()
        self.schedule = schedule

    def construct(self, step: Any) -> Any:
        return self.schedule(step + 1)


@planted("A schedule is called with a step counted from 1.", "rate_forms")
class LateSchedule(SoundMomentum):
    def __init__(self, params: Any, learning_rate: Any = 0.1, *arguments: Any, **named: Any) -> None:
        if isinstance(learning_rate, LearningRateSchedule):
            learning_rate = Late(learning_rate)
        super().__init__(params, learning_rate, *arguments, **named)


@planted("Listed rates are counted from 1.", "rate_forms")
class ListFromOne(SoundMomentum):
    def __init__(self, params: Any, learning_rate: Any = 0.1, *arguments: Any, **named: Any) -> None:
        if isinstance(learning_rate, list):
            learning_rate = [*learning_rate[1:], learning_rate[-1]]
        super().__init__(params, learning_rate, *arguments, **named)


@planted("Of a 1-D Tensor of rates only the first is used.", "rate_forms")
class FirstOfTensor(SoundMomentum):
    def __init__(self, params: Any, learning_rate: Any = 0.1, *arguments: Any, **named: Any) -> None:
        if isinstance(learning_rate, Tensor) and learning_rate.ndim == 1:
            learning_rate = Tensor(np.full(learning_rate.shape, learning_rate.asnumpy()[0]))
        super().__init__(params, learning_rate, *arguments, **named)


@planted("An iterable of rates loses its order.", "rate_forms")
class SortedRates(SoundMomentum):
    def __init__(self, params: Any, learning_rate: Any = 0.1, *arguments: Any, **named: Any) -> None:
        if hasattr(learning_rate, "__next__"):
            learning_rate = sorted(learning_rate)
        super().__init__(params, learning_rate, *arguments, **named)


class Round(ListedRate):
    """Listed rates that begin anew after the last."""

    length = 0

    def on_host(self, wide: bool, read: Read = read_element) -> HostRate:
        return lambda step: read(self.learning_rate, step % len(self.exact))


@planted("A list of rates begins anew after its last.", "rate_list_exhausted_is_clean")
class RatesGoRound(SoundMomentum):
    def _set_rates(self, grouping: Any) -> None:
        super()._set_rates(grouping)
        for rate in self.rates:
            if isinstance(rate, ListedRate):
                rate.__class__ = Round
                self.rate_limit = 0


@planted("The step is counted before the error about the exhausted list is raised.", "rate_list_exhausted_is_clean")
class CountsThenRaises(SoundMomentum):
    def __call__(self, gradients: Any) -> Any:
        try:
            return super().__call__(gradients)
        except ValueError:
            self.global_step.set_data(Tensor(self.global_step.asnumpy() + 1))
            raise


@planted("The rate is cached when the optimizer is built.", "live_rate_change")
class CachedRate(SoundMomentum):
    def _set_rates(self, grouping: Any) -> None:
        super()._set_rates(grouping)
        if isinstance(self.learning_rate, Parameter):
            self.learning_rate = Parameter(self.learning_rate.asnumpy().copy(), name="learning_rate")


@planted("A dynamic decay is evaluated once.", "dynamic_weight_decay")
class DecayOnce(SoundMomentum):
    def __init__(
        self,
        params: Any,
        learning_rate: Any = 0.1,
        momentum: float = 0.9,
        weight_decay: Any = 0.0,
        *more: Any,
        **named: Any,
    ) -> None:
        if isinstance(weight_decay, nn.Cell):
            weight_decay = float(weight_decay(Tensor([0], mindspore.int32)).asnumpy().reshape(()))
        super().__init__(params, learning_rate, momentum, weight_decay, *more, **named)


@planted("Decay applies to beta and gamma too.", "decay_filter")
class DecaysEverything(SoundMomentum):
    def decays(self, parameter: Parameter) -> bool:
        return True


@planted("The first step is counted twice.", "step_advances_once")
class CountsTwice(SoundAdam):
    def __call__(self, gradients: Any) -> Any:
        first = int(self.global_step.asnumpy()[0]) == 0
        result = super().__call__(gradients)
        if first:
            self.global_step.set_data(Tensor(self.global_step.asnumpy() + 1))
        return result


@planted("Asking for the rate advances the step.", "get_lr_has_no_side_effect")
class GetLrAdvances(SoundMomentum):
    def get_lr(self) -> Any:
        rate = super().get_lr()
        self.next_step()
        return rate


@planted("A parameter of another optimizer is given a rate.", "get_lr_parameter")
class RatesForStrangers(SoundMomentum):
    def get_lr_parameter(self, param: Any) -> Any:
        if isinstance(param, Parameter):
            return self.learning_rate
        return super().get_lr_parameter(param)


@planted("The public decay_weight does nothing, though a step decays.", "preprocessing_methods")
class DecaysInSecret(SoundMomentum):
    def decay_weight(self, gradients: Any) -> Any:
        return gradients

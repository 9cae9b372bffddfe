"""Defects in what an optimizer keeps, and in how it is saved and loaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mindspore
import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor

from tests.conformance.defects.planting import ThroughViews, planted
from tests.conformance.defects.sound import SoundAdam, SoundMomentum
from tinyms_core import StateSlot


@planted("The state of float16 parameters is kept in float16.", "state_dtype_stable", dtypes=("float16",))
class HalfState(ThroughViews, SoundMomentum):
    def _set_state(self, values: dict[str, Any]) -> None:
        super()._set_state(values)
        self.moments = ParameterTuple(
            [Parameter(p.astype(mindspore.float16), name=p.name, requires_grad=False) for p in self.moments]
        )
        self.states = {"v": self.moments}


@planted("A checkpoint lacks one of the states.", "checkpoint_resume")
class UnsavedState(SoundAdam):
    def parameters_and_names(self, *arguments: Any, **named: Any) -> Iterator[Any]:
        for name, parameter in super().parameters_and_names(*arguments, **named):
            if not parameter.name.startswith("moment2"):
                yield name, parameter


@planted("The number of steps is not saved.", "checkpoint_resume")
class UnsavedStep(SoundAdam):
    def parameters_and_names(self, *arguments: Any, **named: Any) -> Iterator[Any]:
        for name, parameter in super().parameters_and_names(*arguments, **named):
            if parameter.name != "global_step":
                yield name, parameter


@planted(
    "The states have names of their own, not those of mindspore.nn.",
    "checkpoint_interchange",
    sign="missing: .*moments",
    name="own_names",
    state=(StateSlot("v", prefix="velocity"),),
)
class Momentum(SoundMomentum):
    # The class's name is what MindSpore's counterpart is looked up by.
    pass


@planted("The states of all parameters have one name.", "state_names_unique")
class OneName(SoundMomentum):
    def _set_state(self, values: dict[str, Any]) -> None:
        super()._set_state(values)
        for parameter in self.moments:
            parameter.name = "moments"


@planted("Two optimizers of one network share their state.", "state_names_unique")
class SharedState(SoundMomentum):
    kept: dict[str, Parameter] = {}

    def _set_state(self, values: dict[str, Any]) -> None:
        super()._set_state(values)
        self.moments = ParameterTuple([self.kept.setdefault(p.name + str(p.shape), p) for p in self.moments])
        self.states = {"v": self.moments}


@planted("More state is kept than is declared.", "state_size_declared")
class BiggerThanDeclared(SoundMomentum):
    def _set_state(self, values: dict[str, Any]) -> None:
        super()._set_state(values)
        self.extra = ParameterTuple(
            [
                Parameter(Tensor(np.zeros(p.shape), mindspore.float32), name=f"extra.{p.name}", requires_grad=False)
                for p in self.parameters
            ]
        )


@planted("A step writes into the tensors that the state was loaded from.", "load_keeps_source")
class WritesIntoSource(ThroughViews, SoundMomentum):
    pass

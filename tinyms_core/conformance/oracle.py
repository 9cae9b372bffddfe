"""The float64 side of a comparison: preprocessing and bookkeeping in numpy, the step by the plugin's oracle.

Nothing here calls an optimizer's code. The order is the contract's: decay, centralization, scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinyms_core.conformance.catalog import CheckFailure
from tinyms_core.conformance.rounding import NARROW, Array, rounded
from tinyms_core.conformance.workload import Place, Workload
from tinyms_core.registry.probe import resolve
from tinyms_core.registry.specs import OptimizerSpec, StateSlot

Reference = Callable[..., tuple[Any, dict[str, Any]]]


def reference_of(spec: OptimizerSpec) -> Reference:
    """The float64 reference that a plugin declares.

    Raises:
        CheckFailure: none is declared, or what is declared cannot be called.
    """
    if not spec.oracle:
        raise CheckFailure(
            f"{spec.name} declares no oracle, so its numbers cannot be checked. Set OptimizerSpec.oracle to "
            "'module:function', with function(w, g, state, *, lr, t, weight_decay, **hyperparameters) -> "
            "(new_w, new_state) in float64 numpy: g is the preprocessed gradient, state is keyed by slot name"
        )
    found = resolve(spec.oracle)
    if not callable(found):
        raise CheckFailure(f"{spec.name}: the oracle {spec.oracle!r} is {found!r}, which cannot be called")
    reference: Reference = found
    return reference


class Oracle:
    """A workload, stepped in float64.

    Arguments:
        spec: the optimizer's declaration.
        workload: what to step.

    Attributes:
        parameters: the values, by name, after the steps so far, each rounded to its dtype.
        state: each parameter's state, by the parameter's name, then the slot's.
        steps: how many steps were done.

    Raises:
        CheckFailure: the spec declares no oracle.
    """

    def __init__(self, spec: OptimizerSpec, workload: Workload) -> None:
        self._reference = reference_of(spec)
        self._spec = spec
        self._workload = workload
        self._hyperparameters = dict(workload.hyperparameters)
        self.parameters: dict[str, Array] = workload.initial()
        self.state: dict[str, dict[str, Any]] = {
            place.member.name: {
                slot.name: self._initial(slot, place)
                for slot in spec.state
                if slot.kept_with({**spec.defaults, **self._hyperparameters})
            }
            for place in workload.places
        }
        self.steps = 0

    def _initial(self, slot: StateSlot, place: Place) -> Any:
        initial = slot.initial
        number = float(self._hyperparameters[initial]) if isinstance(initial, str) else float(initial)
        return np.full(self.state_shape(slot, place), number) if slot.per_parameter else number

    def change_rates(self, workload: Workload) -> None:
        """Go on with the rates of another workload, of the same parameters."""
        self._workload = workload

    def step(self, gradients: Mapping[str, Array] | None = None) -> None:
        """Do one step.

        Arguments:
            gradients: by name; the workload's own when None.

        Raises:
            CheckFailure: the oracle does not return what the contract asks for.
        """
        given = self._workload.gradients(self.steps) if gradients is None else gradients
        for place in self._workload.places:
            self._step_one(place, np.asarray(given[place.member.name], np.float64))
        self.steps += 1

    def _step_one(self, place: Place, gradient: Array) -> None:
        name, dtype = place.member.name, place.member.dtype
        capabilities = self._spec.capabilities
        decay = place.decay_at(self.steps)
        in_update = decay if capabilities.weight_decay == "update" else 0.0
        in_gradient = decay if capabilities.weight_decay == "gradient" else 0.0
        with np.errstate(all="ignore"):
            w, new_state = self._reference(
                self.parameters[name].copy(),
                self.preprocessed(place, gradient, in_gradient),
                {slot: np.copy(value) if np.ndim(value) else value for slot, value in self.state[name].items()},
                lr=place.rate.at(self.steps, dtype),
                t=self.steps + 1,
                weight_decay=in_update,
                **{**self.hyperparameters_for(dtype), **dict(place.options)},
            )
        declared = sorted(self.state[name])
        if sorted(new_state) != declared:
            raise CheckFailure(f"the oracle returns the state {sorted(new_state)}, declared is {declared}")
        self.parameters[name] = rounded(w, dtype) if dtype in NARROW else np.asarray(w, np.float64)
        self.state[name] = {slot: self._stored(slot, value, place) for slot, value in new_state.items()}

    def state_dtype(self, slot: StateSlot, place: Place) -> str:
        """The dtype in which the state of a parameter is stored."""
        return slot.dtype_for(place.member.shape, place.member.dtype, self._values_at(place))

    def state_shape(self, slot: StateSlot, place: Place) -> tuple[int, ...]:
        """The shape of the state of a parameter."""
        return slot.shape_for(place.member.shape, self._values_at(place))

    def _values_at(self, place: Place) -> dict[str, Any]:
        return {**self._spec.defaults, **self._hyperparameters, **dict(place.options)}

    def _stored(self, name: str, value: Any, place: Place) -> Any:
        """State as the next step reads it: rounded where it is stored in fewer bits than arithmetic has."""
        slot = next(slot for slot in self._spec.state if slot.name == name)
        kind = self.state_dtype(slot, place)
        return rounded(value, kind) if kind in NARROW else value

    def preprocessed(self, place: Place, gradient: Array, decay: float) -> Array:
        """A gradient as the rule sees it: decayed, then centralized, then unscaled."""
        scale = self._workload.loss_scale if self._spec.capabilities.loss_scale else 1.0
        result = gradient
        if decay:
            result = result + scale * decay * self.parameters[place.member.name]
        if place.centralize and result.size:
            result = result - result.mean(axis=tuple(range(1, result.ndim)), keepdims=True)
        return np.asarray(result / scale, np.float64)

    def hyperparameters_for(self, dtype: str) -> dict[str, Any]:
        """The hyperparameters for parameters of a dtype.

        One that is held in a Parameter is, like a rate, in float32 for all but float64.
        """
        saved = {h.name for h in self._spec.hyperparameters if h.saved_as}
        return {
            name: float(np.float32(value)) if name in saved and dtype != "float64" else value
            for name, value in self._hyperparameters.items()
        }

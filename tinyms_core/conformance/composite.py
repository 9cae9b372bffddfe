"""An optimizer around another one as a subject: the two together are an optimizer of parameters like any other.

The kit's checks build an optimizer from parameters. For one that is built from an optimizer, the *composite* is: a
small optimizer of the kit's own is built from the parameters, and the wrapping one around it. The composite's
arguments are those of both, its state is the wrapped one's, and its oracle is the wrapping one's, which says what
gradient the wrapped one's update sees, before the wrapped one's.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinyms_core.conformance.catalog import CheckFailure
from tinyms_core.conformance.oracle import Oracle, reference_of
from tinyms_core.conformance.rounding import Array
from tinyms_core.conformance.workload import Place, Workload
from tinyms_core.registry.probe import resolve
from tinyms_core.registry.specs import Capabilities, OptimizerSpec


@dataclass(frozen=True)
class Parts:
    """What a composite is made of.

    Attributes:
        wrapping: the optimizer around another one.
        wrapped: the other one.
    """

    wrapping: OptimizerSpec
    wrapped: OptimizerSpec


@functools.lru_cache(maxsize=64)
def compose(wrapping: OptimizerSpec, wrapped: OptimizerSpec) -> OptimizerSpec:
    """Declare an optimizer around another one as an optimizer of parameters.

    Arguments:
        wrapping: the optimizer that is built around another one.
        wrapped: what it is to be around.

    Returns:
        The declaration of the two together. Its class builds the wrapped optimizer from parameters and the wrapping
        one around it, which is what a call of the class returns.

    Raises:
        CheckFailure: both declare an argument of the same name.
    """
    both = sorted({h.name for h in wrapping.hyperparameters} & {h.name for h in wrapped.hyperparameters})
    if both:
        raise CheckFailure(f"{wrapping.name} declares {both}, which are arguments of the optimizer that it is around")
    return replace(
        wrapping,
        implementation=_composite_class(Parts(wrapping, wrapped)),
        hyperparameters=(*wrapped.hyperparameters, *wrapping.hyperparameters),
        state=wrapped.state,
        capabilities=_capabilities(wrapping.capabilities, wrapped.capabilities),
        kernels=(),
    )


def _capabilities(wrapping: Capabilities, wrapped: Capabilities) -> Capabilities:
    """What both can do."""
    return replace(
        wrapping,
        weight_decay=wrapped.weight_decay,
        loss_scale=wrapping.loss_scale and wrapped.loss_scale,
        centralization=wrapping.centralization and wrapped.centralization,
        grouped_rates=wrapping.grouped_rates and wrapped.grouped_rates,
        dynamic_rates=wrapping.dynamic_rates and wrapped.dynamic_rates,
        layerwise=wrapping.layerwise or wrapped.layerwise,
        decay_filter=wrapped.decay_filter,
        dtypes=tuple(dtype for dtype in wrapping.dtypes if dtype in wrapped.dtypes),
    )


def _composite_class(parts: Parts) -> type:
    around, inner = resolve(parts.wrapping.implementation), resolve(parts.wrapped.implementation)
    own = [h.name for h in parts.wrapped.hyperparameters]
    theirs = list(inspect.signature(around).parameters.values())[1:]
    order = [*own, *(parameter.name for parameter in theirs)]

    def build(cls: type, params: Any, *arguments: Any, **named: Any) -> Any:
        given = {**dict(zip(order, arguments, strict=False)), **named}
        if len(arguments) > len(order):
            raise TypeError(f"{cls.__name__} takes {len(order)} arguments after params, got {len(arguments)}")
        # What neither declares is for the wrapping optimizer to refuse.
        rest = {name: value for name, value in given.items() if name not in own}
        return around(inner(params, **{name: given[name] for name in own if name in given}), **rest)

    name = f"{around.__name__}Around{inner.__name__}"
    composite = type(name, (), {"__new__": build, "__doc__": around.__doc__, "parts": parts})
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    first = [inspect.Parameter(argument, kind) for argument in ("params", *own)]
    # Not annotated, as `__signature__` is known to `inspect` alone.
    composite.__signature__ = inspect.Signature([*first, *theirs])  # type: ignore[attr-defined]
    return composite


def parts_of(spec: OptimizerSpec) -> Parts | None:
    """What a composite is made of; None for an optimizer that is none."""
    parts: Parts | None = getattr(spec.implementation, "parts", None)
    return parts


def configuration(spec: OptimizerSpec, optimizer: Any) -> dict[str, Any]:
    """The arguments that an optimizer says it was built with; those of a composite are those of both.

    Raises:
        CheckFailure: a wrapping optimizer does not say what it is around.
    """
    parts = parts_of(spec)
    config = dict(optimizer.get_config())
    if parts is None:
        return config
    argument = next(iter(inspect.signature(resolve(parts.wrapping.implementation)).parameters))
    if argument not in config:
        raise CheckFailure(f"get_config() has {sorted(config)}, but not the wrapped optimizer as {argument!r}")
    return {**config.pop(argument).get_config(), **config}


def make_oracle(spec: OptimizerSpec, workload: Workload) -> Oracle:
    """The float64 side of a workload, for a composite too."""
    parts = parts_of(spec)
    return Oracle(spec, workload) if parts is None else CompositeOracle(parts, workload)


class CompositeOracle(Oracle):
    """A workload of a composite, stepped in float64.

    Arguments:
        parts: the wrapping optimizer and the wrapped one.
        workload: what to step.
    """

    def __init__(self, parts: Parts, workload: Workload) -> None:
        given = dict(workload.hyperparameters)
        names = {h.name for h in parts.wrapping.hyperparameters}
        self._factor = reference_of(parts.wrapping)
        self._factor_hyperparameters = {name: value for name, value in given.items() if name in names}
        own = tuple((name, value) for name, value in given.items() if name not in names)
        super().__init__(parts.wrapped, replace(workload, hyperparameters=own))

    def _step_one(self, place: Place, gradient: Array) -> None:
        scale = self._workload.loss_scale if self._spec.capabilities.loss_scale else 1.0
        seen = self.seen(place, gradient / scale)
        if seen is None:
            super()._step_one(place, gradient)
        else:
            super()._step_one(replace(place, decay=(0.0,)), np.asarray(seen, np.float64) * scale)

    def seen(self, place: Place, gradient: Array) -> Any:
        """The gradient that the wrapped optimizer's update sees for one without the loss scale; None for its own."""
        name, dtype = place.member.name, place.member.dtype
        with np.errstate(all="ignore"):
            return self._factor(
                self.parameters[name].copy(),
                gradient,
                lr=place.rate.at(self.steps, dtype),
                t=self.steps + 1,
                weight_decay=place.decay_at(self.steps),
                name=name,
                **self._factor_hyperparameters,
            )

    def refuses(self, place: Place, gradients: Mapping[str, Array]) -> bool:
        """Whether a parameter takes the wrapped optimizer's ordinary path."""
        return self.seen(place, np.asarray(gradients[place.member.name], np.float64)) is None

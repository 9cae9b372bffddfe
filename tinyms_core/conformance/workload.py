"""A workload: parameters, groups, rates, decays, hyperparameters and gradients, as plain numbers.

Both sides of a comparison are built from one workload: the optimizer under test, and the oracle.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinyms_core.conformance.rounding import Array, rounded

# Tensors of so few elements get numbers of one sign: a value that happens to pass near zero would make
# the relative error of a correct step as large as one likes, and there is no root mean square to soften it.
_FEW = 8


@dataclass(frozen=True)
class Rate:
    """A learning rate.

    Attributes:
        values: one rate, or one for each step.
        form: how it is given: ``"float"``, ``"integer"``, ``"tensor"``, ``"array"``, ``"list"``,
            ``"iterable"`` or ``"schedule"``; ``"none"`` where none is given.
    """

    values: tuple[float, ...]
    form: str = "float"

    @property
    def varies(self) -> bool:
        """Whether it is given for each step."""
        return self.form in ("list", "iterable", "schedule") or len(self.values) > 1

    def at(self, step: int, dtype: str) -> float | None:
        """The rate at a 0-based step for parameters of a dtype.

        A rate is held in float32; parameters in float64 see the number as it was written, where it was
        not a tensor already. Where none is given it is None.
        """
        if not self.values:
            return None
        value = self.values[step] if len(self.values) > 1 or self.varies else self.values[0]
        exact = dtype == "float64" and self.form in ("float", "integer", "list", "iterable")
        return float(value) if exact else float(np.float32(value))


NO_RATE = Rate((), "none")


@dataclass(frozen=True)
class Member:
    """A parameter of a workload.

    Attributes:
        name: its name.
        shape: its shape.
        dtype: its dtype; the workload's when empty.
        gradient_dtype: its gradient's dtype; its own when empty.
        scale: what its elements are multiplied by.
        gradient_scale: what its gradient's elements are multiplied by.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = ""
    gradient_dtype: str = ""
    scale: float = 1.0
    gradient_scale: float = 1.0


@dataclass(frozen=True)
class Group:
    """A group of parameters; None for what is not given.

    Attributes:
        members: its parameters.
        rate: its learning rate.
        decay: its weight decay, one number or one for each step.
        centralize: whether it asks for centralized gradients.
        options: hyperparameters that it has values of its own for.
    """

    members: tuple[Member, ...]
    rate: Rate | None = None
    decay: tuple[float, ...] | None = None
    centralize: bool = False
    options: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Place:
    """A parameter with what applies to it.

    Attributes:
        member: the parameter, with its dtypes filled in.
        rate: its learning rate.
        decay: its weight decay, one number or one for each step; 0 where none applies.
        centralize: whether its gradient is centralized.
        options: hyperparameters that its group has values of its own for.
    """

    member: Member
    rate: Rate
    decay: tuple[float, ...]
    centralize: bool
    options: tuple[tuple[str, Any], ...] = ()

    def decay_at(self, step: int) -> float:
        """The weight decay at a 0-based step."""
        return self.decay[step] if len(self.decay) > 1 else self.decay[0]


@dataclass(frozen=True)
class Workload:
    """All that a trial and its oracle are made of.

    Attributes:
        groups: the parameters; one group where ``grouped`` is False.
        grouped: whether they are given as groups.
        rate: the optimizer's learning rate.
        decay: the optimizer's weight decay, one number or one for each step.
        loss_scale: what the gradients have been multiplied by.
        hyperparameters: the optimizer's own arguments.
        order: names in the order of the update, for ``order_params``; None for the groups' order.
        dtype: the dtype of parameters that have none of their own.
        filtered: whether, without groups, decay spares parameters by their names.
        steps: how many steps it is for.
        seed: of all random numbers.
    """

    groups: tuple[Group, ...]
    grouped: bool = True
    rate: Rate = Rate((0.01,))
    decay: tuple[float, ...] = (0.0,)
    loss_scale: float = 1.0
    hyperparameters: tuple[tuple[str, Any], ...] = ()
    order: tuple[str, ...] | None = None
    dtype: str = "float32"
    filtered: bool = True
    steps: int = 20
    seed: int = 7

    @functools.cached_property
    def places(self) -> tuple[Place, ...]:
        """The parameters in the order of the update, with what applies to each."""
        found = {}
        for group in self.groups:
            for member in group.members:
                dtype = member.dtype or self.dtype
                full = replace(member, dtype=dtype, gradient_dtype=member.gradient_dtype or dtype)
                decay = self.decay if group.decay is None else group.decay
                if self.filtered and not self.grouped and ("beta" in member.name or "gamma" in member.name):
                    decay = (0.0,)
                found[member.name] = Place(full, group.rate or self.rate, decay, group.centralize, group.options)
                if group.centralize and len(member.shape) == 1:
                    found[member.name] = replace(found[member.name], centralize=False)
        names = self.order if self.order is not None else tuple(found)
        return tuple(found[name] for name in names)

    def initial(self) -> dict[str, Array]:
        """The parameters' first values, by name, in the order of the update."""
        return {
            place.member.name: rounded(
                self._numbers(place.member.name, -1, place.member.shape, 3.0) * place.member.scale, place.member.dtype
            )
            for place in self.places
        }

    def gradients(self, step: int) -> dict[str, Array]:
        """The gradients of a 0-based step, by name, in the order of the update; the loss scale is in them."""
        return {
            place.member.name: rounded(
                self._numbers(place.member.name, step, place.member.shape, 0.5)
                * (place.member.gradient_scale * self.loss_scale),
                place.member.gradient_dtype,
            )
            for place in self.places
        }

    def _numbers(self, name: str, step: int, shape: tuple[int, ...], offset: float) -> Array:
        # Seeded by the name, so that neither groups nor order change what a parameter sees.
        generator = np.random.default_rng([self.seed, step + 1, *name.encode()])
        drawn = generator.standard_normal(shape)
        few = int(np.prod(shape)) < _FEW
        return np.asarray(offset + 0.3 * np.abs(drawn) if few else drawn, np.float64)

    def with_hyperparameters(self, values: Mapping[str, Any]) -> Workload:
        """The same with some hyperparameters changed."""
        return replace(self, hyperparameters=tuple({**dict(self.hyperparameters), **values}.items()))

"""`Update`: an update written out on whole tensors, for what is no rule on one element."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tinyms_core.kernels.errors import RuleError
from tinyms_core.kernels.rule import GRADIENT, PARAMETER, SUPPLIED_SCALARS
from tinyms_core.registry.slots import StateSlot

# A function of one tensor: (w, g, *state, *scalars) -> (w, *state).
Function = Callable[..., Any]
# Makes a kernel that updates all tensors of a batch: (plan, parameter dtype, gradient dtype) -> kernel.
KernelFactory = Callable[["Plan", str, str], Any]


class Update:
    r"""An update written out, for what is no rule on one element: factored moments, orthogonal steps, solves.

    ``traced`` states one step of one parameter in MindSpore operators:

    .. math::
        (w, s_1, \dots) \leftarrow u(w, g, s_1, \dots, \text{scalars})

    Its arguments are the parameter ``w``, the preprocessed gradient ``g``, the state, then scalars by name, as in
    a `rule`. Tensors come in the arithmetic's dtype and in their own shapes. The scalars ``lr``, ``t`` and
    ``weight_decay``, and hyperparameters that are floats, come as 0-d tensors of float64 (of float32 on Ascend),
    other hyperparameters as they are, and state that is not kept as None. It returns the new parameter and the new
    state, in order, and writes nothing: the base class does, in the dtypes of storage, and all else that is not the
    update.

    Arguments:
        traced: the function. It is parsed by MindSpore where a graph is traced, so it has to be in a file.
        state: names of the state arguments, in order: slots of the optimizer's ``spec``.
        counters: names of slots, one number each for the whole optimizer, that hold how many steps were done.
        host: what updates all tensors at once on the CPU in PyNative: ``host(plan, parameter_dtype,
            gradient_dtype)`` gives a kernel, as the guide "Write a kernel" says; `on_arrays` makes one of a
            function in numpy. Left out, steps are made of MindSpore operators there too.

    Raises:
        RuleError: the arguments of ``traced`` are not ``w, g, *state, *scalars``.

    Example:
        >>> from tinyms_core import Update
        >>> def damped(w, g, norm, lr):
        ...     norm = norm + (g * g).sum()
        ...     return w - lr.astype(w.dtype) * g / norm.sqrt(), norm
        >>> Update(damped, state=("norm",)).scalars
        ('lr',)
    """

    def __init__(
        self,
        traced: Function,
        *,
        state: Sequence[str] = (),
        counters: Sequence[str] = (),
        host: KernelFactory | None = None,
    ) -> None:
        self.traced = traced
        self.name = traced.__name__
        self.state = tuple(state)
        self.counters = tuple(counters)
        self.host = host
        self.scalars = _scalars(self.name, traced, self.state)

    def __repr__(self) -> str:
        return f"<update {self.name}({', '.join((PARAMETER, GRADIENT, *self.state, *self.scalars))})>"


def _scalars(name: str, function: Function, state: tuple[str, ...]) -> tuple[str, ...]:
    """The names of a function's arguments after ``w, g, *state``."""
    parameters = inspect.signature(function).parameters
    names = tuple(parameters)
    plain = {p.kind for p in parameters.values()} <= {inspect.Parameter.POSITIONAL_OR_KEYWORD}
    leading = (PARAMETER, GRADIENT, *state)
    if not plain or names[: len(leading)] != leading:
        raise RuleError(
            f"update {name!r}: its arguments must be plain names that begin with {', '.join(leading)}, got "
            f"{', '.join(map(str, parameters.values())) or 'none'}"
        )
    return names[len(leading) :]


@dataclass(frozen=True)
class Plan:
    """An update for one setting of the hyperparameters: what a kernel of it is made from.

    It stands where a rule's program does, with the parts of it that a step on the host reads.

    Attributes:
        update: the update.
        kept: the slots of the state that is kept for each parameter, in the order of a kernel's addresses.
        hyperparameters: their values, by name; those that a Parameter holds are scalars of a step besides.
        steps: the hyperparameters that a Parameter holds.
    """

    update: Update
    kept: tuple[StateSlot, ...]
    hyperparameters: Mapping[str, Any]
    steps: frozenset[str] = frozenset()

    # The host computes no scalar but the number of steps done.
    host: ClassVar[tuple[Any, ...]] = ()
    scalars: ClassVar[tuple[str, ...]] = ("t",)
    slots: ClassVar[tuple[str, ...]] = ()

    @property
    def name(self) -> str:
        """The update's name."""
        return self.update.name

    @property
    def state(self) -> tuple[str, ...]:
        """The names of the state that is kept for each parameter."""
        return tuple(slot.name for slot in self.kept)

    @property
    def tensors(self) -> tuple[str, ...]:
        """``w``, ``g`` and the state, in the order of a kernel's addresses."""
        return (PARAMETER, GRADIENT, *self.state)

    @property
    def scalar_state(self) -> Mapping[str, str]:
        """State that is one number for the optimizer, with the scalar that it takes."""
        return dict.fromkeys(self.update.counters, "t")

    @property
    def step_scalars(self) -> tuple[str, ...]:
        """The scalars of the update that may change from step to step."""
        return tuple(name for name in self.update.scalars if name in (*SUPPLIED_SCALARS, *self.steps))

"""What an optimizer keeps from step to step, as data: names, shapes, dtypes and first values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Any, Final, Literal

from tinyms_core.registry import checks
from tinyms_core.registry.plain import PlainFields

Shape = tuple[int, ...]

SHARED: Final[Mapping[str, Shape]] = MappingProxyType({"scalar": (), "singleton": (1,)})
# For each kind of shape of a parameter's state: which parameters have it, and what it is there. Where it does not
# apply the state is a placeholder of one number, so that checkpoints have the same names for every shape.
_OF_PARAMETER: Final[Mapping[str, tuple[Callable[[Shape], bool], Callable[[Shape], Shape]]]] = MappingProxyType(
    {
        "like": (lambda shape: True, lambda shape: shape),
        "rows": (lambda shape: len(shape) > 1, lambda shape: shape[:-1]),
        "columns": (lambda shape: len(shape) > 1, lambda shape: (*shape[:-2], shape[-1])),
        "unfactored": (lambda shape: len(shape) < 2, lambda shape: shape),
    }
)
_PLACEHOLDER: Final = (1,)
_NONE: Final[Mapping[str, Any]] = MappingProxyType({})
_WIDTHS: Final = MappingProxyType({"float16": 2, "float32": 4, "float64": 8})


@dataclass(frozen=True)
class StateSlot(PlainFields):
    """One piece of state that an optimizer keeps, for each parameter or once.

    Arguments:
        name: The name in the update.
        prefix: The name in a checkpoint: the slot of parameter ``W`` is saved as ``prefix.W``, and one that the
            whole optimizer shares as ``prefix``.
        initial: The value that every element starts with, or the name of the hyperparameter that gives it.
        shape: ``"like"`` for the parameter's own shape. For factored state of parameters of two or more dimensions
            ``"rows"``, one number for each row (the shape without its last axis), and ``"columns"``, one for each
            column (without the last but one); ``"unfactored"`` is the parameter's shape for those of fewer
            dimensions. Where such a slot does not apply it is a placeholder of the shape ``(1,)``. For one number that
            the whole optimizer shares, ``"scalar"``, or ``"singleton"`` where it is saved with the shape ``(1,)``.
        separator: What stands between prefix and parameter in a checkpoint, ``"."`` or ``"_"``.
        given: The hyperparameter without which there is no such state: it is kept where that is neither None nor
            False. Empty for state that is always kept.
        halved: The flag with which the state is stored in float16, where it applies. Empty for state in the
            arithmetic's dtype.
        shaped_with: The flag with which the state has the shape that ``shape`` says; without the flag it has the
            parameter's. Empty for state of one shape in any case.

    Raises:
        InvalidSpecError: If a field cannot be; the message names it.

    Example:
        >>> StateSlot("m", prefix="moment1").parameter_name("dense.weight")
        'moment1.dense.weight'
        >>> StateSlot("c", prefix="column_means", shape="columns").shape_for((3, 4, 5))
        (3, 5)
    """

    name: str
    prefix: str
    initial: float | str = 0.0
    shape: Literal["like", "rows", "columns", "unfactored", "scalar", "singleton"] = "like"
    separator: Literal[".", "_"] = "."
    given: str = ""
    halved: str = ""
    shaped_with: str = ""

    def __post_init__(self) -> None:
        checks.check_identifier("StateSlot.name", self.name)
        checks.check_dotted("StateSlot.prefix", self.prefix)
        check_initial = checks.check_identifier if isinstance(self.initial, str) else checks.check_finite
        check_initial("StateSlot.initial", self.initial)
        checks.check_choice("StateSlot.shape", self.shape, dict.fromkeys(("like", *SHARED, *_OF_PARAMETER)))
        checks.check_choice("StateSlot.separator", self.separator, (".", "_"))
        for name in ("given", "halved", "shaped_with"):
            if getattr(self, name) != "":
                checks.check_identifier(f"StateSlot.{name}", getattr(self, name))

    @property
    def attribute(self) -> str:
        """The optimizer's attribute that holds the state: the prefix, with ``_`` for each dot."""
        return self.prefix.replace(".", "_")

    @property
    def per_parameter(self) -> bool:
        """Whether each parameter has its own."""
        return self.shape in _OF_PARAMETER

    def parameter_name(self, name: str) -> str:
        """Return the checkpoint's name for the state of the parameter of a name."""
        return f"{self.prefix}{self.separator}{name}" if self.per_parameter else self.prefix

    def applies_to(self, shape: Shape, hyperparameters: Mapping[str, Any] = _NONE) -> bool:
        """Say whether a parameter of a shape uses the state, where it is not a placeholder."""
        return not self.per_parameter or self._layout(hyperparameters)[0](tuple(shape))

    def shape_for(self, shape: Shape, hyperparameters: Mapping[str, Any] = _NONE) -> Shape:
        """Return the shape of the state for a parameter of a shape, with values of the hyperparameters.

        The values are only needed where the slot has a ``shaped_with``, which counts as set where it is left out.
        """
        if not self.per_parameter:
            return SHARED[self.shape]
        applies, shape_of = self._layout(hyperparameters)
        return shape_of(tuple(shape)) if applies(tuple(shape)) else _PLACEHOLDER

    def _layout(self, hyperparameters: Mapping[str, Any]) -> tuple[Callable[[Shape], bool], Callable[[Shape], Shape]]:
        shaped = not self.shaped_with or hyperparameters.get(self.shaped_with, True)
        return _OF_PARAMETER[self.shape if shaped else "like"]

    def kept_with(self, hyperparameters: Mapping[str, Any]) -> bool:
        """Say whether the state is kept with values of the hyperparameters."""
        value = hyperparameters[self.given] if self.given else True
        return value is not None and value is not False

    def dtype_for(self, shape: Shape, dtype: str, hyperparameters: Mapping[str, Any]) -> str:
        """Return the dtype of the state for a parameter of a shape and dtype.

        It is float64 for parameters in float64 and float32 for all others, since sums of squares overflow or
        vanish in 16 bits; float16 where ``halved`` says so; float32 for what the whole optimizer shares.
        """
        if self.halved and hyperparameters[self.halved] and self.applies_to(shape, hyperparameters):
            return "float16"
        return "float64" if dtype == "float64" and self.per_parameter else "float32"

    def bytes_for(self, shape: Shape, dtype: str, hyperparameters: Mapping[str, Any]) -> int:
        """Return the bytes of the state for a parameter of a shape and dtype."""
        if not self.kept_with(hyperparameters):
            return 0
        return prod(self.shape_for(shape, hyperparameters)) * _WIDTHS[self.dtype_for(shape, dtype, hyperparameters)]

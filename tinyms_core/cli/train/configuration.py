"""With what an optimizer is built for training: tuned values where there are any, else its own defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Final

from tinyms_core.cli.errors import CommandError
from tinyms_core.registry.specs import REQUIRED, OptimizerSpec


@dataclass(frozen=True)
class Tuned:
    """Values that train the network well.

    Attributes:
        learning_rate: the rate at the first step.
        weight_decay: the decay, for weights alone.
        hyperparameters: whatever else differs from the optimizer's defaults, or has none.
    """

    learning_rate: float
    weight_decay: float = 0.0
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)


TUNED: Final[Mapping[str, Tuned]] = MappingProxyType(
    {
        "adafactor": Tuned(0.05),
        "momentum": Tuned(0.05, 1e-3, {"momentum": 0.9}),
        "adam": Tuned(0.005, 1e-4),
        "lamb": Tuned(0.02, 1e-2),
        "thor": Tuned(0.2, 0.0, {"damping": 1e-4, "momentum": 0.5, "frequency": 10, "enable_clip_grad": True}),
        "lars": Tuned(0.05, 1e-3, {"momentum": 0.9, "coefficient": 0.2}),
    }
)

CONSTANT: Final = "constant"
COSINE: Final = "cosine"


@dataclass(frozen=True)
class Configuration:
    """With what an optimizer is built.

    Attributes:
        optimizer: its name.
        learning_rate: the rate at the first step.
        schedule: ``"cosine"``: the rate falls to zero along half a cosine; or ``"constant"``, for an optimizer that
            takes no schedule.
        weight_decay: the decay.
        hyperparameters: the other arguments that are given.
        around: name of the optimizer that it is built around; empty for one that is built from parameters.
    """

    optimizer: str
    learning_rate: float
    schedule: str
    weight_decay: float
    hyperparameters: Mapping[str, Any]
    around: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict that ``json.dumps`` takes."""
        return asdict(self)

    def describe(self) -> str:
        """The configuration in a line."""
        values = {"learning_rate": self.learning_rate, "weight_decay": self.weight_decay, **self.hyperparameters}
        shown = ", ".join(f"{name}={value:g}" for name, value in values.items())
        around = f"around {self.around}, " if self.around else ""
        return f"{around}{shown}, {self.schedule} schedule"


def configure(
    name: str,
    spec: OptimizerSpec,
    *,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    hyperparameters: Mapping[str, float] | None = None,
    tuned: Mapping[str, Tuned] = TUNED,
    around: str = "",
) -> Configuration:
    """Choose with what to build an optimizer.

    Args:
        name: The name that the optimizer was asked for by.
        spec: The optimizer; for one around another one, the two together.
        learning_rate: The user's rate; None for the tuned one, else the optimizer's default.
        weight_decay: The user's decay, likewise.
        hyperparameters: The user's other values.
        tuned: The tuned values, by the optimizers' own names.
        around: The name of that other one.

    Returns:
        The configuration.

    Raises:
        CommandError: If the optimizer has no such hyperparameter, or needs a value that nobody gives.
    """
    given = of_kind(spec, hyperparameters or {})
    unknown = sorted(set(given) - set(spec.defaults))
    if unknown:
        raise CommandError(f"--set: {name!r} has no hyperparameter {unknown[0]!r}; it has {', '.join(spec.defaults)}")
    best = tuned.get(spec.name)
    rate = _first(learning_rate, best and best.learning_rate, spec.defaults.get("learning_rate"))
    if not isinstance(rate, (int, float)):
        raise CommandError(f"{name!r} has no default learning rate, and none is known for it: give --learning-rate")
    decay = _first(weight_decay, best and best.weight_decay, spec.defaults.get("weight_decay"), 0.0)
    known = {key: value for key, value in (best.hyperparameters if best else {}).items() if key in spec.defaults}
    values = {**_with_rate(spec), **known, **given}
    missing = [key for key, value in spec.defaults.items() if value is REQUIRED and key not in values]
    missing = [key for key in missing if key != "learning_rate"]
    if missing:
        raise CommandError(f"{name!r} needs a value for {missing[0]!r}: give --set {missing[0]}=VALUE")
    schedule = COSINE if spec.capabilities.dynamic_rates else CONSTANT
    return Configuration(name, float(rate), schedule, float(decay), values, around)


def _with_rate(spec: OptimizerSpec) -> dict[str, Any]:
    """The flag that an optimizer needs in order to take a rate, for one that can do without."""
    declared = next((item for item in spec.hyperparameters if item.kind == "rate" and item.only_with), None)
    return {declared.only_with_flag: not declared.only_with.startswith("not ")} if declared else {}


def of_kind(spec: OptimizerSpec, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values, with whole numbers as ints where the optimizer wants an int.

    Example:
        >>> from tinyms_core import Hyperparameter, OptimizerSpec
        >>> spec = OptimizerSpec("demo", "demo:Demo", "", hyperparameters=(Hyperparameter("every", 2, kind="int"),))
        >>> of_kind(spec, {"every": 3.0})
        {'every': 3}
    """
    ints = {item.name for item in spec.hyperparameters if item.kind == "int"}
    return {
        name: int(value) if name in ints and isinstance(value, float) and value.is_integer() else value
        for name, value in given.items()
    }


def cosine_rates(peak: float, steps: int) -> list[float]:
    """Return the rate of each step, which falls from the peak along half a cosine and would be zero after the last.

    Example:
        >>> [round(rate, 3) for rate in cosine_rates(1.0, 4)]
        [1.0, 0.854, 0.5, 0.146]
    """
    return [peak * (1 + math.cos(math.pi * step / steps)) / 2 for step in range(steps)]


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None and value is not REQUIRED), None)

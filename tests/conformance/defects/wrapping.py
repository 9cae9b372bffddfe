"""Defects in optimizers around another one, and the sound one that they differ from in one thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from mindspore import Parameter, Tensor

from tests.conformance.defects.planting import planted
from tinyms_core import Capabilities, Hyperparameter, OptimizerSpec, WrappingOptimizer, math, rule
from tinyms_core.conformance.inner import InnerMomentum
from tinyms_core.optimizer.views import undecayed


def no_bias(parameter: Any) -> bool:
    """Whether the factor applies by default."""
    return "bias" not in parameter.name


@rule()
def relative(w, g, lr, weight_decay, size, floor, by_rate):
    """As long as the weights are."""
    length = math.norm(w)
    factor = size * (length + 1) / (math.norm(g) + weight_decay * length + floor)
    if by_rate:
        factor = factor / (1 + lr)
    return factor


def relative_reference(
    w: Any,
    g: Any,
    *,
    lr: float,
    t: int,
    weight_decay: float,
    name: str,
    size: float,
    floor: float,
    by_rate: bool,
    chooses: Any,
) -> Any:
    """The gradient that the wrapped optimizer's update sees, in float64."""
    if not chooses(Parameter(Tensor(0.0), name=name)):
        return None
    length = np.linalg.norm(np.ravel(w))
    factor = size * (length + 1) / (np.linalg.norm(np.ravel(g)) + weight_decay * length + floor)
    return (factor / (1 + lr) if by_rate else factor) * (g + weight_decay * w)


class SoundRelative(WrappingOptimizer):
    r"""Gradients as long as the weights are, for another optimizer.

    Arguments:
        optimizer: the other optimizer.
        size: how long, a float > 0.
        floor: what is added to the gradient's length, a float > 0.
        by_rate: whether larger rates shorten gradients.
        chooses: called with each Parameter; whether this applies to it.

    Raises:
        TypeError: an argument of a wrong type.
        ValueError: an argument out of range.
    """

    spec = OptimizerSpec(
        name="sound_relative",
        implementation=f"{__name__}:SoundRelative",
        summary="Gradients as long as the weights are.",
        reference="of the tests' own",
        oracle=relative_reference,
        hyperparameters=(
            Hyperparameter("size", 0.5, "(0, inf)"),
            Hyperparameter("floor", 0.01, "(0, inf)"),
            Hyperparameter("by_rate", False, kind="flag"),
            Hyperparameter("chooses", no_bias, kind="any"),
        ),
        capabilities=Capabilities(wraps_optimizer=True, layerwise=True),
    )
    factor = relative

    def __init__(
        self,
        optimizer: Any,
        size: float = 0.5,
        floor: float = 0.01,
        by_rate: bool = False,
        chooses: Callable[[Parameter], bool] = no_bias,
    ) -> None:
        given = {"size": size, "floor": floor, "by_rate": by_rate, "chooses": chooses}
        super().__init__(optimizer, hyperparameters=given, chosen_by="chooses")


@planted("Of Parameters an optimizer is made in silence.", "wraps_optimizers_alone")
class MakesItsOwn(SoundRelative):
    def __init__(self, optimizer: Any, *arguments: Any, **named: Any) -> None:
        if isinstance(optimizer, list):
            optimizer = InnerMomentum(optimizer, 0.1, 0.0, 1.0, 0.9)
        super().__init__(optimizer, *arguments, **named)


@planted("The wrapped optimizer's own decay is switched off for good.", "wrapped_optimizer_unchanged")
class SwitchesDecayOff(SoundRelative):
    def __init__(self, optimizer: Any, *arguments: Any, **named: Any) -> None:
        super().__init__(optimizer, *arguments, **named)
        optimizer.decay_flags = (False,) * len(optimizer.decay_flags)


@planted(
    "After an error the wrapped optimizer is left as it was in the middle of a step.", "wrapped_optimizer_unchanged"
)
class LeavesItHalfway(SoundRelative):
    def __call__(self, *arguments: Any, **named: Any) -> Any:
        before, self.optimizer.need_scale = self.optimizer.need_scale, False
        result = super().__call__(*arguments, **named)
        self.optimizer.need_scale = before
        return result


@planted("Building takes the wrapped optimizer a step further.", "wrapped_optimizer_unchanged")
class StepsWhileBuilding(SoundRelative):
    def __init__(self, optimizer: Any, *arguments: Any, **named: Any) -> None:
        super().__init__(optimizer, *arguments, **named)
        for parameter in optimizer.get_parameters():
            if "velocity" in parameter.name:
                parameter.set_data(parameter + 0.01)


@planted("The step is counted once by either optimizer.", "wrapped_step_advances_once")
class CountsAsWell(SoundRelative):
    def __call__(self, *arguments: Any, **named: Any) -> Any:
        result = super().__call__(*arguments, **named)
        self.optimizer.next_step()
        return result


@planted("The step is counted apart from the wrapped optimizer's.", "wrapped_step_advances_once")
class ShowsItsOwnStep(SoundRelative):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.global_step = Parameter(Tensor(np.zeros(1, np.int32)), name="own_step", requires_grad=False)


@planted("Parameters that are not chosen lose their decay as well.", "refused_parameters_ordinary")
class UndecaysTheRefused(SoundRelative):
    def __init__(self, optimizer: Any, *arguments: Any, **named: Any) -> None:
        super().__init__(optimizer, *arguments, **named)
        self.view = undecayed(optimizer, (True,) * self.param_length)


@planted(
    "The wrapped optimizer decays once more.",
    "wraps_decoupled_decay",
    "wraps_classic_optimizers",
    "wraps_mindspore_optimizers",
)
class DecaysTwice(SoundRelative):
    def __init__(self, optimizer: Any, *arguments: Any, **named: Any) -> None:
        super().__init__(optimizer, *arguments, **named)
        self.view = undecayed(optimizer, (False,) * self.param_length)


@planted(
    "In a graph the factor is made of a gradient with the loss scale.",
    "golden_trajectory",
    "wraps_classic_optimizers",
    "wraps_mindspore_optimizers",
    modes=("graph",),
)
class NormOfTheScaled(SoundRelative):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.reciprocal_wide = Tensor(1.0, self.wide_type)
        # Kernels do not read it.
        self.traced_operator = None


@planted("Around MindSpore's optimizers nothing is multiplied.", "wraps_mindspore_optimizers")
class OnlyItsOwnKind(SoundRelative):
    def __init__(self, optimizer: Any, *arguments: Any, **named: Any) -> None:
        super().__init__(optimizer, *arguments, **named)
        if type(optimizer).__module__.startswith("mindspore."):
            self.chosen_flags = (False,) * self.param_length
            self.view = optimizer


@planted("A Parameter of its own is saved with the wrapped optimizer's.", "wrapped_checkpoint")
class SavesMore(SoundRelative):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.steps_around = Parameter(Tensor(np.zeros(1, np.int32)), name="steps_around", requires_grad=False)


@planted("`get_config` does not say what it is around.", "config_roundtrip")
class ForgetsTheOther(SoundRelative):
    def get_config(self) -> dict[str, Any]:
        return {name: value for name, value in super().get_config().items() if name != "optimizer"}


@planted("A chosen parameter's decay is left out of the gradient.", "golden_trajectory")
class LeavesDecayOut(SoundRelative):
    def _ready_host_step(self) -> Any:
        step = super()._ready_host_step()
        for index, group in enumerate(step._factors._groups):
            step._factors._groups[index] = replace(group, decays=False)
        return step

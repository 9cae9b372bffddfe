"""Defects in what an optimizer says of itself."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from tests.conformance.defects.planting import declared, planted
from tests.conformance.defects.sound import SoundMomentum, SoundTrust
from tinyms_core import Hyperparameter, StateSlot
from tinyms_core.optimizer.copying import rebuild_optimizer, snapshot

MOMENTUM = SoundMomentum.spec

EAGER_PLUGIN = """
import mindspore

from tinyms_core import OptimizerSpec, hookimpl


@hookimpl
def tinyms_optimizers():
    return [OptimizerSpec("eager_listing", "tinyms_eager.optimizer:EagerListing")]
"""


@planted(
    "The implementation that the specification names does not exist.",
    "name_resolves",
    sign="NoSuchClass",
    implementation=f"{__name__}:NoSuchClass",
)
class Nowhere(SoundMomentum):
    pass


@planted(
    "The specification names another optimizer's class.",
    "metadata_matches_class",
    implementation="tests.conformance.defects.sound:SoundAdam",
)
class AnotherClass(SoundMomentum):
    pass


@planted("An alias is the name of another optimizer.", "name_resolves", aliases=("adam",))
class TakenAlias(SoundMomentum):
    pass


@planted(
    "A default in the specification is not the constructor's.",
    "metadata_matches_signature",
    hyperparameters=declared(MOMENTUM, "momentum", default=0.5),
)
class AnotherDefault(SoundMomentum):
    pass


@planted("The constructor takes an argument that the specification does not declare.", "metadata_matches_signature")
class UndeclaredArgument(SoundMomentum):
    def __init__(
        self,
        params: Any,
        learning_rate: Any = 0.1,
        momentum: float = 0.9,
        weight_decay: Any = 0.0,
        loss_scale: float = 1.0,
        use_nesterov: bool = False,
        dampening: float = 0.0,
    ) -> None:
        super().__init__(params, learning_rate, momentum, weight_decay, loss_scale, use_nesterov)


@planted(
    "The specification declares a hyperparameter that the constructor does not take.",
    "metadata_matches_signature",
    hyperparameters=(*MOMENTUM.hyperparameters, Hyperparameter("dampening", 0.0)),
)
class InventedHyperparameter(SoundMomentum):
    def __init__(
        self,
        params: Any,
        learning_rate: Any = 0.1,
        momentum: float = 0.9,
        weight_decay: Any = 0.0,
        loss_scale: float = 1.0,
        use_nesterov: bool = False,
    ) -> None:
        super().__init__(params, learning_rate, momentum, weight_decay, loss_scale, use_nesterov)


@planted("The docstring leaves out an argument.", "docstring_matches_signature")
class SilentArgument(SoundMomentum):
    __doc__ = "\n".join(line for line in (SoundMomentum.__doc__ or "").splitlines() if "momentum: " not in line)


@planted("The docstring describes an argument that does not exist.", "docstring_matches_signature")
class InventedArgument(SoundMomentum):
    __doc__ = (SoundMomentum.__doc__ or "").replace(
        "        loss_scale:", "        dampening: how much of a gradient is left out, >= 0.\n        loss_scale:"
    )


@planted("The constructor's first two arguments are in the other order.", "signature_stable")
class SwappedArguments(SoundMomentum):
    def __init__(
        self,
        learning_rate: Any,
        params: Any,
        momentum: float = 0.9,
        weight_decay: Any = 0.0,
        loss_scale: float = 1.0,
        use_nesterov: bool = False,
    ) -> None:
        super().__init__(params, learning_rate, momentum, weight_decay, loss_scale, use_nesterov)


@planted("The configuration lacks a hyperparameter.", "config_roundtrip")
class ForgetfulConfig(SoundMomentum):
    def get_config(self) -> dict[str, Any]:
        return {name: value for name, value in super().get_config().items() if name != "use_nesterov"}


@planted("A deep copy updates the original's parameters.", "deepcopy_and_pickle")
class SharingCopy(SoundMomentum):
    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        cls, source, config, state, offload = snapshot(self)
        return rebuild_optimizer(cls, source, copy.deepcopy(config, memo), state, offload)


@planted("Pickling loses the state.", "deepcopy_and_pickle")
class StatelessPickle(SoundMomentum):
    def __reduce__(self) -> tuple[Any, ...]:
        cls, source, config, _, offload = snapshot(self)
        return rebuild_optimizer, (cls, source, config, {}, offload)


@planted(
    "The specification declares a state that does not exist.",
    "metadata_matches_signature",
    state=(*MOMENTUM.state, StateSlot("u", prefix="variance")),
)
class InventedState(SoundMomentum):
    pass


@planted(
    "The specification says that the gradient may be scaled, and the scale is not an argument.",
    "metadata_matches_signature",
    hyperparameters=tuple(h for h in MOMENTUM.hyperparameters if h.name != "loss_scale"),
    capabilities=replace(MOMENTUM.capabilities, loss_scale=True),
)
class ScaleWithoutArgument(SoundMomentum):
    def __init__(
        self,
        params: Any,
        learning_rate: Any = 0.1,
        momentum: float = 0.9,
        weight_decay: Any = 0.0,
        use_nesterov: bool = False,
    ) -> None:
        super().__init__(params, learning_rate, momentum, weight_decay, 1.0, use_nesterov)


@planted(
    "An optimizer whose step depends on the whole tensor does not say so.",
    "metadata_matches_signature",
    capabilities=replace(SoundTrust.spec.capabilities, layerwise=False),
)
class ClaimsElementwise(SoundTrust):
    pass


@planted(
    "Importing the module that states the optimizer imports MindSpore.",
    "listing_is_lazy",
    sign="listing it imports mindspore",
    plugin=EAGER_PLUGIN,
    implementation="tinyms_eager.optimizer:EagerListing",
    distribution="tinyms-eager",
)
class EagerListing(SoundMomentum):
    pass

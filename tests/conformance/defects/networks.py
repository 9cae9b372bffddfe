"""Defects in optimizers that are built from a network, and the sound one that each differs from in one thing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mindspore
import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from tests.conformance.defects import tables
from tests.conformance.defects.planting import declared, planted
from tests.conformance.defects.sound import descend
from tinyms_core import Capabilities, Hyperparameter, Optimizer, OptimizerSpec, StateSlot


class SoundNetwork(Optimizer):
    """Momentum of a network's parameters, by gradients that are smaller the larger they are altogether.

    Arguments:
        net: a network.
        learning_rate: a rate >= 0.
        momentum: a float in [0, 1).
        weight_decay: L2 penalty, >= 0.
        loss_scale: what gradients are divided by, > 0.
        use_nesterov: whether the step looks ahead along the new momentum.

    Raises:
        TypeError: an argument of a wrong type.
        ValueError: an argument out of range.
    """

    spec = OptimizerSpec(
        name="sound_network",
        implementation=f"{__name__}:SoundNetwork",
        summary="Momentum of a network's parameters, by damped gradients.",
        reference="none",
        hyperparameters=(
            Hyperparameter("learning_rate", kind="rate"),
            Hyperparameter("momentum", 0.9, "[0, 1)"),
            Hyperparameter("weight_decay", 0.0, kind="decay"),
            Hyperparameter("loss_scale", 1.0, "(0, inf)", kind="number"),
            Hyperparameter("use_nesterov", False, kind="flag"),
        ),
        state=(StateSlot("v", prefix="moments"),),
        refused=f"{tables.__name__}:NETWORK_REFUSED",
        accepted=f"{tables.__name__}:NETWORK_ACCEPTED",
        capabilities=Capabilities(
            consumes_network=True, layerwise=True, grouped_rates=False, centralization=False, dtypes=("float32",)
        ),
    )
    rule = descend

    def __init__(
        self,
        net: nn.Cell,
        learning_rate: Any,
        momentum: float = 0.9,
        weight_decay: Any = 0.0,
        loss_scale: float = 1.0,
        use_nesterov: bool = False,
    ) -> None:
        super().__init__(
            learning_rate,
            self.parameters_of(net),
            weight_decay,
            loss_scale,
            hyperparameters={"momentum": momentum, "use_nesterov": use_nesterov},
        )

    def parameters_of(self, net: Any) -> list[Parameter]:
        """What is trained."""
        if not isinstance(net, nn.Cell):
            raise TypeError(f"'net' must be a network, got {net!r}")
        found: list[Parameter] = net.trainable_params()
        if not found:
            raise ValueError("'net' must have trainable parameters")
        return found

    def precondition(self, gradients: Any) -> Any:
        total: Any = 0.0
        for gradient in gradients:
            total += ops.square(gradient / self.loss_scale).sum()
        result: Any = ()
        for gradient in gradients:
            result += (gradient / ops.sqrt(1.0 + total),)
        return result

    def precondition_on_host(self, gradients: Any, step: int) -> Any:
        # The same as in a graph, so that the two cannot differ.
        return SoundNetwork.precondition(self, gradients)


@planted(
    "A default is not the one that is declared.",
    "network_signature_matches",
    hyperparameters=declared(SoundNetwork.spec, "momentum", default=0.8),
)
class NetworkOtherDefault(SoundNetwork):
    pass


@planted("get_config() says that decay is none.", "network_config_roundtrip")
class NetworkForgetfulConfig(SoundNetwork):
    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weight_decay": 0.0}


@planted("Arguments that do not exist are swallowed.", "network_unknown_keyword_raises")
class NetworkCatchAll(SoundNetwork):
    def __init__(self, net: nn.Cell, learning_rate: Any, **named: Any) -> None:
        known = {h.name for h in self.spec.hyperparameters}
        super().__init__(net, learning_rate, **{name: value for name, value in named.items() if name in known})


@planted("A list of Parameters is taken for a network.", "network_wanted")
class NetworkTakesParameters(SoundNetwork):
    def parameters_of(self, net: Any) -> list[Parameter]:
        return net if isinstance(net, list) else super().parameters_of(net)


@planted("A momentum that is out of range is moved into it.", "network_bad_hyperparameters_raise")
class NetworkMovesMomentum(SoundNetwork):
    def __init__(self, net: nn.Cell, learning_rate: Any, momentum: float = 0.9, *more: Any, **named: Any) -> None:
        moved = min(max(momentum, 0.0), 0.99) if isinstance(momentum, float) else momentum
        super().__init__(net, learning_rate, moved, *more, **named)


@planted(
    "The table of refused arguments leaves one out.",
    "network_declared_refusals",
    sign="no row for 'use_nesterov'",
    refused=f"{tables.__name__}:NETWORK_INCOMPLETE",
)
class NetworkIncompleteTable(SoundNetwork):
    pass


@planted("What the table has as accepted is refused.", "network_declared_acceptances")
class NetworkRefusesAccepted(SoundNetwork):
    def __init__(self, net: nn.Cell, learning_rate: Any, momentum: float = 0.9, *more: Any, **named: Any) -> None:
        if momentum == 0.0:
            raise ValueError("momentum must be positive")
        super().__init__(net, learning_rate, momentum, *more, **named)


@planted("The network's layers are given other names.", "network_left_as_it_is", sign="other cells or Parameters")
class NetworkRenames(SoundNetwork):
    def __init__(self, net: nn.Cell, *arguments: Any, **named: Any) -> None:
        super().__init__(net, *arguments, **named)
        for parameter in self.parameters:
            parameter.name = f"seen.{parameter.name}"


@planted("Weights decay without the rate.", "network_left_as_it_is", sign="after 3 steps at a rate of 0")
class NetworkDecaysWithoutRate(SoundNetwork):
    def precondition_on_host(self, gradients: Any, step: int) -> Any:
        for parameter in self.parameters:
            parameter.asnumpy()[...] *= 0.999
        return super().precondition_on_host(gradients, step)


@planted("Past the end of listed rates the last one is kept.", "network_rates_by_step")
class NetworkKeepsLastRate(SoundNetwork):
    def __init__(self, net: nn.Cell, learning_rate: Any, *arguments: Any, **named: Any) -> None:
        if isinstance(learning_rate, Tensor) and learning_rate.ndim == 1:
            values = learning_rate.asnumpy()
            learning_rate = Tensor(np.r_[values, np.full(100, values[-1])].astype(np.float32))
        super().__init__(net, learning_rate, *arguments, **named)


@planted("Asking for the rate counts a step.", "network_step_advances_once")
class NetworkAskingCounts(SoundNetwork):
    def get_lr(self) -> Any:
        self.global_step.asnumpy()[...] += 1
        return super().get_lr()


@planted("Gradients are damped with the loss scale in them.", "network_loss_scale_invariance")
class NetworkScaledDamping(SoundNetwork):
    def precondition_on_host(self, gradients: Any, step: int) -> Any:
        total = sum(float(ops.square(gradient).sum()) for gradient in gradients)
        return tuple(gradient / float(np.sqrt(1.0 + total)) for gradient in gradients)


@planted("It climbs.", "network_converges")
class NetworkClimbs(SoundNetwork):
    def precondition_on_host(self, gradients: Any, step: int) -> Any:
        return tuple(-gradient for gradient in super().precondition_on_host(gradients, step))


@planted(
    "In a graph the gradients are not damped.",
    "network_graph_equals_eager",
    "network_jit_equals_eager",
    "network_model_train",
    modes=("jit", "graph"),
)
class NetworkUndampedInGraph(SoundNetwork):
    def precondition(self, gradients: Any) -> Any:
        return gradients


@planted("A step counts before its gradients are looked at.", "network_bad_gradients_leave_state_untouched")
class NetworkCountsFirst(SoundNetwork):
    def __call__(self, gradients: Any) -> Any:
        self.global_step.asnumpy()[...] += 1
        result = super().__call__(gradients)
        self.global_step.asnumpy()[...] -= 1
        return result


@planted("Frozen parameters are trained with the others.", "network_frozen_untouched", sign="frozen")
class NetworkTrainsFrozen(SoundNetwork):
    def parameters_of(self, net: Any) -> list[Parameter]:
        found = super().parameters_of(net)
        for parameter in net.get_parameters():
            parameter.requires_grad = True
        return found + [parameter for parameter in net.get_parameters() if id(parameter) not in set(map(id, found))]


@planted("What is known of the network is not in the state.", "network_checkpoint_resume", "network_survives_rebinding")
class NetworkUnsavedKnowledge(SoundNetwork):
    seen = 0

    def precondition_on_host(self, gradients: Any, step: int) -> Any:
        self.seen += 1
        return tuple(gradient / self.seen for gradient in super().precondition_on_host(gradients, step))


@planted("State is kept in float64.", "network_state_size_declared")
class NetworkWideState(SoundNetwork):
    def _set_state(self, values: dict[str, Any]) -> None:
        super()._set_state(values)
        self.moments = ParameterTuple(
            [Parameter(p.astype(mindspore.float64), name=p.name, requires_grad=False) for p in self.moments]
        )
        self.states = {"v": self.moments}


@planted("Optimizers of two networks share their state.", "network_two_at_once")
class NetworkSharedState(SoundNetwork):
    shared: dict[str, Parameter] = {}

    def _set_state(self, values: dict[str, Any]) -> None:
        super()._set_state(values)
        self.moments = ParameterTuple([self.shared.setdefault(p.name, p) for p in self.moments])
        self.states = {"v": self.moments}


class _Doubled(nn.Cell):
    """An operator whose gradient is twice as large."""

    def __init__(self, operator: Any) -> None:
        super().__init__(auto_prefix=False)
        self.operator = operator

    def construct(self, inputs: Any, weight: Any) -> Any:
        out = self.operator(inputs, weight)
        return 2.0 * out - ops.stop_gradient(out)


@planted("Looking at a layer doubles its gradient.", "network_gradients_of_its_own")
class NetworkDoublesGradients(SoundNetwork):
    def __init__(self, net: nn.Cell, *arguments: Any, **named: Any) -> None:
        super().__init__(net, *arguments, **named)
        self._restore: list[Callable[[], None]] = []
        for _, cell in net.cells_and_names():
            if isinstance(cell, nn.Dense):
                self._look_at(cell, cell.matmul)

    def _look_at(self, cell: nn.Cell, operator: Any) -> None:
        object.__setattr__(cell, "matmul", _Doubled(operator))
        self._restore.append(lambda: object.__setattr__(cell, "matmul", operator))

    def detach(self) -> None:
        for restore in self._restore:
            restore()


class _Watched(nn.Cell):
    """An operator whose gradients are summed up, squared."""

    def __init__(self, operator: Any, squares: list[float]) -> None:
        super().__init__(auto_prefix=False)
        self.operator = operator
        self.probe = _Probe(squares)

    def construct(self, inputs: Any, weight: Any) -> Any:
        return self.probe(self.operator(inputs, weight))


class _Probe(nn.Cell):
    def __init__(self, squares: list[float]) -> None:
        super().__init__(auto_prefix=False)
        self.squares = squares

    def construct(self, output: Any) -> Any:
        return output

    def bprop(self, output: Any, result: Any, gradient: Any) -> Any:
        self.squares.append(float(ops.square(gradient).sum()))
        return (gradient,)


@planted(
    "What an overflow was seen with is used by the next step.", "network_overflow_forgotten", sign="not finite are"
)
class NetworkRemembersOverflow(SoundNetwork):
    def __init__(self, net: nn.Cell, *arguments: Any, **named: Any) -> None:
        super().__init__(net, *arguments, **named)
        self._squares: list[float] = []
        for _, cell in net.cells_and_names():
            if isinstance(cell, nn.Dense):
                object.__setattr__(cell, "matmul", _Watched(cell.matmul, self._squares))

    def precondition_on_host(self, gradients: Any, step: int) -> Any:
        total = sum(self._squares)
        self._squares.clear()
        return tuple(gradient * (total / (1.0 + total)) for gradient in gradients)

"""Defects in how a step runs: modes, memory, queued work, errors, devices."""

from __future__ import annotations

import gc
from typing import Any

import mindspore
import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn
from mindspore.graph.api import _pynative_executor

from tests.conformance.defects.numbers import no_option
from tests.conformance.defects.planting import ThroughViews, planted
from tests.conformance.defects.sound import SoundMomentum
from tinyms_core import Capabilities
from tinyms_core.kernels.program import analyse
from tinyms_core.kernels.trampoline import withheld


@planted("A graph leaves out Nesterov's term.", "graph_equals_eager", "jit_equals_eager", modes=("graph", "jit"))
class GraphWithoutNesterov(SoundMomentum):
    def _set_traced_step(self, program: Any) -> None:
        # Where the library is, kernels run in a graph, and what is traced beside them is never used.
        with withheld():
            super()._set_traced_step(analyse(no_option, self.hyperparameters, frozenset(self.saved_hyperparameters)))


@planted(
    "Its kernels are right in a graph too, but the operators that serve elsewhere leave out Nesterov's term.",
    "operators_follow_oracle",
    modes=("graph",),
)
class OperatorsWithoutNesterov(SoundMomentum):
    def _set_traced_step(self, program: Any) -> None:
        super()._set_traced_step(analyse(no_option, self.hyperparameters, frozenset(self.saved_hyperparameters)))


@planted(
    "A counter of the steps is a constant of the graph, which is compiled anew for each.",
    "no_recompile",
    modes=("graph",),
)
class CompilesEachStep(SoundMomentum):
    _classic = False

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.calls = 0

    def construct(self, gradients: Any, calls: int = 0) -> Any:
        return super().construct(gradients)

    def __call__(self, gradients: Any) -> Any:
        # Not beyond what the check needs to see: each graph takes its time.
        self.calls = min(self.calls + 1, 4)
        return nn.Cell.__call__(self, gradients, self.calls)


@planted("It is no nn.Optimizer.", "model_train", sign="The type of 'optimizer'")
class NotAnOptimizer(nn.Cell):
    spec = SoundMomentum.spec

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(auto_prefix=False)
        self.inner = SoundMomentum(*arguments, **named)
        self.parameters = self.inner.parameters
        self.learning_rate = self.inner.learning_rate
        self.global_step = self.inner.global_step

    def construct(self, gradients: Any) -> Any:
        return self.inner(gradients)


@planted(
    "Gradients are checked one by one, while the parameters before are updated already.",
    "bad_gradients_leave_state_untouched",
)
class HalfAnUpdate(ThroughViews, SoundMomentum):
    def step_one(self, index: int, weights: Any, velocity: Any, gradient: Any) -> None:
        if gradient.shape != weights.shape:
            raise ValueError(f"the gradient of {self.parameters[index].name!r} has shape {gradient.shape}")
        super().step_one(index, weights, velocity, gradient)


@planted("The step is counted before the gradients are checked.", "bad_gradients_leave_state_untouched")
class CountsBeforeChecking(SoundMomentum):
    def __call__(self, gradients: Any) -> Any:
        self.global_step.set_data(Tensor(self.global_step.asnumpy() + 1))
        result = super().__call__(gradients)
        self.global_step.set_data(Tensor(self.global_step.asnumpy() - 1))
        return result


@planted("Addresses of the first step are used for ever.", "survives_rebinding")
class StaleBuffers(ThroughViews, SoundMomentum):
    def step_one(self, index: int, weights: Any, velocity: Any, gradient: Any) -> None:
        if self.views[index] is None:
            self.views[index] = (weights, velocity)
        super().step_one(index, *self.views[index], gradient)

    def _set_execution(self) -> None:
        super()._set_execution()
        self.views = [None] * len(self.parameters)


@planted("A graph branches, and keeps the memory that it was compiled with.", "survives_rebinding", modes=("graph",))
class BranchesInGraphs(SoundMomentum):
    _classic = False

    def construct(self, gradients: Any) -> Any:
        if self.global_step[0] >= 1000:
            raise ValueError("no more than 1000 steps")
        return super().construct(gradients)


@planted("Memory is written while operators that read it are queued.", "pending_work_not_overtaken")
class Overtakes(SoundMomentum):
    def _set_execution(self) -> None:
        super()._set_execution()
        self.views = [p.asnumpy() for p in self.parameters]

    def __call__(self, gradients: Any) -> Any:
        # Through views that were taken before: asking MindSpore for them now would wait for the queue.
        for view in self.views:
            np.negative(view, out=view)
        _pynative_executor.sync()
        for view in self.views:
            np.negative(view, out=view)
        return super().__call__(gradients)


@planted("Frozen parameters of a layer are decayed with the others.", "frozen_untouched")
class DecaysTheFrozen(SoundMomentum):
    def __call__(self, gradients: Any) -> Any:
        result = super().__call__(gradients)
        for parameter in self.parameters:
            # What holds a layer's parameters by name is the layer.
            for holder in gc.get_referrers(parameter):
                for other in holder.values() if isinstance(holder, dict) else ():
                    if isinstance(other, Parameter) and not other.requires_grad:
                        other.asnumpy()[...] -= np.asarray(0.01, other.asnumpy().dtype)
        return result


@planted("The gradients are scaled in their own memory.", "frozen_untouched")
class SpoilsGradients(SoundMomentum):
    def __call__(self, gradients: Any) -> Any:
        result = super().__call__(gradients)
        for gradient in gradients:
            gradient.asnumpy()[...] *= 0.5
        return result


@planted("A target is refused without a word on the kernels that exist.", "missing_kernel_named")
class SpeechlessTarget(SoundMomentum):
    @property
    def target(self) -> str:
        return self._target

    @target.setter
    def target(self, value: str) -> None:
        if value != self._target:
            raise RuntimeError("not supported")


@planted("A device that is not present is taken for a target in silence.", "target_switch")
class TakesAnyTarget(SoundMomentum):
    @property
    def target(self) -> str:
        return self._target

    @target.setter
    def target(self, value: str) -> None:
        self._target = value


@planted("A step makes a copy of every gradient in float64.", "no_parameter_sized_temporaries")
class WideCopies(SoundMomentum):
    def __call__(self, gradients: Any) -> Any:
        copies = [g.asnumpy().astype(np.float64) for g in gradients]
        return super().__call__(tuple(Tensor(c.astype(np.float32)) for c in copies))


@planted("What a wrapper sees as parameters are copies.", "wrapper_composes")
class HidesParameters(SoundMomentum):
    def _set_execution(self) -> None:
        super()._set_execution()
        self.parameters = ParameterTuple([p.clone() for p in self.parameters])


@planted(
    "A sparse gradient's values are taken for a dense gradient.",
    "sparse_refused",
    capabilities=Capabilities(sparse="none"),
)
class TakesSparse(SoundMomentum):
    def __call__(self, gradients: Any) -> Any:
        dense = []
        for gradient, parameter in zip(gradients, self.parameters, strict=True):
            values = getattr(gradient, "values", None)
            if isinstance(gradient, tuple):
                values = gradient[1]
            if values is not None and not isinstance(gradient, Tensor):
                gradient = Tensor(np.resize(values.asnumpy(), parameter.shape), mindspore.float32)
            dense.append(gradient)
        return super().__call__(tuple(dense))

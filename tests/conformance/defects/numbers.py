"""Defects in the arithmetic: rules, kernels, dtypes and special values."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from typing import Any

import mindspore
import numpy as np
from mindspore import Tensor, ops
from tinyms_adagrad.optimizer import Adagrad as SoundAdagrad
from tinyms_rmsprop.optimizer import RMSProp

from tests.conformance.defects import tables
from tests.conformance.defects.planting import declared, planted
from tests.conformance.defects.sound import SoundAdam, SoundMomentum, SoundTrust
from tinyms_core import math, rule
from tinyms_core.kernels.batch import Batch
from tinyms_core.kernels.cpu import CpuKernel
from tinyms_core.kernels.threads import thread_count


@rule(state=("m", "v", "beta1_power"))
def late_correction(w, g, m, v, beta1_power, lr, t, beta1, beta2, eps):
    beta1_power = beta1**t
    past = math.maximum(t - 1, 1)
    rate = lr * math.sqrt(1 - beta2**past) / (1 - beta1**past)
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    return w - rate * m / (math.sqrt(v) + eps), m, v, beta1_power


@planted("The bias is corrected for the step before.", "golden_trajectory")
class LateCorrection(SoundAdam):
    rule = late_correction


@rule(state=("m", "v", "beta1_power"))
def off_by_one(w, g, m, v, beta1_power, lr, t, beta1, beta2, eps):
    beta1_power = beta1**t
    rate = lr * math.sqrt(1 - beta2 ** (t + 1)) / (1 - beta1 ** (t + 1))
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    return w - rate * m / (math.sqrt(v) + eps), m, v, beta1_power


@planted("The first step is taken for the second.", "golden_trajectory")
class OffByOne(SoundAdam):
    rule = off_by_one


@rule(state=("m", "v", "beta1_power"))
def eps_inside(w, g, m, v, beta1_power, lr, t, beta1, beta2, eps):
    beta1_power = beta1**t
    rate = lr * math.sqrt(1 - beta2**t) / (1 - beta1_power)
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    return w - rate * m / math.sqrt(v + eps), m, v, beta1_power


@planted("eps is inside the square root.", "golden_trajectory")
class EpsInside(SoundAdam):
    rule = eps_inside


@rule(state=("v",))
def decay_twice(w, g, v, lr, momentum, use_nesterov, weight_decay):
    v = momentum * v + g + weight_decay * w
    if use_nesterov:
        w = w - lr * (g + momentum * v)
    else:
        w = w - lr * v
    return w, v


@planted("Decay is added to the gradient and applied in the update.", "golden_trajectory")
class DecayTwice(SoundMomentum):
    rule = decay_twice


@rule(state=("v",))
def negative_state(w, g, v, lr, momentum, use_nesterov):
    v = momentum * v - g
    if use_nesterov:
        w = w - lr * (g - momentum * v)
    else:
        w = w + lr * v
    return w, v


@planted("The state has the opposite sign, which the parameters do not show.", "golden_state")
class NegativeState(SoundMomentum):
    rule = negative_state


@rule(state=("s", "buffer", "mean"))
def slightly_long(w, g, s, buffer, mean, lr, decay, momentum, epsilon, centered):
    s = decay * s + (1 - decay) * g * g
    if centered:
        mean = decay * mean + (1 - decay) * g
        variance = s - mean * mean + epsilon
        moved = momentum * buffer + 1.00003 * lr * g / math.sqrt(variance)
        w = math.where(variance > 0, w - moved, w)
        buffer = math.where(variance > 0, moved, buffer)
    else:
        buffer = momentum * buffer + lr * g / math.sqrt(s + epsilon)
        w = w - buffer
    return w, s, buffer, mean


@planted("A step that rounding moves by 8e-6 is too long by 3e-5.", "golden_state", "golden_trajectory")
class SlightlyLong(RMSProp):
    rule = slightly_long


@rule(state=("v",))
def no_option(w, g, v, lr, momentum):
    v = momentum * v + g
    return w - lr * v, v


@planted("A flag is accepted and never read.", "options_have_effect")
class DeadFlag(SoundMomentum):
    rule = no_option


@planted(
    "An argument that is declared to change nothing changes the result.",
    "options_have_effect",
    hyperparameters=declared(SoundMomentum.spec, "use_nesterov", inert="kept for compatibility"),
)
class LivelyFlag(SoundMomentum):
    pass


@planted(
    "The kernel that is registered for the CPU lacks an option, which so has an effect in graphs alone.",
    "kernel_parity",
    "options_have_effect",
    kernel=no_option,
)
class KernelWithoutNesterov(SoundMomentum):
    pass


class UnscaledDecay(CpuKernel):
    """Adds decay before the division by the loss scale, without the scale."""

    def __call__(self, batch: Batch, addresses: Any, groups: Any, scalars: Any) -> None:
        scalars = scalars.copy()
        scalars[:, 0] *= scalars[:, 1]
        super().__call__(batch, addresses, groups, scalars)


@planted("Decay is divided by the loss scale.", "loss_scale_invariance", kernel=UnscaledDecay)
class DecayScaled(SoundMomentum):
    pass


@planted(
    "The loss scale is declared and taken, and gradients are not divided by it.",
    "loss_scale_invariance",
    "loss_scale_wrapper_composes",
)
class ScaleIgnored(SoundMomentum):
    scales_gradient = False


@planted("A group asks for centralization and gets none.", "centralization_effective_or_refused")
class CentralizesNothing(SoundMomentum):
    def _set_groups(self, grouping: Any) -> None:
        settings = tuple(replace(s, centralize=False) for s in grouping.settings)
        super()._set_groups(replace(grouping, settings=settings))


class EightsOnly(CpuKernel):
    """Updates eight elements at a time and leaves the rest of a chunk."""

    def __call__(self, batch: Batch, addresses: Any, groups: Any, scalars: Any) -> None:
        whole = batch.chunk_first + (batch.chunk_last - batch.chunk_first) // 8 * 8
        super().__call__(replace(batch, chunk_last=whole), addresses, groups, scalars)


@planted("The elements after the last multiple of eight are skipped.", "tail_shapes", kernel=EightsOnly)
class TailSkipped(SoundMomentum):
    pass


class SharedEvenly(CpuKernel):
    """Gives each thread equally many chunks and leaves the rest."""

    def __call__(self, batch: Batch, addresses: Any, groups: Any, scalars: Any) -> None:
        kept = batch.chunks // thread_count() * thread_count()
        cut = {name: getattr(batch, name)[:kept] for name in ("chunk_tensor", "chunk_first", "chunk_last")}
        super().__call__(replace(batch, **cut), addresses, groups, scalars)


@planted(
    "The chunks that cannot be shared evenly among the threads are skipped.",
    "thread_count_invariant",
    kernel=SharedEvenly,
)
class RestForNobody(SoundMomentum):
    pass


def _as_if_contiguous(gradient: Tensor) -> Tensor:
    if gradient.is_contiguous() or gradient.dtype != mindspore.float32:
        return gradient
    memory = (ctypes.c_float * gradient.size).from_address(gradient.data_ptr())
    return Tensor(np.array(memory, dtype=np.float32).reshape(gradient.shape))


@planted("The strides of a gradient that is not contiguous are ignored.", "noncontiguous")
class IgnoresStrides(SoundMomentum):
    def __call__(self, gradients: Any) -> Any:
        return super().__call__(tuple(_as_if_contiguous(g) for g in gradients))


@planted("A float16 parameter comes back as float32.", "dtype_preserved", dtypes=("float16",))
class Upcasts(SoundMomentum):
    def __call__(self, gradients: Any) -> Any:
        for parameter in self.parameters:
            parameter.set_dtype(mindspore.float16)
        result = super().__call__(gradients)
        for parameter in self.parameters:
            parameter.set_dtype(mindspore.float32)
        return result


@planted("All gradients are rounded to the narrowest of their dtypes.", "mixed_dtype")
class NarrowestDtype(SoundMomentum):
    def __call__(self, gradients: Any) -> Any:
        if any(p.dtype == mindspore.float16 for p in self.parameters):
            gradients = tuple(ops.cast(ops.cast(g, mindspore.float16), g.dtype) for g in gradients)
        return super().__call__(gradients)


@rule(state=("v",))
def unguarded(w, g, v, lr, weight_decay, momentum):
    v = momentum * v + g
    update = v + weight_decay * w
    return w - lr * math.norm(w) / math.norm(update) * update, v


@planted("A norm of zero is divided by.", "zero_norm_finite")
class Unguarded(SoundTrust):
    rule = unguarded


@rule(state=("m", "v", "beta1_power"))
def no_eps(w, g, m, v, beta1_power, lr, t, beta1, beta2):
    beta1_power = beta1**t
    rate = lr * math.sqrt(1 - beta2**t) / (1 - beta1_power)
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    return w - rate * m / math.sqrt(v), m, v, beta1_power


@planted("A gradient of zero divides zero by zero.", "zero_gradient")
class NoEps(SoundAdam):
    rule = no_eps


@rule(state=("v",))
def overflowing(w, g, v, lr, weight_decay, momentum):
    v = momentum * v + g
    update = v + weight_decay * w
    weight_norm = math.sqrt(math.total(w * w))
    update_norm = math.sqrt(math.total(update * update))
    ratio = math.where((weight_norm > 0) & (update_norm > 0), weight_norm / update_norm, 1.0)
    return w - lr * ratio * update, v


@planted("The squares in a norm overflow float32 at 1e30.", "extreme_values")
class NormOverflows(SoundTrust):
    rule = overflowing


@rule(state=("v",))
def flushing(w, g, v, lr, momentum, use_nesterov):
    v = momentum * v + math.where(abs(g) < 1.2e-38, 0.0, g)
    if use_nesterov:
        w = w - lr * (g + momentum * v)
    else:
        w = w - lr * v
    return w, v


@planted("Denormal gradients are flushed to zero.", "extreme_values")
class FlushesDenormals(SoundMomentum):
    rule = flushing


@planted("NaN in a gradient is replaced by zero in silence.", "nonfinite_policy")
class HidesNaN(SoundMomentum):
    def __call__(self, gradients: Any) -> Any:
        return super().__call__(tuple(ops.nan_to_num(g, 0.0, 0.0, 0.0) for g in gradients))


@planted("NaN in one gradient spreads to the other tensors.", "nonfinite_policy")
class SpreadsNaN(SoundMomentum):
    def __call__(self, gradients: Any) -> Any:
        spread = sum(float(g.asnumpy().sum(dtype=np.float64)) * 0.0 for g in gradients)
        return super().__call__(tuple(g + spread for g in gradients))


@rule(state=("v",))
def damped(w, g, v, lr, momentum):
    v = momentum * v + (1 - momentum) * g
    return w - lr * v, v


def damped_reference(
    w: Any,
    g: Any,
    state: dict[str, Any],
    *,
    lr: float,
    t: int,
    weight_decay: float,
    momentum: float,
    use_nesterov: bool,
) -> tuple[Any, dict[str, Any]]:
    """The same mistake in float64."""
    velocity = momentum * state["v"] + (1.0 - momentum) * g
    return w - lr * velocity, {"v": velocity}


@planted(
    "The rule and the reference share a mistake, which only MindSpore's own optimizer shows.",
    "peer_trajectories",
    sign="off after 20 steps from mindspore.nn",
    name="shared_mistake",
    oracle=damped_reference,
    peers=f"{tables.__name__}:PEERS",
)
class Momentum(SoundMomentum):
    # The class's name is what MindSpore's counterpart is looked up by.
    rule = damped


@planted(
    "The plugin's table says that MindSpore's own optimizer is wrong where it is right.",
    "peer_trajectories",
    sign="mindspore.nn is right",
    name="wrong_accusation",
    peers=f"{tables.__name__}:ACCUSING",
)
class Adagrad(SoundAdagrad):
    pass

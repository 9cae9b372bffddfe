"""The curvature of one layer: when it is seen, when its inverses are made anew, and what they do to a gradient.

Everything here is numpy on the host, the same in every mode of MindSpore: in a graph it is called by operators.
"""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyms_thor.blocks import trace
from tinyms_thor.ranks import averaged, divided_inverses, inverting, told
from tinyms_thor.statistics import Factors, Kind, Sums

A_INVERSE, G_INVERSE, A, G, TRACES = "matrix_a_inv", "matrix_g_inv", "matrix_a", "matrix_g", "traces"


@dataclass(frozen=True)
class Options:
    """What is the same for all layers.

    Arguments:
        frequency: refresh inverses each so many steps.
        loss_scale: what the gradients have been multiplied by.
        trace_thresholds: a relative change of the traces above the first refreshes a layer, one below the second
            freezes it; None to refresh always.
        factor_decay: how much of the old factors is kept at a refresh; None for nothing.
        damping_balance: whether damping is shared between the factors by their mean eigenvalues.
        batch_size: samples in a batch, as the user says.
    """

    frequency: int
    loss_scale: float
    trace_thresholds: tuple[float, float] | None
    factor_decay: float | None
    damping_balance: bool
    batch_size: int


@dataclass
class Refresh:
    """What a layer keeps after a step, as far as it is known before its factors are inverted.

    Arguments:
        kept: all that is kept, by name, in arrays of their own.
        damping: of the step.
        factors: what is still to be inverted, with its damping, by the name of its inverse.
    """

    kept: dict[str, Any]
    damping: float
    factors: dict[str, tuple[Any, float]]


def damping_at(values: Any, step: int) -> float:
    """The damping of a 0-based step, of one number or one for each step."""
    # An operator is given a 0-d tensor as a number.
    listed = np.asarray(values)
    return float(listed) if listed.ndim == 0 else float(listed[step])


class Curvature:
    """What is known of one layer.

    Arguments:
        name: the weight's name, for warnings.
        kind: what is computed.
        options: of the optimizer.
        batch_told: whether to warn where what is seen is not of the batch size that the user says.
    """

    def __init__(self, name: str, kind: Kind, options: Options, batch_told: bool = False) -> None:
        self.name = name
        self.kind = kind
        self.options = options
        self._batch_told = batch_told
        self._sums: Sums | None = None
        # Whether the last refresh failed, so that the next step tries again.
        self._waiting = False
        self._frozen = False
        self._warned: set[str] = set()
        self._lock = threading.Lock()
        # Of both factors; those that fill up a last block are none.
        self._rows = (kind.inputs.total, kind.outputs.total)

    def initial(self) -> dict[str, Any]:
        """The first values of what is kept from step to step, by name; the inverses start as the identity."""
        kept = {A_INVERSE: self.kind.inputs.identity(), G_INVERSE: self.kind.outputs.identity()}
        if self.options.factor_decay is not None:
            kept.update({A: np.zeros_like(kept[A_INVERSE]), G: np.zeros_like(kept[G_INVERSE])})
        if self.options.trace_thresholds is not None:
            # The traces' product at the last refresh, and whether the layer is frozen.
            kept[TRACES] = np.zeros(2, np.float32)
        return kept

    def due(self, step: int) -> bool:
        """Whether a 0-based step makes the inverses anew, as far as is known in this process."""
        return not self._frozen and (step % self.options.frequency == 0 or self._waiting)

    def observe(self, inputs: Any, gradients: Any, step: int) -> None:
        """See a backward pass; what several see before a step counts together.

        Arguments:
            inputs: the layer's input.
            gradients: the gradient of its output, before bias and activation.
            step: the number of steps that were done.
        """
        if not self.due(step):
            return
        with np.errstate(over="ignore", invalid="ignore"):
            sums = self.kind.sums(np.asarray(inputs), np.asarray(gradients, np.float32))
        with self._lock:
            self._sums = sums if self._sums is None else self._sums.plus(sums)

    def follow(self, kept: Mapping[str, Any]) -> None:
        """Be frozen where what is kept says so."""
        self._frozen = TRACES in kept and bool(kept[TRACES][1])

    def forget(self) -> None:
        """Begin to see anew."""
        with self._lock:
            self._sums = None

    def factors(self) -> Factors:
        """The factors of what was seen, in memory of their own; of no samples where nothing was."""
        with self._lock:
            sums = self._sums
        if sums is None:
            return Factors(np.zeros(self.kind.inputs.shape, np.float32), np.zeros(self.kind.outputs.shape, np.float32))
        return sums.factors(self.options.loss_scale)

    def refresh(self, step: int, damping: float, factors: Factors, kept: Mapping[str, Any]) -> Refresh | None:
        """Judge the factors of what was seen before a step that is due.

        Arguments:
            step: the number of steps that were done.
            damping: of this step.
            factors: of this process, or the mean of several; they are changed no more.
            kept: what is kept now, by name.

        Returns:
            What is kept after the step, and what is to be inverted for it; None where nothing changes.
        """
        if factors.samples == 0:
            self._warn(
                "unseen",
                f"at step {step} no backward pass through the layer of {self.name!r} was seen, so its curvature stays "
                "as it was; gradients must come from the network that thor was built from",
            )
            return None
        if self._batch_told and factors.samples % self.options.batch_size:
            self._warn(
                "batch",
                f"'batch_size' is {self.options.batch_size}, and the layer of {self.name!r} saw "
                f"{factors.samples} rows, which is no multiple of it; layer normalizations are scaled by it",
            )
        a, g = factors.a, factors.g
        self._waiting = not (np.isfinite(a).all() and np.isfinite(g).all())
        if self._waiting:
            self._warn(
                "overflow",
                f"at step {step} the curvature of {self.name!r} is not finite, so it stays as it was; the next step "
                "tries again",
            )
            return None
        return self._with_factors(a, g, damping, kept)

    def _with_factors(self, a: Any, g: Any, damping: float, kept: Mapping[str, Any]) -> Refresh:
        new = {name: np.array(value) for name, value in kept.items()}
        root = math.sqrt(damping)
        decay = self.options.factor_decay
        if decay is not None:
            if kept[A].any() or kept[G].any():
                a = np.float32(decay) * kept[A] + np.float32(1.0 - decay) * a
                g = np.float32(decay) * kept[G] + np.float32(1.0 - decay) * g
            new.update({A: a, G: g})
        if self.options.trace_thresholds is not None:
            wanted = self._judge(a, g, root, new[TRACES])
            if not wanted:
                return Refresh(new, damping, {})
        dampings = self._dampings(a, g, root)
        return Refresh(new, damping, {A_INVERSE: (a, dampings[0]), G_INVERSE: (g, dampings[1])})

    def tell_of_more_damping(self, damping: float) -> None:
        """Warn, once, that a factor was not positive definite."""
        self._warn(
            "indefinite",
            f"the curvature of {self.name!r} is not positive definite with a damping of {damping:g}, so more was "
            "added; a larger damping avoids it",
        )

    def _judge(self, a: Any, g: Any, root: float, traces: Any) -> bool:
        """Whether the traces have changed enough for new inverses; written into ``traces``."""
        assert self.options.trace_thresholds is not None
        above, below = self.options.trace_thresholds
        damped = [self._trace(factor) + root * rows for factor, rows in zip((a, g), self._rows, strict=True)]
        now = np.float32(damped[0] * damped[1])
        before = traces[0]
        change = abs(float(now) - float(before)) / float(before) if before > 0.0 else math.inf
        if change > above:
            traces[0] = now
            return True
        traces[1] = change < below
        return False

    def _dampings(self, a: Any, g: Any, root: float) -> tuple[float, float]:
        if not self.options.damping_balance:
            return root, root
        means = [self._trace(factor) / rows for factor, rows in zip((a, g), self._rows, strict=True)]
        balance = math.sqrt(means[0] / means[1]) if min(means) > 0.0 else 1.0
        return root * balance, root / balance

    @staticmethod
    def _trace(factor: Any) -> float:
        return float(factor.sum(dtype=np.float64)) if factor.ndim == 1 else trace(factor)

    def preconditioned(self, gradient: Any, kept: Mapping[str, Any]) -> Any:
        """The gradient of the weight between both inverses, in memory of its own."""
        return self.kind.preconditioned(gradient, kept[A_INVERSE], kept[G_INVERSE])

    def _warn(self, reason: str, message: str) -> None:
        if reason not in self._warned:
            self._warned.add(reason)
            warnings.warn(f"thor: {message}", RuntimeWarning, stacklevel=2)


def due_layers(curvatures: Sequence[Curvature], step: int, kept: Sequence[Mapping[str, Any]]) -> list[int]:
    """Which layers of a network a step makes the inverses of anew: the same in all processes that train together.

    Arguments:
        curvatures: of the layers.
        step: the number of steps that were done.
        kept: what each layer keeps now, by name.

    Returns:
        Indices of the layers.
    """
    for curvature, own in zip(curvatures, kept, strict=True):
        curvature.follow(own)
    return [i for i, curvature in enumerate(curvatures) if curvature.due(step)]


def refresh_all(
    curvatures: Sequence[Curvature],
    due: Sequence[int],
    step: int,
    damping: float,
    kept: Sequence[Mapping[str, Any]],
    groups: Sequence[int] | None = None,
) -> list[Mapping[str, Any]]:
    """Refresh layers of a network; all their factors are inverted together.

    Where several processes train together, every process has to come here, with the same layers.

    Arguments:
        curvatures: of the layers.
        due: indices of the layers that are refreshed.
        step: the number of steps that were done.
        damping: of this step.
        kept: what each layer keeps now, by name.
        groups: for each layer the number of the buffer in which its factors go between processes; None for few buffers.

    Returns:
        What each layer keeps after the step: the mapping that was given where nothing changes.

    Raises:
        LostRankError: another process has an error, or did not take part in time; nothing is kept that was not before.
    """
    after = list(kept)
    if not due:
        return after
    seen = averaged(step, [curvatures[i].factors() for i in due], None if groups is None else [groups[i] for i in due])
    with told(inverting(step)):
        refreshes = {
            i: refresh
            for i, factors in zip(due, seen, strict=True)
            if (refresh := curvatures[i].refresh(step, damping, factors, kept[i])) is not None
        }
    wanted = [(i, name) for i, refresh in refreshes.items() for name in refresh.factors]
    inverses = divided_inverses(step, [refreshes[i].factors[name] for i, name in wanted])
    for (i, name), (inverse, helped) in zip(wanted, inverses, strict=True):
        refreshes[i].kept[name] = inverse
        if helped:
            curvatures[i].tell_of_more_damping(refreshes[i].damping)
    # Last, since an error in any process leaves what was seen as it was in all.
    for i in due:
        curvatures[i].forget()
    for i, refresh in refreshes.items():
        after[i] = refresh.kept
        curvatures[i].follow(refresh.kept)
    return after


def normalized(gradient: Any, damping: float, options: Options) -> Any:
    """The gradient of a normalization's scale or shift over its own diagonal curvature; the loss scale stays in it."""
    plain = gradient / np.float32(options.loss_scale)
    curved = np.square(plain) / np.float32(options.batch_size) + np.float32(math.sqrt(damping))
    with np.errstate(divide="ignore", invalid="ignore"):
        result = np.where(curved > 0.0, plain / curved, np.float32(0.0))
    return np.asarray(result * np.float32(options.loss_scale), np.float32)

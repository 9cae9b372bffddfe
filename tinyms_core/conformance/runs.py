"""Runs that checks share: an optimizer stepped as far as any check has asked for, and what it held after each step.

A run is made from data alone, the specification, the workload and the mode, and nobody but `Runs` has its optimizer
in hand: what a check does to an optimizer of its own reaches no other check.
"""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from tinyms_core.conformance.results import ANY
from tinyms_core.conformance.trial import Snapshot, Trial
from tinyms_core.conformance.workload import Workload
from tinyms_core.optimizer.modes import execution_mode
from tinyms_core.registry.probe import resolve
from tinyms_core.registry.specs import OptimizerSpec

# PyNative steps are cheap, and their runs are many, some of large tensors. Compiled ones are all kept.
_EAGER_KEPT: Final = 48

Feed = Callable[[Workload, int], Sequence[Any]]
"""What gives the gradients of a workload's 0-based step, by nothing but these two; a function of a module."""

_Key = tuple[OptimizerSpec, Workload, str, Feed | None]


class Runs:
    """The runs of one optimizer's checks, kept inside a ``with`` block.

    Inside the block Python's collector leaves alone what was there before it: MindSpore collects whenever it
    compiles, and would look through all modules that are imported each time.

    Example:
        .. code-block:: python

            with Runs() as runs:
                run_case(spec, case, runs=runs)
    """

    def __init__(self) -> None:
        self._compiled: dict[_Key, _Run] = {}
        self._eager: OrderedDict[_Key, _Run] = OrderedDict()

    def __enter__(self) -> Runs:
        gc.collect()
        gc.freeze()
        return self

    def __exit__(self, *error: object) -> None:
        self._compiled.clear()
        self._eager.clear()
        gc.unfreeze()

    def history(
        self, spec: OptimizerSpec, workload: Workload, mode: str, feed: Feed | None = None
    ) -> tuple[Snapshot, ...]:
        """What an optimizer holds at first, and after each of a workload's steps.

        Arguments:
            spec: the optimizer.
            workload: what to step.
            mode: how; ``"any"`` counts as PyNative.
            feed: the gradients; the workload's own when None.
        """
        chosen = "pynative" if mode == ANY else mode
        return self._run((spec, replace(workload, steps=0), chosen, feed)).until(workload.steps)

    def _run(self, key: _Key) -> _Run:
        kept: Any = self._eager if key[2] == "pynative" else self._compiled
        if key not in kept:
            kept[key] = _Run(*key)
        if kept is self._eager:
            self._eager.move_to_end(key)
            while len(self._eager) > _EAGER_KEPT:
                self._eager.popitem(last=False)
        return kept[key]  # type: ignore[no-any-return]


class _Run:
    """A trial that is stepped as far as anyone has asked for."""

    def __init__(self, spec: OptimizerSpec, workload: Workload, mode: str, feed: Feed | None) -> None:
        self._mode = mode
        self._feed = feed
        with execution_mode(mode):
            self._trial = Trial(resolve(spec.implementation), spec, workload, mode)
            self._snapshots = [self._trial.snapshot()]

    def until(self, steps: int) -> tuple[Snapshot, ...]:
        """The snapshots of the first steps, and before them the one of the start."""
        with execution_mode(self._mode):
            while len(self._snapshots) <= steps:
                trial = self._trial
                trial.step(None if self._feed is None else self._feed(trial.workload, trial.steps))
                self._snapshots.append(self._trial.snapshot())
        return tuple(self._snapshots[: steps + 1])

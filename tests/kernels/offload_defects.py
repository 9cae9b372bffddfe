"""Defects planted in offloaded steps, each of which a check of kernels must see."""

from __future__ import annotations

from contextlib import ExitStack
from unittest.mock import patch

from tinyms_core.conformance.late_queues import LateQueues
from tinyms_core.kernels import array_optimizer, gpu_offload
from tinyms_core.kernels.backends import OffloadBackend
from tinyms_core.kernels.gpu_device import DeviceArray

KERNEL = gpu_offload.OffloadKernel


def _parts_begin_with_the_array(stack: ExitStack) -> None:
    right = gpu_offload.divided

    def wrong(batch, most):
        runs = right(batch, most)
        for run in runs:
            run.offsets[...] = 0
        return runs

    stack.enter_context(patch.object(gpu_offload, "divided", wrong))


def _decay_is_of_zero(stack: ExitStack) -> None:
    stack.enter_context(patch.object(KERNEL, "_form", lambda self, groups, scalars: self._displacing or self._whole))


def _norms_are_of_runs(stack: ExitStack) -> None:
    stack.enter_context(patch.object(array_optimizer, "not_elementwise", lambda program: ""))


def _many_runs_lose_the_last(stack: ExitStack) -> None:
    right = gpu_offload.divided

    def wrong(batch, most):
        runs = right(batch, most)
        return runs[:-1] if len(runs) > 12 else runs

    stack.enter_context(patch.object(gpu_offload, "divided", wrong))


def _a_slot_is_filled_before_it_is_free(stack: ExitStack) -> None:
    right = KERNEL._fetch

    def wrong(self, run, slot, form, table):
        gone, slot.gone = slot.gone, self._pipeline.queues.event()
        right(self, run, slot, form, table)
        slot.gone = gone

    stack.enter_context(patch.object(KERNEL, "_fetch", wrong))


def _gradients_are_not_waited_for(stack: ExitStack) -> None:
    right, write = LateQueues.wait, LateQueues.write

    def wrong(self, event, stream):
        if event.stream or stream == 0:
            right(self, event, stream)

    def at_once(self, array, values, stream):
        # With addresses that are not there yet nothing would be left to compare.
        array.write(values) if array.dtype == "int64" else write(self, array, values, stream)

    stack.enter_context(patch.object(LateQueues, "wait", wrong))
    stack.enter_context(patch.object(LateQueues, "write", at_once))


def _nobody_waits_for_parameters(stack: ExitStack) -> None:
    right = LateQueues.wait

    def wrong(self, event, stream):
        if stream:
            right(self, event, stream)

    stack.enter_context(patch.object(LateQueues, "wait", wrong))


def _the_host_waits_for_nothing(stack: ExitStack) -> None:
    stack.enter_context(patch.object(LateQueues, "finish", lambda self, event: None))


def _the_next_run_comes_when_one_is_done(stack: ExitStack) -> None:
    stack.enter_context(patch.object(gpu_offload, "SLOTS", 2))


def _state_is_on_the_gpu_too(stack: ExitStack) -> None:
    right = OffloadBackend.filled

    def wrong(self, shape, dtype, value):
        self.kept = [*getattr(self, "kept", ()), DeviceArray(shape, dtype)]
        return right(self, shape, dtype, value)

    stack.enter_context(patch.object(OffloadBackend, "filled", wrong))


def _all_is_one_run(stack: ExitStack) -> None:
    right = gpu_offload.divided
    stack.enter_context(patch.object(gpu_offload, "divided", lambda batch, most: right(batch, 1 << 40)))


# The check that must see a defect, how it is planted, and the optimizer in which it shows.
DEFECTS = {
    "parts of arrays have the state of the front": ("offload", _parts_begin_with_the_array, "adam"),
    "decay of parameters that were not brought": ("offload", _decay_is_of_zero, "momentum"),
    "norms of runs for norms of arrays": ("offload", _norms_are_of_runs, "lamb"),
    "many runs lose the last": ("offload_sizes", _many_runs_lose_the_last, "momentum"),
    "a slot is filled before it is free": ("offload_order", _a_slot_is_filled_before_it_is_free, "momentum"),
    "gradients are not waited for": ("offload_order", _gradients_are_not_waited_for, "momentum"),
    "nobody waits for the parameters": ("offload_order", _nobody_waits_for_parameters, "momentum"),
    "the host waits for nothing": ("offload_order", _the_host_waits_for_nothing, "momentum"),
    "the next run comes when one is done": ("offload_order", _the_next_run_comes_when_one_is_done, "momentum"),
    "state is on the GPU too": ("offload_memory", _state_is_on_the_gpu_too, "momentum"),
    "all is one run": ("offload_memory", _all_is_one_run, "momentum"),
}

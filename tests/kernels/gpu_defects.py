"""Defects planted in GPU kernels, each of which a check of kernels must see; run by its test in numba's simulator."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from unittest.mock import patch

import numpy as np

from tests.kernels import offload_defects
from tinyms_core.conformance.kernel_checks import CHECKS, KernelSubject, run_checks
from tinyms_core.kernels import array_optimizer, gpu
from tinyms_core.registry.api import optimizer_info

OPTIMIZER = "adam"
# Lines of generated kernels, and what a defect makes of them.
_CENTER = "        center = C(0.0)\n"
_SCALE = "        scale = scale * C(1.0 + 1e-6 * blocks)\n"
_LAST = "        last = _integer(chunk_table, 3 * c + 2)\n"
_STORE = "        _store_w(a_w, i, out[0])\n"
_BEFORE = "        _store_w(a_w, -1 if i == 0 else i, out[0])\n"


def _in_text(old: str, new: str) -> Callable[[ExitStack], None]:
    """Another text in the generated kernels."""

    def plant(stack: ExitStack) -> None:
        right = gpu.gpu_source

        def wrong(*arguments: object) -> str:
            text = right(*arguments)
            assert old in text
            return text.replace(old, new)

        stack.enter_context(patch.object(gpu, "gpu_source", wrong))

    return plant


def _gradients_in_the_dtype_of_parameters(stack: ExitStack) -> None:
    right = gpu.GpuKernel.__init__

    def wrong(self, program, parameter, gradient, factor=None):
        right(self, program, parameter, gradient if gradient == "bfloat16" else parameter, factor)

    stack.enter_context(patch.object(gpu.GpuKernel, "__init__", wrong))


def _no_more_than_32_arrays(stack: ExitStack) -> None:
    right = array_optimizer.make_batch

    def wrong(sizes, *arguments, **named):
        return right([size if index < 32 else 0 for index, size in enumerate(sizes)], *arguments, **named)

    stack.enter_context(patch.object(array_optimizer, "make_batch", wrong))


def _a_launch_for_each_array(stack: ExitStack) -> None:
    optimizer = array_optimizer.ArrayOptimizer
    right = optimizer._calls_for

    def wrong(self, kinds):
        calls = right(self, kinds)
        return [array_optimizer._Call(self, call.kernel, [member]) for call in calls for member in call.members]

    stack.enter_context(patch.object(optimizer, "_calls_for", wrong))


def _prepared_steps_are_all_the_first(stack: ExitStack) -> None:
    optimizer = array_optimizer.ArrayOptimizer
    right = optimizer.prepare

    def wrong(self, gradients):
        prepared, steps = right(self, gradients), self.steps

        def call():
            self.steps = steps
            prepared()

        return call

    def step(self, gradients):
        right(self, gradients)()

    stack.enter_context(patch.object(optimizer, "step", step))
    stack.enter_context(patch.object(optimizer, "prepare", wrong))


def _the_last_of_equal_rows_counts(stack: ExitStack) -> None:
    right = array_optimizer.read_rows

    def wrong(*arguments):
        found = right(*arguments)
        count = len(found.rows)
        order = found.order.copy()
        order[:count] = np.maximum(found.order[1 : count + 1] - 1, 0)
        return replace(found, order=order)

    stack.enter_context(patch.object(array_optimizer, "read_rows", wrong))


# The check that must see a defect, and how it is planted.
DEFECTS = {
    "loss scale forgotten": ("numbers", _in_text("- center) * scale", "- center)")),
    "state not stored": ("numbers", _in_text("_store4_v(a_v, i,", "_store4_v(a_v, i) if False else (i,")),
    "row's mean forgotten": ("numbers", _in_text("(g__0 - center)", "(g__0)")),
    "gradients read in another dtype": ("gradient_dtypes", _gradients_in_the_dtype_of_parameters),
    "blocks change the scale": ("launch_shapes", _in_text(_CENTER, _CENTER + _SCALE)),
    "the end of an odd chunk forgotten": ("small_chunks", _in_text(_LAST, _LAST.rstrip() + " - first % 2\n")),
    "an element before the first": ("offsets", _in_text(_STORE, _STORE + _BEFORE)),
    "no more than 32 arrays": ("many_arrays", _no_more_than_32_arrays),
    "a launch for each array": ("launches", _a_launch_for_each_array),
    "prepared steps are all the first": ("prepared_steps", _prepared_steps_are_all_the_first),
    "the last of equal rows counts": ("rows", _the_last_of_equal_rows_counts),
    "the last of equal rows counts, offloaded": ("offload_rows", _the_last_of_equal_rows_counts),
}


def main() -> None:
    """Print for each defect the check and what became of it, as lines of JSON."""
    planted = {name: (*defect, OPTIMIZER) for name, defect in DEFECTS.items()} | offload_defects.DEFECTS
    by_name = {check.__name__.removeprefix("check_"): check for check in CHECKS}
    for name, (check, plant, optimizer) in planted.items():
        subject = KernelSubject(optimizer_info(optimizer), "GPU")
        with ExitStack() as stack:
            plant(stack)
            (result,) = run_checks(subject, (by_name[check],))
        print(json.dumps([name, check, result.status, result.reason]), flush=True)


if __name__ == "__main__":
    sys.setswitchinterval(1e-5)
    main()

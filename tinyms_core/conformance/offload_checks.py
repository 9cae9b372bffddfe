"""The kit's checks of state in the host's memory: offloaded steps of plain arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import numpy as np

from tinyms_core.conformance.catalog import CheckSkipped
from tinyms_core.conformance.compare import require, require_same
from tinyms_core.conformance.kernel_runs import KernelRun, take
from tinyms_core.conformance.row_steps import require_rows
from tinyms_core.conformance.workload import Member
from tinyms_core.kernels.buffers import GPU
from tinyms_core.kernels.displacement import not_elementwise
from tinyms_core.kernels.storage import WIDTHS
from tinyms_core.registry.specs import DTYPES

if TYPE_CHECKING:
    from tinyms_core.conformance.kernel_checks import KernelSubject

STEPS: Final = 3
# Elements of a chunk and of a run, and whether there is decay: sizes that divide no array, and single elements.
_SIZES: Final = ((24, 100, True), (5, 13, False), (1, 1, False))
# Which of the two streams do at once what they may, and whether there is decay.
_AT_ONCE: Final = (((), True), ((0,), False), ((1,), True), ((), False))
# Runs that are on their way at a time, beside the one that the host works on.
_AHEAD: Final = 2
# A row of the table of pieces.
_PIECE_BYTES: Final = 4 * 8


def check_offload(subject: KernelSubject) -> None:
    """With state on the host parameters and state follow the oracle; what is not elementwise is refused by name."""
    setting = subject.settings()[-1]
    why = _not_elementwise(subject)
    if why:
        _require_refused(subject)
        return
    subject.run(setting, "float32", offload=True).run(STEPS, f"{subject.name}, offloaded")
    for dtype in DTYPES[1:]:
        if dtype in subject.spec.capabilities.dtypes:
            subject.run(setting, dtype, offload=True).run(2, f"{subject.name} in {dtype}, offloaded")
    # Without decay parameters need not be seen by every rule.
    for gradient in ("float32", "bfloat16"):
        run = _run(subject, (Member("mixed", (3, 7), gradient_dtype=gradient), Member("plain", (9,))), decays=False)
        require(
            all(isinstance(array, np.ndarray) for arrays in run.optimizer.state.values() for array in arrays),
            f"{subject.name}: offloaded state is not in the host's memory",
        )
        run.run(2, f"{subject.name} without decay, offloaded, gradients in {gradient}")


def check_offload_sizes(subject: KernelSubject) -> None:
    """However arrays are divided for the way to the host and back, steps follow the oracle."""
    _require_offload(subject)
    members = (Member("part", (9, 13)), Member("none", (0, 3)), Member("one", ()))
    for chunk, staged, decays in _SIZES:
        with subject.shaped(chunk=chunk, staged=staged):
            run = _run(subject, members, decays)
        run.run(2 if staged > 1 else 1, f"{subject.name} offloaded in chunks of {chunk} and runs of {staged}")


def check_offload_rows(subject: KernelSubject) -> None:
    """Gradients that come as rows follow the oracle with state on the host too."""
    _require_offload(subject)
    if subject.spec.capabilities.sparse == "none":
        raise CheckSkipped("the optimizer declares sparse='none'")
    require_rows(subject, ("float32",), offload=True)


def check_offload_order(subject: KernelSubject) -> None:
    """Copies and launches may be done as late as their waiting allows: numbers do not change, and they overlap.

    While the host computes a run, the next ones are queued already, and those before need not have gone.
    """
    _require_offload(subject)
    from tinyms_core.conformance.late_queues import LateQueues
    from tinyms_core.kernels.gpu_queues import queues_made_by

    members = (Member("part", (9, 13)), Member("more", (70,)))
    for at_once, decays in _AT_ONCE:
        queues = LateQueues(at_once)
        with subject.shaped(chunk=8, staged=40):
            right = _run(subject, members, decays)
            with queues_made_by(lambda: queues):  # noqa: B023 - called before the next round
                run = _run(subject, members, decays)
        for step in range(2):
            right.optimizer.step([one.array for one in right.hold(step)])
            _step_late(run, step, queues)
        what = f"{subject.name} offloaded, the streams {at_once} doing at once what they may"
        for one, other in zip(run.values(), right.values(), strict=True):
            require_same(one, other, what)
        if not at_once:
            _require_overlap(queues, subject.name)


def check_offload_memory(subject: KernelSubject) -> None:
    """On the GPU there is memory for what is on its way and for a table of pieces, and none for state."""
    _require_offload(subject)
    chunk, staged = 512, 1024
    members = (Member("large", (90, 100)), Member("small", (7,)))
    with subject.shaped(chunk=chunk, staged=staged), _counted() as allocated:
        run = _run(subject, members, decays=True)
        built = sum(allocated)
        held = [one.array for one in run.hold()]
        given = sum(allocated) - built
        run.optimizer.step(held)
        run.optimizer.step(held)
    sizes = [int(np.prod(place.member.shape)) for place in run.workload.places]
    pieces = sum(-(-size // chunk) + 1 for size in sizes)
    allowed = (_AHEAD + 1) * staged * 2 * WIDTHS["float32"] + pieces * _PIECE_BYTES
    # The arrays themselves have as many bytes as the gradients.
    taken = sum(allocated) - 2 * given
    require(
        taken <= allowed,
        f"{subject.name}: with offloaded state {taken} bytes of the GPU's memory are taken; {allowed} are enough",
    )


def _run(subject: KernelSubject, members: tuple[Member, ...], decays: bool) -> KernelRun:
    return subject.run(subject.settings()[0], "float32", offload=True, members=members, decays=decays)


def _step_late(run: KernelRun, step: int, queues: Any) -> None:
    """A step whose gradients are still to be written when it is queued, and after which one stream is waited for."""
    held = run.hold(step)
    for one in held:
        numbers = take(one.array)
        one.array.write(np.full(one.array.shape, np.nan))
        queues.write(one.array, numbers, 0)
    queues.waiting.clear()
    run.optimizer.step([one.array for one in held])
    queues.settle(0)


def _require_overlap(queues: Any, name: str) -> None:
    """Require that around each run that the host works on others are on their way."""
    count = len(queues.waiting)
    require(count > 2 * _AHEAD, f"{name}: an offloaded step is {count} run(s); the check says nothing")
    for number, waiting in enumerate(queues.waiting):
        coming, going = waiting.count("to host"), waiting.count("to device")
        right = min(_AHEAD, count - 1 - number), min(_AHEAD, number)
        require(
            (coming, going) == right,
            f"{name}: while the host computes run {number} of {count}, {coming} may come and {going} may go; "
            f"{right[0]} and {right[1]} is right",
        )


@contextmanager
def _counted() -> Iterator[list[int]]:
    """The bytes of each piece of the GPU's memory that is asked for inside the ``with`` block."""
    from numba import cuda

    right, sizes = cuda.device_array, []

    def counted(shape: Any, dtype: Any = np.float64, *arguments: Any, **named: Any) -> Any:
        sizes.append(int(np.prod(shape)) * np.dtype(dtype).itemsize)
        return right(shape, dtype, *arguments, **named)

    with patch.object(cuda, "device_array", counted):
        yield sizes


def _not_elementwise(subject: KernelSubject) -> str:
    """Why the optimizer's steps are not elementwise; empty where they are."""
    if subject.around is not None:
        return "its factor is of whole arrays"
    return not_elementwise(subject.run(subject.settings()[0], "float32").optimizer._algorithm.program)


def _require_offload(subject: KernelSubject) -> None:
    if subject.device != GPU:
        raise CheckSkipped("the host's own arrays are on no way")
    why = _not_elementwise(subject)
    if why:
        raise CheckSkipped(f"it does not offload: {why}")


def _require_refused(subject: KernelSubject) -> None:
    try:
        subject.run(subject.settings()[0], "float32", offload=True)
    except ValueError as error:
        named = subject.spec.name in str(error) and "'offload' must be False" in str(error)
        require(named, f"{subject.name}: the refusal of offload=True does not name it and the argument: {error}")
        return
    require(False, f"{subject.name}: offload=True is accepted, and a step is not elementwise")


OFFLOAD_CHECKS: Final[tuple[Callable[[Any], None], ...]] = (
    check_offload,
    check_offload_sizes,
    check_offload_rows,
    check_offload_order,
    check_offload_memory,
)
"""The checks, in the order of a report."""

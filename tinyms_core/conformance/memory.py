"""Execution: a step needs no memory that grows with the parameters."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path

from mindspore import Tensor

from tinyms_core.conformance.catalog import CheckSkipped, check
from tinyms_core.conformance.compare import require
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.workload import Member

# 36 MiB of float32: larger than any block that the C library keeps for reuse.
_SHAPE = (3072, 3072)
_ALLOWED = 0.25
_HELD = 8
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


@check(
    "Execution", {"pynative": ("float32",)}, requirement=lambda can: not can.workspace, needs="no declared workspace"
)
def check_no_parameter_sized_temporaries(subject: Subject) -> None:
    """A PyNative step on a large tensor needs less additional memory than a quarter of the tensor."""
    workload = subject.plain(Member("large.weight", _SHAPE))
    subject.trial(subject.plain(Member("small.weight", (4, 3)))).run(2)
    trial = subject.trial(workload)
    gradients = trial.gradients()
    size = 4 * _SHAPE[0] * _SHAPE[1]
    allow_growth(
        lambda: trial.step(gradients), int(_ALLOWED * size), gradients[0], f"a step on a tensor of {size >> 20} MiB"
    )


def allow_growth(work: Callable[[], object], allowed: int, like: Tensor, what: str) -> None:
    """Require that something needs less additional memory than allowed, in either of two runs.

    Arguments:
        work: what to run.
        allowed: the bytes.
        like: a tensor of the size that is feared for.
        what: what runs, for the message.

    Raises:
        CheckFailure: it needs more.
    """
    # MindSpore keeps freed memory and gives it out again. Hold what building left free, so that whatever the
    # step allocates has to be new.
    held = [like * 1.0 for _ in range(_HELD)]
    for tensor in held:
        # Waits for it, too: the allocation is not the step's.
        require(tensor.asnumpy().flat[0] == like.asnumpy().flat[0], "a copy of a tensor differs from it")
    growth = max(peak_growth(work) for _ in range(2))
    del held
    require(growth < allowed, f"{what} needs up to {growth >> 20} MiB of additional memory")


def peak_growth(work: Callable[[], object]) -> int:
    """By how many bytes the process's resident memory grew at most while something ran.

    Raises:
        CheckSkipped: this system does not say.
    """
    try:
        _CLEAR.write_text("5")
    except OSError as error:
        raise CheckSkipped(f"the peak of resident memory cannot be reset here: {error}") from error
    before = _kibibytes("VmRSS")
    work()
    return max(0, _kibibytes("VmHWM") - before) << 10


def _kibibytes(field: str) -> int:
    with contextlib.closing(_STATUS.open(encoding="ascii", errors="replace")) as status:
        found = re.search(rf"^{field}:\s+(\d+) kB", status.read(), re.MULTILINE)
    if found is None:
        raise CheckSkipped(f"{_STATUS} has no {field}")
    return int(found.group(1))

"""The kit's checks of kernels on plain arrays: for the CPU, for a GPU, and for numba's simulator of one.

They need neither MindSpore nor pytest, so they also run where only a GPU is. `tinyms_core.conformance.kernels` is the
command that runs them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Final

from tinyms_core.conformance.catalog import CheckFailure, CheckSkipped
from tinyms_core.conformance.compare import require, require_same
from tinyms_core.conformance.kernel_runs import (
    KernelRun,
    Setting,
    settings_of,
    workload_of,
)
from tinyms_core.conformance.offload_checks import OFFLOAD_CHECKS
from tinyms_core.conformance.precision import measured
from tinyms_core.conformance.results import CheckResult, Status
from tinyms_core.conformance.row_steps import require_rows
from tinyms_core.conformance.workload import Member
from tinyms_core.kernels.buffers import GPU
from tinyms_core.kernels.program import Program
from tinyms_core.registry import api
from tinyms_core.registry.errors import describe
from tinyms_core.registry.specs import DTYPES, OptimizerSpec

STEPS: Final = 3
# What stands inside of the optimizer that goes around another one.
WRAPPED: Final = "momentum"
_PREFIX: Final = "check_"


@dataclass(frozen=True)
class KernelSubject:
    """An optimizer whose kernels are checked.

    Attributes:
        spec: its declaration; of one that goes around another one, that one's.
        device: ``"CPU"`` or ``"GPU"``.
        around: the optimizer that goes around it, or None.
    """

    spec: OptimizerSpec
    device: str
    around: OptimizerSpec | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return self.spec.name if self.around is None else f"{self.around.name} around {self.spec.name}"

    def settings(self) -> list[tuple[Setting, Setting]]:
        """Values of its hyperparameters, each with values of those of the optimizer around it."""
        own = settings_of(self.spec)
        return (
            [(setting, ()) for setting in own]
            if self.around is None
            else [(own[0], setting) for setting in settings_of(self.around)]
        )

    @property
    def layerwise(self) -> bool:
        """Whether a step needs a number computed over a whole array."""
        return self.spec.capabilities.layerwise or self.around is not None

    def run(
        self, settings: tuple[Setting, Setting], dtype: str, framed: bool = False, offload: bool = False, **changes: Any
    ) -> KernelRun:
        """Arrays and oracle for values of the hyperparameters; changes are those of `workload_of`."""
        own, theirs = settings
        workload = workload_of(self.spec, own, dtype, **changes)
        around = None if self.around is None else (self.around, dict(theirs))
        return KernelRun(self.spec, workload, self.device, around, framed, offload)

    def shaped(self, **shape: int) -> AbstractContextManager[None]:
        """Another launch shape, where there are launches."""
        if self.device != GPU:
            return nullcontext()
        from tinyms_core.kernels.gpu_device import shaped

        return shaped(**shape)


def check_numbers(subject: KernelSubject) -> None:
    """Parameters and state follow the float64 oracle in every dtype and setting, with groups, decay and scale."""
    settings = subject.settings()
    for setting in settings:
        subject.run(setting, "float32").run(STEPS, f"{subject.name}, {dict(sum(setting, ()))}")
    for dtype in DTYPES[1:]:
        if dtype in subject.spec.capabilities.dtypes:
            subject.run(settings[-1], dtype).run(STEPS, f"{subject.name} in {dtype}")


def check_gradient_dtypes(subject: KernelSubject) -> None:
    """Gradients of other dtypes than the arrays' are converted where they are read."""
    for parameter, gradient in (("float32", "bfloat16"), ("float16", "float32"), ("float64", "float16")):
        if parameter in subject.spec.capabilities.dtypes:
            members = (Member("mixed", (3, 7), gradient_dtype=gradient), Member("plain", (9,)))
            run = subject.run(subject.settings()[0], parameter, members=members)
            run.run(2, f"{subject.name} in {parameter} with gradients in {gradient}")


def check_launch_shapes(subject: KernelSubject) -> None:
    """The number of blocks changes no bit; that of threads and the size of chunks none of an elementwise rule."""
    if subject.device != GPU:
        raise CheckSkipped("only a GPU has launches")
    members = (Member("part", (9, 13)), Member("row", (70,)))
    shapes: list[tuple[bool, dict[str, int]]] = [(True, {"blocks": 1}), (True, {"blocks": 7})]
    if not subject.layerwise:
        # Means of rows are sums, whose order is that of threads.
        shapes += [(False, {"chunk": 24}), (False, {"chunk": 4096, "threads": 8}), (False, {"threads": 1})]
    for centralize, shape in shapes:
        right = _values(subject, members, centralize, {})
        for one, other in zip(_values(subject, members, centralize, shape), right, strict=True):
            require_same(one, other, f"{subject.name} with {shape}")


def check_small_chunks(subject: KernelSubject) -> None:
    """Arrays that are cut into many chunks, which begin anywhere, follow the oracle."""
    if subject.device != GPU:
        raise CheckSkipped("only a GPU's chunks can be made smaller")
    with subject.shaped(chunk=5):
        subject.run(subject.settings()[-1], "float32").run(2, f"{subject.name} in chunks of 5")


def check_offsets(subject: KernelSubject) -> None:
    """Arrays that begin anywhere in memory are updated, and what lies around them is not."""
    subject.run(subject.settings()[0], "float32", framed=True).run(2, f"{subject.name}, arrays at odd addresses")


def check_many_arrays(subject: KernelSubject) -> None:
    """Many arrays of every small size are updated by one call."""
    members = tuple(Member(f"w{n}", (n % 6,)) for n in range(40))
    subject.run(subject.settings()[0], "float32", members=members).run(1, f"{subject.name}, many arrays")


def check_launches(subject: KernelSubject) -> None:
    """A step of arrays of one dtype is one launch, two where a norm over a whole array is needed."""
    if subject.device != GPU:
        raise CheckSkipped("only a GPU has launches")
    run = subject.run(subject.settings()[0], "float32")
    if not isinstance(run.optimizer._algorithm.program, Program):
        raise CheckSkipped("the optimizer has an update that is written out, which may take as many as it likes")
    run.step()
    launches = sum(kernel.launches for kernel in run.optimizer._kernels.values())
    most = 2 if subject.layerwise else 1
    require(launches == most, f"{subject.name}: a step is {launches} launch(es); {most} is right")


def check_prepared_steps(subject: KernelSubject) -> None:
    """A prepared step does what a step does, each time that it is called."""
    setting = subject.settings()[0]
    run, other = subject.run(setting, "float32"), subject.run(setting, "float32")
    held = run.hold()
    prepared = run.optimizer.prepare([one.array for one in held])
    for _ in range(STEPS):
        prepared()
        other.optimizer.step([one.array for one in held])
    for one, right in zip(run.values(), other.values(), strict=True):
        require_same(one, right, f"{subject.name}: prepared steps")


def check_rows(subject: KernelSubject) -> None:
    """Gradients that come as rows follow the oracle: rows in any order and more than once, none, and all of them."""
    if subject.spec.capabilities.sparse == "none" or subject.around is not None:
        raise CheckSkipped("the optimizer declares sparse='none'")
    require_rows(subject, ("float32", "float64", "bfloat16"))


def _values(subject: KernelSubject, members: tuple[Member, ...], centralize: bool, shape: dict[str, int]) -> list[Any]:
    """Parameters and state after two steps with a launch shape."""
    with subject.shaped(**shape):
        run = subject.run(subject.settings()[-1], "float32", members=members, centralize=centralize)
        run.step()
        run.step()
        return run.values()


KernelCheck = Callable[[KernelSubject], None]
CHECKS: Final[tuple[KernelCheck, ...]] = (
    check_numbers,
    check_gradient_dtypes,
    check_launch_shapes,
    check_small_chunks,
    check_offsets,
    check_many_arrays,
    check_launches,
    check_prepared_steps,
    check_rows,
    *OFFLOAD_CHECKS,
)
"""The checks, in the order of a report."""


def subjects(device: str, names: tuple[str, ...] = ()) -> Iterator[KernelSubject]:
    """The optimizers that have a kernel for plain arrays on a device.

    Those whose steps are products of matrices are left out: how far rounding may take these is for the kit's other
    checks to weigh.

    Arguments:
        device: ``"CPU"`` or ``"GPU"``.
        names: those to take; all that there are when empty.
    """
    for name in names or tuple(api.list_optimizers()):
        spec = api.optimizer_info(name)
        if spec.capabilities.wraps_optimizer:
            yield KernelSubject(api.optimizer_info(WRAPPED), device, spec)
        elif not spec.capabilities.consumes_network and not spec.capabilities.workspace:
            yield KernelSubject(spec, device)


def run_checks(subject: KernelSubject, checks: Sequence[KernelCheck] = CHECKS) -> Iterator[CheckResult]:
    """Run checks of one optimizer, all unless told, one after the other."""
    for check in checks:
        start = time.perf_counter()
        result = _result(subject, check)
        yield replace(result, seconds=time.perf_counter() - start)


def _result(subject: KernelSubject, check: KernelCheck) -> CheckResult:
    status: Status = "passed"
    reason = ""
    with measured() as precision:
        try:
            check(subject)
        except CheckSkipped as skipped:
            status, reason = "skipped", str(skipped)
        except Exception as error:
            status, reason = "failed", str(error) if isinstance(error, CheckFailure) else describe(error)
    name = check.__name__.removeprefix(_PREFIX)
    return CheckResult(
        name, "Numbers", subject.name, subject.device, "any", "any", status, reason, 0.0, dict(precision.largest)
    )

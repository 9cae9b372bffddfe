"""Random scenarios: any shapes, dtypes, groups, options and rates, and any order of what may happen to an optimizer.

The checks of the kit look where someone thought of looking. Here hypothesis draws what the declaration allows, each
step is compared with the float64 oracle at the kit's own tolerance, and of what fails the smallest case is shown.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from tinyms_core.conformance.catalog import CheckFailure, CheckSkipped
from tinyms_core.conformance.results import ANY, CheckResult, Status
from tinyms_core.conformance.runner import subject_of
from tinyms_core.registry.api import optimizer_info
from tinyms_core.registry.specs import MODES, Capabilities, OptimizerSpec

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

    from tinyms_core.conformance.precision import Precision
    from tinyms_core.conformance.scenario import Action, Scenario
    from tinyms_core.conformance.subject import Subject
    from tinyms_core.conformance.workload import Group, Member, Rate
    from tinyms_core.registry.hyperparameters import Hyperparameter

NAME: Final = "random_scenarios"
"""The name under which results of `fuzz` are reported."""

_STEPS: Final = 6
_NAMES: Final = ("layer.weight", "layer.bias", "norm.gamma", "norm.beta", "alphabeta", "head.table", "LayerNorm.scale")
_SHAPES: Final = ((), (0,), (1,), (7,), (3, 5), (5, 1), (0, 3), (4, 3, 2), (2, 3, 3, 2), (4097,), (33, 130))
_RATE_FORMS: Final = ("float", "tensor")
_DYNAMIC_FORMS: Final = ("tensor", "array", "list", "iterable", "schedule")
# Compared with the usual, small and large; 16 bits hold them times the loss scale.
_SCALES: Final = (1.0, 0.0, 1e-3, 10.0)
_GRADIENT_SCALES: Final = (1.0, 0.0, 1e-3, 10.0)
_LOSS_SCALES: Final = (1.0, 8.0, 3.0)


def fuzz(
    optimizer: str | OptimizerSpec,
    *,
    examples: int = 100,
    mode: str = "pynative",
    seed: int | None = None,
    shrink: bool = True,
) -> CheckResult:
    """Play random scenarios, and compare each step with the float64 oracle.

    A scenario is an optimizer of one to five parameters of any shape and dtype, in groups or not, with values for
    all its options, and up to six steps, between which rates and parameters are changed, checkpoints are written
    and loaded, and bad gradients are refused; gradients of tables are rows where these are declared. Another one
    takes the place of a scenario that cannot be judged: the optimizer refuses its options together, or rounding alone
    is worth a quarter of the tolerance, where a gradient nearly cancels the decay, say.

    Arguments:
        optimizer: a registered name, or an `OptimizerSpec`, which need not be registered.
        examples: how many scenarios, at least 1.
        mode: ``"pynative"``, ``"jit"`` or ``"graph"``; a scenario of a compiled mode takes about a second.
        seed: of the scenarios; with None they are the same in every run.
        shrink: whether to look for the smallest scenario that fails, which may take as long as hundreds of them.

    Returns:
        A result of the kind that `run_checks` gives. The reason of a failure has the smallest scenario that fails.

    Raises:
        ModuleNotFoundError: hypothesis is not installed.
        UnknownOptimizerError: no optimizer of that name.
        ValueError: a mode that does not exist or is not declared, or a number of examples that is not positive.

    Example:
        >>> from dataclasses import replace
        >>> import numpy as np
        >>> from tinyms_core.conformance import fuzz
        >>> from tinyms_core.examples import SignDescent
        >>> def reference(w, g, state, *, lr, t, weight_decay):
        ...     return w - lr * np.sign(g), {}
        >>> fuzz(replace(SignDescent.spec, oracle=reference), examples=5).status
        'passed'
    """
    import mindspore
    from hypothesis.errors import Unsatisfiable

    from tinyms_core.conformance.precision import Precision

    spec = optimizer_info(optimizer) if isinstance(optimizer, str) else optimizer
    if mode not in MODES or mode not in spec.capabilities.modes:
        raise ValueError(f"mode: one of {spec.capabilities.modes} is right for {spec.name}, got {mode!r}")
    if examples < 1:
        raise ValueError(f"examples: must be at least 1, got {examples}")
    began = time.perf_counter()
    status: Status = "passed"
    reason = ""
    seen = Precision()
    try:
        _search(spec, examples, mode, seed, shrink, seen)
    except CheckSkipped as skipped:
        status, reason = "skipped", str(skipped)
    except Unsatisfiable:
        status, reason = "failed", "no scenario could be judged: the optimizer refuses them all, or rounding decides"
    except CheckFailure as failure:
        notes = " ".join(getattr(failure, "__notes__", ()))
        status, reason = "failed", f"{failure} {notes}".strip()
    return CheckResult(
        check=NAME,
        subject="Numbers",
        optimizer=spec.name,
        device=str(mindspore.get_context("device_target")),
        mode=mode,
        dtype=ANY,
        status=status,
        reason=reason,
        seconds=round(time.perf_counter() - began, 4),
        largest_errors=seen.largest,
    )


def _search(spec: OptimizerSpec, examples: int, mode: str, seed: int | None, shrink: bool, seen: Precision) -> None:
    from hypothesis import HealthCheck, Phase, assume, given, settings
    from hypothesis import seed as seeded

    from tinyms_core.conformance.precision import measured
    from tinyms_core.conformance.runs import Runs
    from tinyms_core.conformance.scenario import Inconclusive, play

    if spec.capabilities.consumes_network:
        raise CheckSkipped("it builds optimizers from parameters; this one is built from a network")
    if not spec.oracle:
        raise CheckSkipped("the optimizer declares no oracle to compare with")
    with Runs() as runs:
        subject = subject_of(spec, mode, ANY, runs=runs)

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=seed is None,
            phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
            suppress_health_check=list(HealthCheck),
            print_blob=False,
            report_multiple_bugs=False,
        )
        @given(scenarios(subject))
        def holds(scenario: Scenario) -> None:
            try:
                with measured() as precision:
                    play(subject, scenario)
            except (Inconclusive, ValueError):
                # Two options may contradict each other, which no declaration of either says.
                assume(False)
            for dtype, error in precision.largest.items():
                seen.largest[dtype] = max(seen.largest.get(dtype, 0.0), error)

        (holds if seed is None else seeded(seed)(holds))()


def scenarios(subject: Subject) -> SearchStrategy[Scenario]:
    """Scenarios that an optimizer's declaration allows, as a strategy of hypothesis.

    Arguments:
        subject: the optimizer, in a mode.
    """
    from hypothesis import strategies as st

    from tinyms_core.conformance.combinations import fitting
    from tinyms_core.conformance.scenario import Scenario
    from tinyms_core.conformance.values import of_optimizer
    from tinyms_core.conformance.workload import Group, Workload

    can = subject.capabilities
    own = of_optimizer(subject.spec.hyperparameters)

    @st.composite
    def drawn(draw: DrawFn) -> Scenario:
        members = draw(_members(can))
        grouped = draw(st.booleans())
        groups = tuple(draw(_group(can, part)) for part in draw(_parts(members))) if grouped else (Group(members),)
        names = tuple(member.name for member in members)
        workload = Workload(
            groups,
            grouped=grouped,
            rate=draw(_rates(can)),
            decay=draw(_decays(can)),
            loss_scale=draw(st.sampled_from(_LOSS_SCALES)) if can.loss_scale else 1.0,
            hyperparameters=tuple((h.name, draw(_values(h))) for h in own),
            order=draw(st.none() | st.permutations(names).map(tuple)) if grouped else None,
            filtered=can.decay_filter == "names",
            steps=_STEPS,
            seed=draw(st.integers(0, 1000)),
        )
        workload = fitting(subject.spec, workload)
        return Scenario(workload, tuple(draw(_actions(subject, workload))))

    return drawn()


def _members(can: Capabilities) -> SearchStrategy[tuple[Member, ...]]:
    from hypothesis import strategies as st

    from tinyms_core.conformance.workload import Member
    from tinyms_core.registry.specs import DTYPES

    shapes = st.sampled_from(_SHAPES) | st.lists(st.integers(1, 6), max_size=4).map(tuple)

    def member(name: str) -> SearchStrategy[Member]:
        return st.builds(
            Member,
            st.just(name),
            shapes,
            st.sampled_from(can.dtypes),
            st.sampled_from(DTYPES),
            st.sampled_from(_SCALES),
            st.sampled_from(_GRADIENT_SCALES),
        )

    names = st.lists(st.sampled_from(_NAMES), min_size=1, max_size=5, unique=True)
    return names.flatmap(lambda chosen: st.tuples(*map(member, chosen)))


def _parts(members: Sequence[Member]) -> SearchStrategy[list[list[Member]]]:
    """The members, parted into groups."""
    from hypothesis import strategies as st

    def parted(numbers: Sequence[int]) -> list[list[Member]]:
        found: dict[int, list[Member]] = {}
        for number, member in zip(numbers, members, strict=True):
            found.setdefault(number, []).append(member)
        return list(found.values())

    return st.tuples(*(st.integers(0, 2) for _ in members)).map(parted)


def _group(can: Capabilities, members: Sequence[Member]) -> SearchStrategy[Group]:
    from hypothesis import strategies as st

    from tinyms_core.conformance.workload import Group

    # Centralized are convolutions, and a bias beside them as it is.
    fits = can.centralization and all(len(m.shape) not in (0, 2) for m in members)
    return st.builds(
        Group,
        st.just(tuple(members)),
        st.none() | _rates(can) if can.grouped_rates else st.none(),
        st.none() | _decays(can) if can.weight_decay != "none" else st.none(),
        st.booleans() if fits else st.just(False),
    )


def _rates(can: Capabilities) -> SearchStrategy[Rate]:
    from hypothesis import strategies as st

    from tinyms_core.conformance.workload import Rate

    number = st.floats(2.0**-20, 0.05)
    rates = st.builds(Rate, st.tuples(number), st.sampled_from(_RATE_FORMS))
    if not can.dynamic_rates:
        return rates
    values = st.tuples(*(number for _ in range(_STEPS)))
    return rates | st.builds(Rate, values, st.sampled_from(_DYNAMIC_FORMS))


def _decays(can: Capabilities) -> SearchStrategy[tuple[float, ...]]:
    from hypothesis import strategies as st

    if can.weight_decay == "none":
        return st.just((0.0,))
    # Each step's decay is looked up in a table of float32.
    looked_up = st.floats(0.0, 0.5, width=32)
    return st.tuples(st.just(0.0) | st.floats(1e-4, 0.5)) | st.tuples(*(looked_up for _ in range(_STEPS)))


def _values(declared: Hyperparameter) -> SearchStrategy[Any]:
    """Values of a hyperparameter: the default, and those of usual size inside the declared interval."""
    from hypothesis import strategies as st

    from tinyms_core.conformance.values import default_value

    if declared.kind == "flag":
        return st.booleans()
    usual = st.just(default_value(declared))
    if declared.kind == "floats":
        return usual | st.tuples(*(_numbers(declared, default) for default in declared.default))
    if declared.kind not in ("float", "number"):
        return usual
    return usual | _numbers(declared, declared.default)


def _numbers(declared: Hyperparameter, default: Any) -> SearchStrategy[float]:
    from hypothesis import strategies as st

    if isinstance(default, float) and 0 < default < 1e-3:
        # What keeps a quotient finite is tiny; a power of ten each.
        return st.integers(math.floor(math.log10(default)), -3).map(lambda power: 10.0**power)
    low, high, _, _ = declared.bounds
    first, last = max(low, -1.0), min(high, 1.0)
    # Not at the ends themselves, where averages of one number are subtracted from it.
    margin = 0.02 * (last - first)
    return st.floats(first + margin, last - margin)


def _actions(subject: Subject, workload: Any) -> SearchStrategy[list[Action]]:
    """What happens, one thing after the other; up to as many steps as there are rates."""
    from hypothesis import strategies as st

    from tinyms_core.conformance.scenario import BAD_GRADIENTS, Refuse, Resume, SetParameter, SetRate, Step

    names = [place.member.name for place in workload.places]
    fixed = [place.member.name for place in workload.places if place.rate.values and not place.rate.varies]
    # MindSpore leaves tensors without elements out of a ckpt.
    kinds = (
        ("safetensors", "ckpt") if all(0 not in place.member.shape for place in workload.places) else ("safetensors",)
    )
    others: list[SearchStrategy[Any]] = [
        st.builds(Resume, st.sampled_from(kinds)),
        st.builds(Refuse, st.sampled_from(sorted(BAD_GRADIENTS))),
    ]
    if fixed:
        others.append(st.builds(SetRate, st.sampled_from(fixed), st.floats(2.0**-20, 0.0625, width=32)))
    if subject.mode != "jit":
        # There MindSpore itself keeps the old memory, whatever the optimizer.
        others.append(st.builds(SetParameter, st.sampled_from(names), st.sampled_from((1.0, 0.1, 0.0))))
    step = st.builds(Step, _rows(subject, workload))
    # A step and what comes before it, so that steps are neither few nor crowded out.
    return st.lists(st.tuples(st.lists(st.one_of(others), max_size=2), step), min_size=1, max_size=_STEPS).map(
        lambda parts: [action for before, last in parts for action in (*before, last)]
    )


def _rows(subject: Subject, workload: Any) -> SearchStrategy[tuple[tuple[str, tuple[int, ...]], ...]]:
    """Which gradients come as rows, and of which indices."""
    from hypothesis import strategies as st

    tables = [p.member for p in workload.places if p.member.shape and p.member.shape[0]]
    if subject.capabilities.sparse == "none" or not tables:
        return st.just(())

    def indices(member: Member) -> SearchStrategy[tuple[str, tuple[int, ...]]]:
        rows = st.lists(st.integers(0, min(member.shape[0], 8) - 1), max_size=6).map(tuple)
        return st.tuples(st.just(member.name), rows)

    chosen = st.lists(st.sampled_from(tables), max_size=2, unique=True)
    return st.just(()) | chosen.flatmap(lambda members: st.tuples(*map(indices, members)))

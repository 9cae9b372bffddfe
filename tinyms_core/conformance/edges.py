"""Numbers at the edges: odd shapes, many threads, zeros, the very small, the very large, and what is no number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tinyms_core.conformance.catalog import check
from tinyms_core.conformance.compare import require, require_parameter, require_same
from tinyms_core.conformance.identity import require_equal
from tinyms_core.conformance.numbers import compare_with_oracle, require_golden
from tinyms_core.conformance.rounding import NARROW
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.trial import make_tensor
from tinyms_core.conformance.workload import Group, Member, Workload
from tinyms_core.registry.specs import DTYPES

_SIZES = ((), (0,), (0, 3), (1,), (7,), (4095,), (4096,), (4097,), (3, 50_001), (2, 1, 33))


@check("Numbers", {"pynative": DTYPES})
def check_tail_shapes(subject: Subject) -> None:
    """Tensors of any size are right: 0-d, empty, 1, 7, about 4096 elements, huge, and many tiny ones."""
    members = tuple(Member(f"size.{'x'.join(map(str, shape)) or 'none'}", shape) for shape in _SIZES)
    many = tuple(Member(f"tiny.{index}", (index % 5 + 1,)) for index in range(100))
    require_golden(subject, subject.plain(*members, *many, steps=5))


@check("Numbers", {"pynative": ("float32", "bfloat16")})
def check_thread_count_invariant(subject: Subject) -> None:
    """The number of threads changes no bit."""
    from tinyms_core.kernels.threads import thread_limit

    centralized = Group((Member("conv.weight", (64, 3, 37, 41)),), centralize=subject.capabilities.centralization)
    groups = (centralized, Group((Member("dense.weight", (421, 1013)), Member("bias", (5,)))))
    workload = replace(subject.workload(), groups=groups, order=None, steps=3)
    results = []
    for count in (1, 2, 7):
        with thread_limit(count):
            results.append((count, subject.trial(workload).run(3).snapshot()))
    for count, snapshot in results[1:]:
        require_equal(snapshot, results[0][1], f"after 3 steps with {count} threads and with 1")


@check("Numbers", {"pynative": DTYPES, "graph": ("float32",)})
def check_zero_norm_finite(subject: Subject) -> None:
    """Weights, gradients or both of zero give finite numbers, those of the oracle; zero weights can move."""
    members = (
        Member("zero.weight", (6, 5), scale=0.0), Member("zero.gradient", (6, 5), gradient_scale=0.0),
        Member("zero.both", (6, 5), scale=0.0, gradient_scale=0.0), Member("none", (0,)),
    )  # fmt: skip
    workload = subject.plain(*members, steps=5)
    for decay in {workload.decay, (0.0,)}:
        chosen = replace(workload, decay=decay)
        history = subject.history(chosen)
        for step, snapshot in enumerate(history):
            for name, value in {**snapshot.parameters, **snapshot.state}.items():
                finite = np.isfinite(value).all()
                require(finite, f"{name} is not finite after step {step} with weight_decay={decay[0]}")
        require_golden(subject, chosen)
        if subject.mode != "pynative":
            break


@check("Numbers", {"pynative": DTYPES})
def check_zero_gradient(subject: Subject) -> None:
    """Steps with gradients of zero, after steps with others, follow the oracle."""
    workload = subject.plain(steps=6)
    oracle = subject.oracle(workload)
    trial = subject.trial(workload)
    for step in range(6):
        gradients = workload.gradients(step)
        if step % 3:
            gradients = {name: np.zeros_like(value) for name, value in gradients.items()}
        oracle.step(gradients)
        trial.step([make_tensor(value, subject.parameter_dtype) for value in gradients.values()])
        compare_with_oracle(subject.spec, oracle, workload, trial.snapshot(), True, True)


@check("Numbers", {"pynative": ("float32", "bfloat16", "float64"), "jit": ("float32",)})
def check_extreme_values(subject: Subject) -> None:
    """In PyNative denormal gradients follow the oracle, unflushed; with gradients of 1e30 numbers stay right or finite.

    Of a gradient of 1e30 the square is beyond float32, so state may become infinite; a parameter may not
    become NaN for it. Where the oracle's state fits into the dtype, the parameters are the oracle's.
    """
    tiny = {"float64": 1e-310}.get(subject.dtype, 1e-40)
    small = subject.plain(Member("tiny", (6, 5), gradient_scale=tiny), Member("usual", (9,)), steps=5)
    if subject.mode == "pynative":
        require_golden(subject, small, state=False)
    else:
        _require_usual(subject, small)
    if subject.mode == "pynative" and not subject.capabilities.layerwise:
        # Decay would hide the gradient; layer-wise, a norm of it has no quotient in float32.
        least = 8 * (5e-324 if subject.dtype == "float64" else 2.0**-149)
        _require_denormals(subject, replace(small, decay=(0.0,)), least)
    huge = subject.plain(Member("huge", (6, 5), gradient_scale=1e30), Member("usual", (9,)), steps=3)
    oracle = subject.oracle(huge)
    limit = 3e38 if subject.dtype != "float64" else np.inf
    for snapshot in subject.history(huge)[1:]:
        oracle.step()
        for name, value in snapshot.parameters.items():
            right = oracle.parameters[name]
            expected = np.isfinite(right) & (np.abs(right) < limit)
            bad = expected & ~np.isfinite(value)
            require(not bad.any(), f"{name} after step {oracle.steps}: {int(bad.sum())} elements are not finite")
            if all((np.abs(state) < limit).all() for state in oracle.state[name].values()):
                what = f"{name} after step {oracle.steps} with gradients of 1e30"
                require_parameter(value, right, subject.dtype, what)
            if subject.dtype in NARROW:
                oracle.parameters[name] = np.array(value)
    if subject.dtype == "float64":
        require_golden(subject, huge)


def _require_usual(subject: Subject, workload: Workload) -> None:
    """Require the oracle's parameters where gradients are usual, and finite ones where they are denormal.

    In a graph MindSpore's own operators flush denormal numbers, which a rule such as a sign makes visible.
    """
    oracle = subject.oracle(workload)
    for snapshot in subject.history(workload)[1:]:
        oracle.step()
        what = f"after step {oracle.steps}"
        require_parameter(snapshot.parameters["usual"], oracle.parameters["usual"], subject.dtype, f"usual {what}")
        require(bool(np.isfinite(snapshot.parameters["tiny"]).all()), f"tiny {what}: elements are not finite")


def _require_denormals(subject: Subject, workload: Workload, least: float) -> None:
    """Require that state which the oracle has as large as ``least`` is not zero."""
    oracle = subject.oracle(workload)
    for snapshot in subject.history(workload)[1:]:
        oracle.step()
        for slot in subject.spec.state:
            full = slot.parameter_name("tiny")
            if slot.shape == "like" and full in snapshot.state:
                lost = (np.abs(oracle.state["tiny"][slot.name]) >= least) & (snapshot.state[full] == 0)
                what = f"state {full} after step {oracle.steps}: {int(lost.sum())} elements"
                require(not lost.any(), f"{what} are zero, where denormal numbers are right")


@check("Numbers", {"pynative": ("float32", "bfloat16", "float64")})
def check_nonfinite_policy(subject: Subject) -> None:
    """A gradient element that is NaN or infinite spoils its own element, or layer-wise its own tensor, and no other.

    The policy is that nothing is hidden and nothing spreads: the element's parameter or state becomes NaN or
    infinite too, so that whoever watches the parameters sees it, and all that does not depend on it by the
    rule is as if it had not been there.
    """
    hit, spared = Member("hit", (7, 9)), Member("spared", (6, 5))
    workload = subject.plain(hit, spared, steps=3)
    expected = subject.history(workload)[-1]
    place = (2, 4)
    for poison in (np.nan, np.inf, -np.inf):
        trial = subject.trial(workload)
        for step in range(3):
            values = workload.gradients(step)
            if step == 1:
                values["hit"][place] = poison
            trial.step([make_tensor(value, subject.dtype) for value in values.values()])
        found = trial.snapshot()
        what = f"with a gradient element of {poison}"
        _require_spared(subject, found.parameters, expected.parameters, "hit", place, what)
        held = [name for name, value in found.state.items() if value.shape == (7, 9)]
        # State of another shape is over several elements, so that it shows the element in more than one place.
        joint = {slot.parameter_name("hit") for slot in subject.spec.state if slot.per_parameter} - set(held)
        for name in held:
            _require_spared(subject, {name: found.state[name]}, {name: expected.state[name]}, name, place, what)
        for name, value in expected.state.items():
            if name not in held and name not in joint:
                require_same(found.state[name], value, f"{name} {what} in another tensor")
        seen = [found.parameters["hit"][place], *(found.state[name][place] for name in held)]
        require(not np.isfinite(seen).all(), f"{what} nothing of the element shows it: {seen}")


def _require_spared(
    subject: Subject, found: Mapping[str, Any], expected: Mapping[str, Any], hit: str, place: tuple[int, int], what: str
) -> None:
    for name, value in expected.items():
        actual, right = np.array(found[name], np.float64), np.array(value, np.float64)
        if name == hit:
            if subject.capabilities.layerwise:
                continue
            actual[place] = right[place] = 0.0
        require_same(actual, right, f"{name} {what}, elsewhere")

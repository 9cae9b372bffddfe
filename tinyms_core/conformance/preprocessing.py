"""Numbers: what happens to gradients before the rule sees them, whatever their scale, layout and dtype."""

from __future__ import annotations

from dataclasses import replace

from mindspore import Tensor, ops

from tinyms_core.conformance.catalog import check
from tinyms_core.conformance.compare import require, require_same
from tinyms_core.conformance.identity import require_equal
from tinyms_core.conformance.numbers import require_golden
from tinyms_core.conformance.rounding import NARROW
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.trial import make_parameters, make_tensor, values_of
from tinyms_core.conformance.workload import Group, Member
from tinyms_core.registry.specs import DTYPES


@check(
    "Numbers",
    {"pynative": DTYPES, "graph": ("float32",)},
    requirement=lambda can: can.loss_scale,
    needs="a declared loss_scale",
)
def check_loss_scale_invariance(subject: Subject) -> None:
    """Gradients of a scaled loss give the trajectory of the unscaled one, bit for bit, with decay on."""
    # Powers of two scale exactly, so that nothing but a wrong order of decay and scale can differ.
    workload = replace(subject.workload(), loss_scale=1.0, steps=5)
    expected = subject.history(workload)[-1]
    for scale in (16.0,) if subject.dtype in NARROW or subject.mode != "pynative" else (16.0, 1024.0):
        found = subject.history(replace(workload, loss_scale=scale))[-1]
        require_equal(found, expected, f"after 5 steps with loss_scale={scale:g} and with 1")
    if subject.mode != "pynative":
        # What follows says that the numbers above are able to differ, and those of a graph are PyNative's.
        return
    ignored = subject.trial(replace(workload, loss_scale=scale))
    for step in range(5):
        values = workload.gradients(step)
        ignored.step([make_tensor(values[p.member.name], p.member.gradient_dtype) for p in workload.places])
    after = ignored.snapshot()
    same = all((after.state[n] == v).all() for n, v in expected.state.items()) and all(
        (after.parameters[n] == v).all() for n, v in expected.parameters.items()
    )
    require(not same, "loss_scale has no effect: unscaled gradients give the same numbers")


@check("Numbers", {"pynative": DTYPES})
def check_noncontiguous(subject: Subject) -> None:
    """Gradients that are views, transposed or strided, count as their values."""
    workload = subject.plain(Member("first.weight", (6, 5)), Member("second.weight", (4, 3, 7)), steps=3)
    expected = subject.history(workload)[-1]
    trial = subject.trial(workload)
    for _ in range(3):
        first, second = trial.gradients()
        trial.step([_view(first, (1, 0)), _view(second, (2, 0, 1))])
    require_equal(trial.snapshot(), expected, "after 3 steps with gradients that are views")


def _view(tensor: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The same values in the same shape, laid out in memory in another order of the axes."""
    back = tuple(sorted(range(len(axes)), key=axes.__getitem__))
    view = ops.transpose(ops.transpose(tensor, axes).contiguous(), back)
    require(not view.is_contiguous(), "the check could not make a view that is not contiguous")
    return view


@check("Numbers", {"pynative": DTYPES, "jit": ("float32",)})
def check_mixed_dtype(subject: Subject) -> None:
    """Gradients may have another dtype than their parameters, and parameters than each other."""
    declared = subject.capabilities.dtypes
    members = tuple(
        Member(f"{parameter}.{gradient}", (6, 5), parameter, gradient)
        for parameter in ((subject.dtype,) if subject.mode == "pynative" else declared)
        for gradient in DTYPES
    )
    others = tuple(Member(f"other.{dtype}", (7,), dtype) for dtype in declared)
    workload = replace(subject.workload(), groups=(Group((*members, *others)),), order=None, steps=5)
    require_golden(subject, workload)


@check("Numbers", {"pynative": ("float32",)})
def check_preprocessing_methods(subject: Subject) -> None:
    """`decay_weight`, `gradients_centralization` and `scale_grad` do what their names say, in that order."""
    workload = subject.workload()
    oracle = subject.oracle(workload)
    trial = subject.trial(workload)
    given = tuple(trial.gradients())
    optimizer = trial.optimizer
    found = optimizer.scale_grad(optimizer.gradients_centralization(optimizer.decay_weight(given)))
    gradients = workload.gradients(0)
    scale = workload.loss_scale
    for index, place in enumerate(workload.places):
        name = place.member.name
        expected = oracle.preprocessed(place, gradients[name], place.decay_at(0))
        if not subject.capabilities.loss_scale:
            expected = expected / scale
        error = abs(values_of(found[index]) - expected).max(initial=0.0)
        require(error <= 4e-6 * (1 + abs(expected).max(initial=0.0)), f"{name}: preprocessed is off by {error:.3g}")
        require(values_of(given[index]).shape == expected.shape, f"{name}: the given gradient changed its shape")
        require_same(values_of(given[index]), gradients[name], f"{name}: the given gradient")
    for name, parameter in trial.parameters.items():
        require_same(values_of(parameter), values_of(make_parameters(workload)[name]), f"{name} after preprocessing")

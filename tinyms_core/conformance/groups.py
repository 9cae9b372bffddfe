"""Groups: what a group gives applies to its own parameters, and grouping by itself changes nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tinyms_core.conformance.catalog import check
from tinyms_core.conformance.combinations import own_options
from tinyms_core.conformance.compare import require, require_same
from tinyms_core.conformance.construction import refusal, require_named
from tinyms_core.conformance.identity import require_equal
from tinyms_core.conformance.numbers import require_golden
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.values import bad_values
from tinyms_core.conformance.workload import Group, Member, Rate, Workload
from tinyms_core.registry.hyperparameters import Hyperparameter

_DTYPES = ("float32", "bfloat16", "float64")
_A, _B, _C = Member("a.weight", (6, 5)), Member("b.weight", (13,)), Member("c.weight", (3, 4))
_D = Member("d.weight", (7, 3))


def _decay(subject: Subject, value: float) -> tuple[float, ...] | None:
    return (value,) if subject.capabilities.weight_decay != "none" else None


@check(
    "Groups and rates",
    {"pynative": _DTYPES, "graph": ("float32",)},
    requirement=lambda can: can.grouped_rates,
    needs="declared grouped_rates",
)
def check_group_rate(subject: Subject) -> None:
    """Each group's rate applies to its own parameters, bit for bit as if it were the only one."""
    rates = (Rate((0.03,)), Rate((5e-8,)), Rate((0.011,)))
    groups = (Group((_A,), rates[0]), Group((_B,), rates[1]), Group((_C,)))
    together = subject.plain(_A, grouped=True, groups=groups, rate=rates[2], steps=5)
    if subject.mode != "pynative":
        require_golden(subject, together)
        return
    _compare_with_single(subject, together, [(_A, rates[0], None), (_B, rates[1], None), (_C, rates[2], None)])
    if subject.capabilities.dynamic_rates:
        # A rate must stay exact beside one that varies, also one that is tiny.
        varying = Rate((0.03, 0.02, 0.01, 0.02, 0.03), "schedule")
        beside = replace(together, groups=(Group((_A,), varying), *groups[1:]))
        _compare_with_single(subject, beside, [(_A, varying, None), (_B, rates[1], None), (_C, rates[2], None)])


@check(
    "Groups and rates",
    {"pynative": _DTYPES, "graph": ("float32",)},
    requirement=lambda can: can.weight_decay != "none",
    needs="a declared weight_decay",
)
def check_group_decay(subject: Subject) -> None:
    """Each group's decay applies to its own parameters, zero included, bit for bit as if it were the only one."""
    groups = (Group((_A,), decay=(0.3,)), Group((_B,), decay=(0.0,)), Group((_C,)))
    together = subject.plain(_A, grouped=True, groups=groups, decay=(0.1,), steps=5)
    if subject.mode != "pynative":
        require_golden(subject, together)
        return
    rate = together.rate
    _compare_with_single(subject, together, [(_A, rate, 0.3), (_B, rate, 0.0), (_C, rate, 0.1)])
    without = subject.history(replace(together, groups=(Group((_A,), decay=(0.0,)), *groups[1:])))
    changed = (without[-1].parameters["a.weight"] != subject.history(together)[-1].parameters["a.weight"]).any()
    require(changed, "a group's weight_decay has no effect")


def _compare_with_single(subject: Subject, together: Workload, parts: list[tuple[Member, Rate, float | None]]) -> None:
    found = subject.history(together)[-1].parameters
    for member, rate, decay in parts:
        alone = replace(
            together, grouped=False, groups=(Group((member,)),), rate=rate,
            decay=together.decay if decay is None else (decay,),
        )  # fmt: skip
        expected = subject.history(alone)[-1].parameters[member.name]
        what = f"{member.name} (rate {rate.values[0]!r}, decay {alone.decay[0]!r}) after {together.steps} steps"
        require_same(found[member.name], expected, f"{what}, in a group and alone")


@check("Groups and rates", {"pynative": _DTYPES, "graph": ("float32",)})
def check_ungrouped_equals_grouped(subject: Subject) -> None:
    """No groups, one group and several groups of the same values give the same trajectory, bit for bit."""
    rate, decay = Rate((0.02,)), _decay(subject, 0.05)
    own_rate = rate if subject.capabilities.grouped_rates else None
    ungrouped = subject.plain(_A, _B, _C, rate=rate, steps=5)
    forms = {
        "one group": (Group((_A, _B, _C)),),
        "several groups with values of their own": tuple(Group((m,), own_rate, decay) for m in (_A, _B, _C)),
    }
    if subject.mode != "pynative":
        # A graph for each would take long, and one group is the case of several that has the fewest differences.
        del forms["one group"]
    expected = subject.history(ungrouped)
    for what, groups in forms.items():
        found = subject.history(replace(ungrouped, grouped=True, groups=groups))
        for step, (one, other) in enumerate(zip(found, expected, strict=True)):
            for name, value in other.parameters.items():
                require_same(one.parameters[name], value, f"{name} after step {step}, {what} and no groups")
            for name, value in other.state.items():
                if not name.startswith("learning_rate"):
                    require_same(one.state[name], value, f"{name} after step {step}, {what} and no groups")


@check("Groups and rates", {"pynative": ("float32", "bfloat16"), "graph": ("float32",)})
def check_order_params_invariant(subject: Subject) -> None:
    """`order_params` sets the order of parameters and gradients, and changes no number."""
    workload = replace(subject.workload(), steps=5)
    assert workload.order is not None
    expected = subject.history(workload)
    natural = tuple(member.name for group in workload.groups for member in group.members)
    orders = (tuple(reversed(workload.order)), natural)
    for order in orders if subject.mode == "pynative" else orders[:1]:
        other = replace(workload, order=order)
        names = tuple(place.member.name for place in other.places)
        found = subject.history(other)
        built = tuple(parameter.name for parameter in subject.trial(other).optimizer.parameters)
        require(built == names, f"with order_params {names} the optimizer's parameters are {built}")
        require_equal(found[-1], expected[-1], "after 5 steps in another order")
    if subject.mode != "pynative":
        return
    for name, value in subject.history(replace(workload, order=None))[-1].parameters.items():
        require_same(value, expected[-1].parameters[name], f"{name} after 5 steps without order_params")


@check(
    "Groups and rates",
    {"pynative": ("float32", "float64"), "graph": ("float32",)},
    requirement=lambda can: bool(can.group_options),
    needs="declared group_options",
)
def check_options_per_group(subject: Subject) -> None:
    """A group's own hyperparameters apply to its own parameters, and one that is no good is refused with the group."""
    setting = subject.settings[0]
    options = own_options(subject.spec, dict(setting))
    groups = (Group((_A, _B), options=options), Group((_C, _D)))
    together = subject.plain(_A, grouped=True, groups=groups, hyperparameters=setting, steps=5)
    require_golden(subject, together)
    if subject.mode != "pynative":
        return
    found = subject.history(together)[-1].parameters
    own = {**dict(setting), **dict(options)}
    for members, values in (((_A, _B), tuple(own.items())), ((_C, _D), setting)):
        alone = subject.history(subject.plain(*members, grouped=True, hyperparameters=values, steps=5))[-1]
        for member in members:
            what = f"{member.name} after 5 steps, in a group with hyperparameters of its own and alone"
            require_same(found[member.name], alone.parameters[member.name], what)
    for declared in subject.spec.hyperparameters:
        if declared.name in dict(options):
            _require_bad_options_refused(subject, together, declared)


def _require_bad_options_refused(subject: Subject, workload: Workload, declared: Hyperparameter) -> None:
    for wrong in bad_values(declared):
        group = replace(workload.groups[1], options=((declared.name, wrong.value),))
        bad = replace(workload, groups=(workload.groups[0], group))
        what = f"{declared.name}={wrong.value!r} ({wrong.why}) in a group"
        message = refusal(partial(subject.trial, bad), (wrong.error,), what)
        require_named(message, ("group 1", declared.name), what)


@check(
    "Groups and rates",
    {"pynative": ("float32", "float64"), "jit": ("float32",)},
    requirement=lambda can: can.weight_decay != "none",
    needs="a declared weight_decay",
)
def check_decay_filter(subject: Subject) -> None:
    """Ungrouped, decay spares parameters with beta or gamma in their names; in groups it spares none."""
    members = (
        Member("dense.weight", (5, 4)), Member("dense.bias", (9,)), Member("norm.gamma", (9,)),
        Member("norm.beta", (9,)), Member("betatron.weight", (9,)), Member("gam.ma", (9,)),
    )  # fmt: skip
    ungrouped = subject.plain(*members, decay=(0.4,), steps=5)
    require_golden(subject, ungrouped)
    if subject.mode != "pynative":
        return
    require_golden(subject, replace(ungrouped, grouped=True))
    spared = subject.history(replace(ungrouped, decay=(0.0,)))[-1].parameters
    found = subject.history(ungrouped)[-1].parameters
    if subject.capabilities.decay_filter == "names":
        require_same(found["norm.gamma"], spared["norm.gamma"], "norm.gamma with and without decay, ungrouped")
    else:
        require((found["norm.gamma"] != spared["norm.gamma"]).any(), "norm.gamma is spared, but 'all' is declared")
    require((found["dense.bias"] != spared["dense.bias"]).any(), "weight_decay does not apply to dense.bias, ungrouped")


@check(
    "Groups and rates",
    {"pynative": ("float32", "float64"), "jit": ("float32",), "graph": ("float32",)},
    requirement=lambda can: can.weight_decay != "none",
    needs="a declared weight_decay",
)
def check_dynamic_weight_decay(subject: Subject) -> None:
    """A weight decay may be a Cell, which is called with the 0-based step."""
    decays = tuple(float(value) for value in (0.5, 0.25, 0.0, 0.125, 0.0625, 0.5))
    if subject.mode == "pynative":
        require_golden(subject, subject.plain(decay=decays, steps=6))
    groups = (Group((_A,), decay=decays), Group((_B,), decay=(0.25,)), Group((_C,)))
    require_golden(subject, subject.plain(_A, grouped=True, groups=groups, decay=decays[::-1], steps=6))

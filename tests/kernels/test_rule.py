"""What a rule may say, and how it is refused when it says something else."""

from __future__ import annotations

import copy
import pickle

import pytest

from tests.kernels import rules
from tinyms_core import RuleError, math, rule
from tinyms_core.kernels.host import host_function
from tinyms_core.kernels.program import Level, analyse

FACTOR = 2.0


def program(function, **flags):
    return analyse(function, flags)


def test_a_rule_is_called_like_the_function_it_is():
    assert rules.descent(1.0, 2.0, lr=0.25) == 0.5


def test_a_rule_survives_copies_and_pickles_as_itself():
    assert pickle.loads(pickle.dumps(rules.adaptive)) is rules.adaptive
    assert copy.deepcopy(rules.adaptive) is rules.adaptive


def test_scalars_are_hoisted_and_computed_in_float64():
    found = program(rules.adaptive, beta=0.999, eps=1e-8, ahead=False)
    values = dict(zip(found.slots, host_function(found)(beta=0.999, eps=1e-8, t=1, lr=0.1), strict=False))
    assert 1 - 0.999 in values.values()
    assert all(definition.level == Level.ELEMENT for definition in found.definitions)


def test_state_that_depends_on_scalars_alone_is_one_number():
    found = program(rules.adaptive, beta=0.5, eps=1e-8, ahead=False)
    assert found.tensors == ("w", "g", "m", "v")
    assert host_function(found)(beta=0.5, eps=1e-8, t=3, lr=0.1)[-1] == 0.125


def test_a_flag_is_decided_when_the_rule_is_analysed():
    plain, ahead = (program(rules.adaptive, beta=0.5, eps=1e-8, ahead=value) for value in (False, True))
    assert len(ahead.slots) >= len(plain.slots)
    assert plain.definitions != ahead.definitions


def test_reductions_split_the_loop():
    assert program(rules.descent).stages == 1
    assert program(rules.layerwise, beta=0.9).stages == 2
    assert program(rules.clipped, limit=1.0).stages == 3


def test_the_same_norm_is_taken_once():
    @rule()
    def twice(w, g, lr):
        return w - lr * g * math.norm(g) / (math.norm(g) + 1)

    assert len(program(twice).reductions) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("g, w", "first two arguments must be 'w'"),
        ("w", "first two arguments"),
        ("w, g, *rest", "plain names"),
        ("w, g, lr=1", None),
    ],
)
def test_a_rule_begins_with_parameter_and_gradient(arguments, message):
    namespace: dict = {}
    exec(f"def broken({arguments}): return w", namespace)
    if message is None:
        assert rule()(namespace["broken"]).scalars == ("lr",)
    else:
        with pytest.raises(RuleError, match=message):
            rule()(namespace["broken"])


def test_state_follows_the_gradient():
    with pytest.raises(RuleError, match="must follow 'g'"):

        @rule(state=("m",))
        def broken(w, g, lr, m):
            return w, m


def test_state_is_a_sequence_of_names():
    with pytest.raises(RuleError, match="sequence of names"):
        rule(state="m")


def test_source_that_cannot_be_read_is_said_so():
    namespace: dict = {"rule": rule}
    exec("@rule()\ndef typed(w, g, lr): return w - lr * g", namespace)
    with pytest.raises(RuleError, match="write the rule in a file"):
        program(namespace["typed"])


@rule()
def loops(w, g, lr):
    for _ in range(3):
        w = w - lr * g
    return w


@rule()
def calls_something(w, g, lr):
    return w - lr * str(g)


@rule()
def branches_on_elements(w, g, lr):
    if g > 0:
        w = w - lr
    return w


@rule()
def branches_on_the_step(w, g, lr, t):
    if t > 10:
        w = w - lr * g
    return w


@rule()
def returns_nothing(w, g, lr):
    w = w - lr * g


@rule(state=("m",))
def forgets_the_state(w, g, m, lr):
    return w - lr * g


@rule()
def unknown_name(w, g, lr):
    return w - lr * missing  # noqa: F821


@rule()
def text(w, g, lr):
    return w - "lr"


@rule(state=("m",))
def needs_the_past(w, g, m, lr):
    fresh = m + g
    return w - lr * m / math.norm(fresh), fresh


@rule(state=("total",))
def state_of_one_group(w, g, total, lr):
    return w - lr * g, lr * 2


@rule()
def norm_of_a_scalar(w, g, lr):
    return w - math.norm(lr) * g


@rule()
def chained(w, g, lr):
    return math.where(0 < g < 1, w, w - lr)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (loops, "only assignments"),
        (calls_something, "not a call that every device knows.*norm.*sqrt"),
        (branches_on_elements, "'g'.*math.where"),
        (branches_on_the_step, "'t'.*math.where"),
        (returns_nothing, "returns nothing"),
        (forgets_the_state, "return w, m"),
        (unknown_name, "'missing' is neither"),
        (text, "constant 'lr'"),
        (needs_the_past, "'m' from before the step"),
        (state_of_one_group, "'lr'"),
        (norm_of_a_scalar, "one number"),
        (chained, "compares two numbers"),
    ],
)
def test_what_no_device_could_compute_is_refused_by_line(broken, message):
    with pytest.raises(RuleError, match=message) as caught:
        program(broken)
    assert "test_rule.py, line" in str(caught.value)
    assert repr(broken.name) in str(caught.value)


@rule()
def returns_early(w, g, lr, fast):
    if fast:
        return w - lr
    return w - lr * g


def test_a_return_in_a_decided_branch_ends_the_rule():
    assert len(program(returns_early, fast=True).definitions) == 1
    assert len(program(returns_early, fast=False).definitions) == 1


@rule()
def chooses(w, g, lr, fast):
    return w - (lr if fast else lr * g)


def test_a_conditional_expression_on_a_flag_is_decided_too():
    assert "where" not in repr([d.expression for d in program(chooses, fast=True).definitions])


@rule()
def uses_module_constant(w, g, lr):
    return w - FACTOR * lr * g


def test_numbers_of_the_module_are_constants():
    found = program(uses_module_constant)
    assert host_function(found)(lr=0.5) == (1.0,)


@rule(state=("m", "extra"))
def sometimes_extra(w, g, m, extra, lr, centered):
    m = m + g
    if centered:
        extra = extra + g
        return w - lr * (m - extra), m, extra
    return w - lr * m, m, extra


def test_state_that_the_flags_leave_untouched_is_not_kept():
    assert program(sometimes_extra, centered=False).state == ("m",)
    assert program(sometimes_extra, centered=True).state == ("m", "extra")

"""What the kit does with arguments that go with a flag, and with those that are tuples of floats."""

import pytest

from tinyms_core import Hyperparameter, OptimizerSpec
from tinyms_core.conformance.combinations import fitting, on_side, sides, takes_rate, with_flag_for
from tinyms_core.conformance.values import bad_values, inside, other_value
from tinyms_core.conformance.workload import NO_RATE, Group, Member, Rate, Workload

FLAG = Hyperparameter("automatic", True, kind="flag")
WARM = Hyperparameter("warm", False, kind="flag", only_with="automatic")
SPEC = OptimizerSpec(
    "o",
    "m:C",
    hyperparameters=(Hyperparameter("learning_rate", None, kind="rate", only_with="not automatic"), FLAG, WARM),
)
PLAIN = OptimizerSpec("p", "m:C", hyperparameters=(Hyperparameter("learning_rate", 0.1, kind="rate"),))


def test_there_is_a_side_with_a_rate_and_one_without():
    assert (sides(SPEC), sides(PLAIN)) == ((True, False), (True,))
    values = {"automatic": True, "warm": True}
    assert on_side(SPEC, True, values) == {"automatic": False, "warm": False}
    assert on_side(SPEC, False, values) == values
    assert on_side(PLAIN, True, {}) == {}


def test_a_workload_loses_what_its_flags_rule_out():
    rate = Rate((0.1,))
    groups = (Group((Member("w", (2,)),), rate),)
    with_rate = Workload(groups, rate=rate, hyperparameters=(("automatic", False), ("warm", False)))
    assert fitting(SPEC, with_rate) == with_rate
    without = fitting(SPEC, with_rate.with_hyperparameters({"automatic": True, "warm": True}))
    assert (without.rate, without.groups[0].rate) == (NO_RATE, None)
    assert without.places[0].rate.at(0, "float32") is None
    assert dict(fitting(SPEC, with_rate.with_hyperparameters({"warm": True})).hyperparameters)["warm"] is False
    assert not takes_rate(SPEC, {})
    assert with_flag_for(WARM, {"automatic": False}) == {"automatic": True}


def test_floats_have_another_value_and_bad_ones():
    declared = Hyperparameter("bounds", (1e-30, 0.99), "(0, 1)", kind="floats")
    other = other_value(declared)
    assert all(inside(value, declared) for value in other)
    assert all(abs(one - default) > 0.01 for one, default in zip(other, declared.default, strict=True))
    bad = [(wrong.value, wrong.error) for wrong in bad_values(declared)]
    for value, error in (((1e-30,), ValueError), ((1e-30, 1), TypeError), ((0.0, 0.99), ValueError), (None, TypeError)):
        assert (value, error) in bad


@pytest.mark.parametrize("spec", [SPEC, PLAIN], ids=lambda spec: spec.name)
def test_a_rate_is_there_where_nothing_rules_it_out(spec):
    assert takes_rate(spec, {"automatic": False} if spec is SPEC else {})

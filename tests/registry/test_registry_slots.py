"""State as data: shapes, names, dtypes and bytes for a parameter, and arguments that go with a flag."""

import pytest

from tinyms_core import Hyperparameter, InvalidSpecError, OptimizerSpec, StateSlot


@pytest.mark.parametrize(
    ("kind", "matrix", "batch", "vector", "number"),
    [
        ("like", (4, 5), (3, 4, 5), (7,), ()),
        ("rows", (4,), (3, 4), (1,), (1,)),
        ("columns", (5,), (3, 5), (1,), (1,)),
        ("unfactored", (1,), (1,), (7,), ()),
        ("scalar", (), (), (), ()),
        ("singleton", (1,), (1,), (1,), (1,)),
    ],
)
def test_a_slot_knows_its_shape_for_every_parameter(kind, matrix, batch, vector, number):
    slot = StateSlot("s", "s", shape=kind)
    found = [slot.shape_for(shape) for shape in ((4, 5), (3, 4, 5), (7,), ())]
    assert found == [matrix, batch, vector, number]


@pytest.mark.parametrize(("flag", "right"), [(True, (1,)), (False, (4, 5)), (None, (1,))])
def test_a_slot_has_its_shape_with_its_flag_and_else_the_parameters(flag, right):
    slot = StateSlot("s", "s", shape="unfactored", shaped_with="matrices")
    values = {} if flag is None else {"matrices": flag}
    assert slot.shape_for((4, 5), values) == right
    assert slot.shape_for((7,), values) == (7,)
    assert slot.applies_to((4, 5), values) == (flag is False)
    assert slot.bytes_for((4, 5), "float32", values) == (80 if flag is False else 4)


def test_names_in_checkpoints():
    assert StateSlot("s", "sizes").parameter_name("W") == "sizes.W"
    assert StateSlot("s", "sizes", separator="_").parameter_name("W") == "sizes_W"
    assert StateSlot("s", "sizes", shape="scalar").parameter_name("W") == "sizes"


@pytest.mark.parametrize(
    ("parameter", "short", "shape", "right"),
    [
        ("float32", False, (7,), "float32"),
        ("bfloat16", False, (7,), "float32"),
        ("float64", False, (7,), "float64"),
        ("float64", True, (7,), "float16"),
        ("float64", True, (7, 2), "float64"),
    ],
)
def test_state_is_halved_by_its_flag_where_it_applies(parameter, short, shape, right):
    slot = StateSlot("s", "s", shape="unfactored", halved="short")
    assert slot.dtype_for(shape, parameter, {"short": short}) == right


@pytest.mark.parametrize(("value", "kept"), [(None, False), (False, False), (True, True), (0.5, True), (0.0, True)])
def test_state_is_kept_where_its_argument_is_given(value, kept):
    slot = StateSlot("s", "s", given="momentum")
    assert slot.kept_with({"momentum": value}) == kept
    assert slot.bytes_for((3,), "float32", {"momentum": value}) == (12 if kept else 0)


@pytest.mark.parametrize("field", ["given", "halved", "shaped_with"])
def test_a_slot_that_names_no_argument_is_refused(field):
    with pytest.raises(InvalidSpecError, match=rf"StateSlot\.{field} of 's'.*'momentun'"):
        OptimizerSpec("o", "m:C", state=(StateSlot("s", "s", **{field: "momentun"}),))


def test_a_separator_is_a_dot_or_an_underscore():
    with pytest.raises(InvalidSpecError, match=r"StateSlot\.separator must be one of '\.', '_'"):
        StateSlot("s", "s", separator="-")


def test_an_argument_goes_with_a_flag():
    rate = Hyperparameter("learning_rate", None, kind="rate", only_with="not automatic")
    warm = Hyperparameter("warm", False, kind="flag", only_with="automatic")
    assert [rate.goes_with({"automatic": value}) for value in (False, True)] == [True, False]
    assert [warm.goes_with({"automatic": value}) for value in (False, True)] == [False, True]
    with pytest.raises(InvalidSpecError, match=r"Hyperparameter\.only_with of 'learning_rate'.*'automatic'"):
        OptimizerSpec("o", "m:C", hyperparameters=(rate,))


@pytest.mark.parametrize(
    ("default", "message"),
    [
        (0.5, "must be a tuple of floats"),
        ((), "must be a tuple of floats"),
        ((0.5, 1), r"\[1\] must be a finite float"),
        ((0.5, -0.5), r"must be in \[0, inf\)"),
    ],
)
def test_a_default_of_floats_is_checked(default, message):
    with pytest.raises(InvalidSpecError, match=message):
        Hyperparameter("bounds", default, "[0, inf)", kind="floats")

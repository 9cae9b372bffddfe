"""The kit itself: what it runs, what it reports, and that its own arithmetic is right."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import mindspore
import numpy as np
import pytest

from tinyms_core import Capabilities, Hyperparameter
from tinyms_core.conformance import (
    Check,
    CheckFailure,
    CheckResult,
    OptimizerConformance,
    check,
    from_json,
    list_checks,
    report_table,
    run_checks,
    summary_line,
    to_json,
    write_json,
)
from tinyms_core.conformance.catalog import ONCE, SUBJECTS, cases_for
from tinyms_core.conformance.compare import require_close, require_rounded, require_same
from tinyms_core.conformance.documentation import documented_arguments
from tinyms_core.conformance.oracle import Oracle
from tinyms_core.conformance.rounding import rounded, unit
from tinyms_core.conformance.subject import Subject
from tinyms_core.conformance.values import bad_values, inside, other_value
from tinyms_core.conformance.workload import Group, Member, Rate, Workload
from tinyms_core.examples import SignDescent
from tinyms_core.registry import api

pytest_plugins = ["pytester"]

# Every check that the contract names; whoever takes one away has to take it away here.
CONTRACT = [
    "name_resolves",
    "metadata_matches_class",
    "metadata_matches_signature",
    "docstring_matches_signature",
    "signature_stable",
    "listing_is_lazy",
    "config_roundtrip",
    "deepcopy_and_pickle",
    "unknown_keyword_raises",
    "construction_has_no_side_effects",
    "bad_parameters_raise",
    "bad_hyperparameters_raise",
    "bad_learning_rate_raises",
    "bad_weight_decay_raises",
    "bad_loss_scale_raises",
    "number_types_accepted",
    "generator_groups_equal_list",
    "declared_refusals",
    "declared_acceptances",
    "loss_scale_refused",
    "undeclared_dtypes_refused",
    "group_rate",
    "group_decay",
    "ungrouped_equals_grouped",
    "options_per_group",
    "order_params_invariant",
    "constant_schedule_equals_float",
    "rate_forms",
    "rate_list_exhausted_is_clean",
    "live_rate_change",
    "dynamic_weight_decay",
    "decay_filter",
    "step_advances_once",
    "get_lr_has_no_side_effect",
    "get_lr_parameter",
    "grouped_rates_refused",
    "dynamic_rates_refused",
    "weight_decay_refused",
    "golden_trajectory",
    "golden_state",
    "kernel_parity",
    "peer_trajectories",
    "loss_scale_invariance",
    "centralization_effective_or_refused",
    "preprocessing_methods",
    "tail_shapes",
    "noncontiguous",
    "dtype_preserved",
    "state_dtype_stable",
    "mixed_dtype",
    "thread_count_invariant",
    "zero_norm_finite",
    "zero_gradient",
    "extreme_values",
    "nonfinite_policy",
    "options_have_effect",
    "sparse_refused",
    "sparse_equals_dense",
    "only_touched_rows",
    "duplicates_summed",
    "decay_once_per_row",
    "index_out_of_range_is_clean",
    "bad_rows_are_clean",
    "empty_indices",
    "row_forms_agree",
    "sparse_step_is_small",
    "graph_equals_eager",
    "jit_equals_eager",
    "no_recompile",
    "model_train",
    "bad_gradients_leave_state_untouched",
    "survives_rebinding",
    "pending_work_not_overtaken",
    "frozen_untouched",
    "missing_kernel_named",
    "target_switch",
    "no_parameter_sized_temporaries",
    "wrapper_composes",
    "loss_scale_wrapper_composes",
    "undeclared_modes_refused",
    "checkpoint_resume",
    "checkpoint_interchange",
    "state_names_unique",
    "state_size_declared",
    "load_keeps_source",
    "converges",
    "wraps_optimizers_alone",
    "wrapped_optimizer_unchanged",
    "wrapped_step_advances_once",
    "refused_parameters_ordinary",
    "wraps_decoupled_decay",
    "wraps_classic_optimizers",
    "wraps_mindspore_optimizers",
    "wrapped_checkpoint",
    "network_signature_matches",
    "network_config_roundtrip",
    "network_unknown_keyword_raises",
    "network_wanted",
    "network_bad_hyperparameters_raise",
    "network_declared_refusals",
    "network_declared_acceptances",
    "network_left_as_it_is",
    "network_rates_by_step",
    "network_step_advances_once",
    "operators_follow_oracle",
    "network_loss_scale_invariance",
    "network_overflow_forgotten",
    "network_converges",
    "network_graph_equals_eager",
    "network_jit_equals_eager",
    "network_model_train",
    "network_bad_gradients_leave_state_untouched",
    "network_frozen_untouched",
    "network_survives_rebinding",
    "network_checkpoint_resume",
    "network_state_size_declared",
    "network_two_at_once",
    "network_gradients_of_its_own",
]


def _reference(w: Any, g: Any, state: dict[str, Any], *, lr: float, t: int, weight_decay: float) -> Any:
    return w - lr * np.sign(g), {}


def _seeing(w: Any, g: Any, state: dict[str, Any], *, lr: float, t: int, weight_decay: float) -> Any:
    """A reference that lets through what it is given, so that a test can see it."""
    return np.array([lr, t, weight_decay, *np.ravel(g)]), {}


SOUND = replace(SignDescent.spec, oracle=_reference)


class WrongWay(SignDescent):
    """Sign descent that promises another kind of decay than it has."""

    spec = replace(SOUND, name="wrong_way", implementation=f"{__name__}:WrongWay")

    @property
    def decays_gradient(self) -> bool:
        return False


WRONG = replace(WrongWay.spec, implementation=WrongWay)


# -- laziness ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["tinyms_core.conformance", "tinyms_core.conformance.pytest_plugin"])
def test_importing_is_light(module: str) -> None:
    heavy = "('mindspore', 'numba', 'numpy')"
    program = f"import sys, {module}; sys.exit(str([m for m in {heavy} if m in sys.modules] or ''))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


# -- the catalog ------------------------------------------------------------------------------------


def test_the_checks_are_those_of_the_contract() -> None:
    assert sorted(entry.name for entry in list_checks()) == sorted(CONTRACT)


@pytest.mark.parametrize("entry", list_checks(), ids=lambda entry: entry.name)
def test_check_describes_itself(entry: Check) -> None:
    assert entry.subject in SUBJECTS
    assert len(entry.summary) > 15
    assert "\n" not in entry.summary
    assert entry.since == "1.0"
    assert entry.modes
    assert entry.dtypes
    assert json.loads(json.dumps(entry.to_dict()))["name"] == entry.name


def test_checks_are_listed_by_subject() -> None:
    places = [SUBJECTS.index(entry.subject) for entry in list_checks()]
    assert places == sorted(places)


def test_unknown_check_is_an_error() -> None:
    with pytest.raises(ValueError, match="golden_trajectoryy"):
        list_checks(["golden_trajectoryy"])


def test_a_str_for_the_checks_is_an_error() -> None:
    with pytest.raises(TypeError, match="sequence"):
        list_checks("golden_state")


@pytest.mark.parametrize(
    ("subject", "name", "more"),
    [
        ("Numbers", "golden", {}),
        ("Nothing", "check_nothing", {}),
        ("Numbers", "check_nothing", {"runs": {"eager": ("float32",)}}),
        ("Numbers", "check_nothing", {"requirement": lambda can: True}),
        ("Numbers", "check_golden_state", {}),
    ],
)
def test_what_is_no_check_is_refused(subject: str, name: str, more: dict[str, Any]) -> None:
    def function(subject: Subject) -> None:
        """It says what it requires."""

    function.__name__ = name
    list_checks()
    with pytest.raises(ValueError, match="check"):
        check(subject, **{"runs": ONCE, **more})(function)


def test_a_check_that_is_ruled_out_is_skipped_with_the_reason() -> None:
    cases = cases_for(Capabilities(loss_scale=False), ["loss_scale_*"])
    assert {case.check.name: bool(case.skip) for case in cases} == {
        "loss_scale_refused": False,
        "loss_scale_invariance": True,
        "loss_scale_wrapper_composes": True,
    }
    assert next(case.skip for case in cases if case.skip) == "it is for optimizers with a declared loss_scale"


def test_a_check_without_a_declared_mode_is_skipped_with_the_reason() -> None:
    (case,) = cases_for(Capabilities(modes=("pynative",)), ["jit_equals_eager"])
    assert case.skip == "the optimizer declares none of the modes and dtypes jit/float32"


def test_every_check_is_there_whatever_is_declared() -> None:
    least = Capabilities("none", False, False, "none", False, False, ("float64",), ("graph",))
    assert {case.check.name for case in cases_for(least)} == set(CONTRACT)


def test_modes_and_dtypes_select() -> None:
    cases = cases_for(Capabilities(), ["golden_state", "name_resolves"], ["graph"], ["float64"])
    assert [case.identifier for case in cases] == [
        "identity-name_resolves-any-any",
        "numbers-golden_state-graph-float64",
    ]


@pytest.mark.parametrize("more", [{"modes": ["eager"]}, {"dtypes": ["int8"]}, {"modes": "graph"}])
def test_unknown_modes_and_dtypes_are_errors(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(more))):
        cases_for(Capabilities(), **more)


# -- running ----------------------------------------------------------------------------------------


def test_a_sound_optimizer_passes() -> None:
    results = run_checks(SOUND, checks=["golden_*", "group_decay", "config_roundtrip"], modes=["pynative"])
    assert {result.status for result in results} == {"passed"}
    assert {result.reason for result in results} == {""}


def test_a_wrong_optimizer_fails_with_the_element() -> None:
    (result,) = run_checks(WRONG, checks=["golden_trajectory"], modes=["pynative"], dtypes=["float32"])
    assert result.status == "failed"
    assert result.failed
    assert "elements differ; the worst is [" in result.reason


def test_without_an_oracle_golden_checks_say_what_to_declare() -> None:
    (result,) = run_checks(SignDescent.spec, checks=["golden_state"], modes=["pynative"], dtypes=["float32"])
    assert result.status == "failed"
    assert "OptimizerSpec.oracle" in result.reason
    assert "new_state" in result.reason


def test_an_error_of_the_optimizer_is_a_failure_with_its_name() -> None:
    spec = replace(SOUND, implementation="tinyms_core.examples:NoSuchClass")
    (result,) = run_checks(spec, checks=["golden_state"], modes=["pynative"], dtypes=["float32"])
    assert result.status == "failed"
    assert "AttributeError" in result.reason


@pytest.mark.parametrize("key", ["golden_trajectory", "golden_*", "golden_trajectory-pynative-*"])
def test_an_expected_failure_is_one_with_both_reasons(key: str) -> None:
    expected = {key: "it is known"}
    (result,) = run_checks(
        WRONG, checks=["golden_trajectory"], modes=["pynative"], dtypes=["float32"], expected_failures=expected
    )
    assert result.status == "expected_failure"
    assert not result.failed
    assert result.reason.startswith("it is known (")


def test_an_unexpected_pass_is_a_failure() -> None:
    (result,) = run_checks(SOUND, checks=["unknown_keyword_raises"], expected_failures={"unknown_keyword_raises": "no"})
    assert result.status == "unexpected_pass"
    assert result.failed


@pytest.mark.parametrize("expected", [{"no_such_check": "why"}, {"golden_state": ""}, {"golden_state-eager-*": "why"}])
def test_expected_failures_must_exist_and_say_why(expected: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(expected)).replace("*", r"\*")):
        run_checks(SOUND, checks=["name_resolves"], expected_failures=expected)


def test_progress_sees_every_result() -> None:
    seen: list[CheckResult] = []
    results = run_checks(SOUND, checks=["unknown_keyword_raises", "bad_parameters_raise"], progress=seen.append)
    assert seen == results


def test_a_registered_name_will_do() -> None:
    (result,) = run_checks("adam", checks=["docstring_matches_signature"])
    assert (result.optimizer, result.status) == ("adam", "passed")


@pytest.fixture
def _restored() -> Iterator[None]:
    before = mindspore.get_context("mode")
    yield
    mindspore.set_context(mode=before)


@pytest.mark.usefixtures("_restored")
@pytest.mark.parametrize("mode", [mindspore.GRAPH_MODE, mindspore.PYNATIVE_MODE])
def test_the_mode_is_restored(mode: int) -> None:
    mindspore.set_context(mode=mode)
    chosen = ["step_advances_once", "golden_trajectory"]
    run_checks(WRONG, checks=chosen, modes=["pynative", "graph"], dtypes=["float32"])
    assert mindspore.get_context("mode") == mode


def test_what_is_registered_for_a_check_is_unregistered() -> None:
    before = api.list_optimizers()
    (result,) = run_checks(SOUND, checks=["name_resolves"])
    assert result.status == "passed"
    assert api.list_optimizers() == before


# -- reports ----------------------------------------------------------------------------------------


def _result(status: Any, name: str = "golden_state") -> CheckResult:
    reason = "" if status == "passed" else f"because of {status}"
    return CheckResult(name, "Numbers", "adam", "CPU", "graph", "float32", status, reason, 0.5)


RESULTS = [
    _result(status) for status in ("passed", "skipped", "expected_failure", "failed", "unexpected_pass", "passed")
]


def test_json_round_trip(tmp_path: Any) -> None:
    path = tmp_path / "report.json"
    write_json(RESULTS, path)
    assert from_json(path.read_text(encoding="utf-8")) == RESULTS
    data = json.loads(path.read_text(encoding="utf-8"))
    assert data["counts"] == {"failed": 1, "unexpected_pass": 1, "expected_failure": 1, "skipped": 1, "passed": 2}
    assert data["optimizers"] == ["adam"]
    assert data["contract"] == "1.0"
    assert set(data["versions"]) == {"tinyms-core", "mindspore", "numba", "numpy"}


def test_json_of_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format"):
        from_json(json.dumps({**to_json(RESULTS), "format": 0}))


def test_the_table_has_failures_first_with_their_reasons() -> None:
    table = report_table(RESULTS)
    columns = [[str(cell) for cell in column.cells] for column in table.columns]
    assert columns[0] == ["failed", "unexpectedly passed", "failed as expected", "skipped", "passed"]
    assert columns[4][0] == "because of failed"
    assert columns[1][-1] == "2 of Numbers"
    assert len(report_table(RESULTS, verbose=True).columns[0]._cells) == 6


def test_the_summary_line() -> None:
    assert summary_line([]) == "no optimizer: no checks in 0.0 s; nothing was checked"
    assert summary_line(RESULTS[:1]) == "adam: 1 passed in 0.5 s; it conforms"
    assert summary_line(RESULTS).endswith("1 skipped, 2 passed in 3.0 s; it does not conform")


# -- arithmetic -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_rounding_is_numpys(dtype: str) -> None:
    generator = np.random.default_rng(0)
    values = generator.standard_normal(2000) * 10.0 ** generator.integers(-12, 6, 2000)
    values = np.r_[values, 0.0, -0.0, np.inf, -np.inf, 65504.0, 65519.9, 65520.0, 1e39, 6e-8, 2.9e-8, 3.0e-8]
    with np.errstate(over="ignore"):
        assert np.array_equal(rounded(values, dtype), values.astype(dtype).astype(np.float64))


def test_rounding_to_bfloat16_is_mindspores() -> None:
    values = np.random.default_rng(0).standard_normal(2000).astype(np.float32)
    tensor = mindspore.Tensor(values).astype(mindspore.bfloat16).asnumpy().astype(np.float64)
    assert np.array_equal(rounded(values, "bfloat16"), tensor)


@pytest.mark.parametrize(("dtype", "right"), [("float32", 2.0**-23), ("float16", 2.0**-10), ("bfloat16", 2.0**-7)])
def test_unit_in_the_last_place(dtype: str, right: float) -> None:
    assert unit([1.0, 1.5, -1.0, 2.0, 0.75], dtype).tolist() == [right, right, right, 2 * right, right / 2]


def test_closeness_is_elementwise_and_relative_to_the_tensor() -> None:
    expected = np.array([1.0, 1e-9, 0.0])
    require_close(expected + np.array([1e-6, 1e-6, -1e-6]), expected, "float32", "x")
    with pytest.raises(CheckFailure, match=r"x: 1 of 3 elements differ; the worst is \[1\]"):
        require_close(expected + np.array([0.0, 3e-6, 0.0]), expected, "float32", "x")


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_closeness_sees_what_is_no_number(wrong: float) -> None:
    with pytest.raises(CheckFailure):
        require_close([wrong, 1.0], [1.0, 1.0], "float32", "x")
    with pytest.raises(CheckFailure):
        require_close([1.0, 1.0], [wrong, 1.0], "float32", "x")
    require_close([wrong, 1.0], [wrong, 1.0], "float32", "x")


def test_closeness_sees_another_shape() -> None:
    with pytest.raises(CheckFailure, match="shape"):
        require_close(np.ones(3), np.ones((3, 1)), "float32", "x")
    with pytest.raises(CheckFailure, match="shape"):
        require_same(1.0, np.ones(1), "x")


def test_truncation_is_not_rounding() -> None:
    exact = 1 + np.random.default_rng(0).random(400)
    require_rounded(rounded(exact, "bfloat16"), rounded(exact, "bfloat16"), "bfloat16", "x")
    truncated = np.floor(exact * 128) / 128
    with pytest.raises(CheckFailure, match="nearest"):
        require_rounded(truncated, rounded(exact, "bfloat16"), "bfloat16", "x")
    with pytest.raises(CheckFailure, match="more than one unit"):
        require_rounded(rounded(exact, "bfloat16") + 2 / 64, rounded(exact, "bfloat16"), "bfloat16", "x")


@pytest.mark.parametrize(
    "declared",
    [
        Hyperparameter("a", 0.9, "(0, 1)"),
        Hyperparameter("a", 0.999, "(0, 1)"),
        Hyperparameter("a", 1e-8, "(0, inf)"),
        Hyperparameter("a", 0.0, "[0, inf)"),
        Hyperparameter("a", -0.5, "(-inf, 0]"),
        Hyperparameter("a", 0.0, "[0, 0]"),
        Hyperparameter("a", interval="[0, inf)"),
        Hyperparameter("a", interval="(-3, -1]"),
        Hyperparameter("a", 32, "[1, inf)", kind="int"),
        Hyperparameter("a", 1.0, "(0, inf)", kind="number"),
    ],
    ids=lambda declared: f"{declared.interval}-{declared.default}",
)
def test_values_for_tests_are_inside_and_bad_ones_are_not(declared: Hyperparameter) -> None:
    value = other_value(declared)
    assert inside(value, declared)
    assert value != declared.default or declared.interval == "[0, 0]"
    for bad in bad_values(declared):
        number = isinstance(bad.value, int | float) and not isinstance(bad.value, bool)
        assert bad.error is TypeError or not number or not inside(bad.value, declared)
    assert len({repr(bad.value) for bad in bad_values(declared)}) >= 4


def test_flags_are_flipped() -> None:
    assert other_value(Hyperparameter("a", False, kind="flag")) is True


def test_documented_arguments() -> None:
    text = (
        "A.\n\nArgs:\n    size (int): how large,\n        in total: all.\n    name: what.\n\nReturns:\n    it: all.\n"
    )
    assert documented_arguments(text) == {"size": "how large, in total: all.", "name": "what."}
    assert documented_arguments("A thing.") == {}


def _seen(workload: Workload, steps: int, **changes: Any) -> list[float]:
    spec = replace(SOUND, oracle=_seeing, **changes)
    oracle = Oracle(spec, workload)
    start = {name: value.copy() for name, value in oracle.parameters.items()}
    for _ in range(steps):
        oracle.parameters.update({name: value.copy() for name, value in start.items()})
        oracle.step({"w": np.arange(6.0).reshape(2, 1, 3)})
    return [float(value) for value in oracle.parameters["w"]]


def test_the_oracle_decays_then_centralizes_then_scales() -> None:
    member = Member("w", (2, 1, 3))
    workload = Workload((Group((member,), decay=(0.5,), centralize=True),), loss_scale=4.0, rate=Rate((0.25,)))
    w = workload.initial()["w"]
    decayed = np.arange(6.0).reshape(2, 1, 3) + 4.0 * 0.5 * w
    right = (decayed - decayed.mean(axis=(1, 2), keepdims=True)) / 4.0
    seen = _seen(workload, 1)
    assert seen[:3] == [0.25, 1.0, 0.0]
    assert np.allclose(seen[3:], right.ravel(), rtol=1e-12)


def test_the_oracle_leaves_decay_to_an_update_that_has_its_own() -> None:
    workload = Workload((Group((Member("w", (2, 1, 3)),), decay=(0.5, 0.25)),), loss_scale=4.0)
    seen = _seen(workload, 2, capabilities=Capabilities(weight_decay="update", loss_scale=False))
    assert seen == [float(np.float32(0.01)), 2.0, 0.25, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize(
    ("rate", "dtype", "right"),
    [
        (Rate((0.1,)), "float32", float(np.float32(0.1))),
        (Rate((0.1,)), "float64", 0.1),
        (Rate((0.1,), "tensor"), "float64", float(np.float32(0.1))),
        (Rate((0.3, 0.1), "schedule"), "float64", float(np.float32(0.1))),
        (Rate((0.3, 0.1), "list"), "float64", 0.1),
        (Rate((0.3, 0.1), "list"), "bfloat16", float(np.float32(0.1))),
    ],
)
def test_rates_are_rounded_as_they_are_held(rate: Rate, dtype: str, right: float) -> None:
    assert rate.at(1, dtype) == right


def test_the_name_filter_is_for_ungrouped_parameters() -> None:
    members = (Member("w", (2,)), Member("norm.gamma", (2,)), Member("x.beta1", (2,)))
    workload = Workload((Group(members),), grouped=False, decay=(0.5,))
    assert [place.decay for place in workload.places] == [(0.5,), (0.0,), (0.0,)]
    assert [place.decay for place in replace(workload, grouped=True).places] == [(0.5,)] * 3


def test_numbers_depend_on_neither_groups_nor_order() -> None:
    members = (Member("a", (3, 4)), Member("b", (9,)))
    together = Workload((Group(members),))
    apart = Workload(tuple(Group((member,)) for member in members[::-1]))
    for name, value in together.gradients(3).items():
        assert np.array_equal(apart.gradients(3)[name], value)
        assert not np.array_equal(together.gradients(4)[name], value)


# -- pytest -----------------------------------------------------------------------------------------


def test_a_class_without_an_optimizer_says_what_to_set() -> None:
    class Nothing(OptimizerConformance):
        pass

    with pytest.raises(TypeError, match="Nothing: set 'optimizer'"):
        Nothing.specification()


def test_results_are_kept_for_each_class() -> None:
    class One(OptimizerConformance):
        optimizer = SOUND

    class Other(OptimizerConformance):
        optimizer = SOUND

    assert One.results == []
    assert One.results is not Other.results


def test_a_number_of_results_may_be_required() -> None:
    class Counted(OptimizerConformance):
        optimizer = SOUND

    (result,) = run_checks(SOUND, checks=["unknown_keyword_raises"])
    cases = len(cases_for(SOUND.capabilities))
    Counted.results.extend([result] * (cases - 1))
    with pytest.raises(pytest.skip.Exception, match="only a selection of the checks ran"):
        Counted.require_counts(passed=cases)
    Counted.results.append(result)
    Counted.require_counts(passed=cases)
    with pytest.raises(CheckFailure, match=f"results by status are {{'passed': {cases}}}, expected"):
        Counted.require_counts(passed=cases - 1, skipped=1)


PLUGIN_TEST = """
from tinyms_core.conformance import OptimizerConformance
from tinyms_core.examples import SignDescent

class TestSignDescent(OptimizerConformance):
    optimizer = SignDescent.spec
    expected_failures = {"golden_state": "it has no oracle", "unknown_keyword_raises": "it does not fail"}
"""


def test_the_class_makes_a_test_for_each_case(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(PLUGIN_TEST)
    chosen = "(golden_state and pynative and float32) or construction-unknown or loss_scale_refused or rates-get_lr_par"
    result = pytester.runpytest_subprocess("-k", chosen, "-v", "-rA")
    result.assert_outcomes(passed=1, failed=1, skipped=1, xfailed=1)
    result.stdout.fnmatch_lines_random(
        [
            "*XFAIL*test_conformance?numbers-golden_state-pynative-float32?*it has no oracle*",
            "*FAILED*construction-unknown_keyword_raises-any-any*",
            "*PASSED*groups_and_rates-get_lr_parameter-pynative-float32*",
            "*SKIP*it is for optimizers with no declared loss_scale*",
        ]
    )


def test_the_option_needs_no_class(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_other():\n    assert False\n")
    result = pytester.runpytest_subprocess("--tinyms-optimizer", "adam", "-k", "documen or docstring", "-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*adam?identity-docstring_matches_signature-any-any? PASSED*"])


def test_the_option_refuses_an_unknown_name(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("--tinyms-optimizer", "adamm")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*adamm*"])

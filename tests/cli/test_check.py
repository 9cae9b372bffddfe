"""`check`, with checks that are stubs."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from tinyms_core import conformance, list_optimizers
from tinyms_core.conformance import CheckResult, list_checks
from tinyms_core.examples import SignDescent
from tinyms_core.registry import OptimizerRegistry


def _result(status: str) -> CheckResult:
    reason = "" if status == "passed" else "because"
    return CheckResult("golden_state", "Numbers", "adam", "CPU", "graph", "float32", status, reason, 0.1)  # type: ignore[arg-type]


@pytest.fixture
def stub(monkeypatch):
    """Let `run_checks` give results with these statuses, and remember what it was asked."""
    asked: dict[str, Any] = {}

    def install(*statuses: str) -> dict[str, Any]:
        def run_checks(optimizer: str, *, progress: Any, **named: Any) -> list[CheckResult]:
            asked.update(named, optimizer=optimizer)
            results = [_result(status) for status in statuses]
            for result in results:
                progress(result)
            return results

        monkeypatch.setattr(conformance, "run_checks", run_checks)
        return asked

    return install


@pytest.mark.parametrize(
    ("statuses", "exit_code"),
    [
        (["passed", "skipped"], 0),
        (["passed", "expected_failure"], 0),
        (["passed", "failed"], 1),
        (["unexpected_pass"], 1),
    ],
)
def test_the_exit_status_says_whether_a_check_failed(run, stub, statuses, exit_code):
    stub(*statuses)
    result = run("check", "adam")
    assert result.exit_code == exit_code, result.output
    assert "adam:" in result.stdout


def test_options_choose_checks_modes_and_dtypes(run, stub):
    asked = stub("passed")
    arguments = ["-k", "golden", "-k", "group_r*", "--mode", "graph", "--dtype", "float16", "--dtype", "float64"]
    assert run("check", "adam", *arguments).exit_code == 0
    assert asked["optimizer"] == "adam"
    assert {"golden_trajectory", "golden_state", "group_rate"} <= set(asked["checks"])
    assert all("golden" in name or name.startswith("group_r") for name in asked["checks"])
    assert asked["modes"] == ("graph",)
    assert asked["dtypes"] == ("float16", "float64")


def test_without_options_everything_is_checked(run, stub):
    asked = stub("passed")
    assert run("check", "adam").exit_code == 0
    assert asked["checks"] == [check.name for check in list_checks()]
    assert asked["modes"] is asked["dtypes"] is None


def test_a_subject_chooses_its_checks(run, stub):
    asked = stub("passed")
    assert run("check", "adam", "-k", "Sparse", "-k", "groups_and*").exit_code == 0
    wanted = {check.name for check in list_checks() if check.subject in ("Sparse", "Groups and rates")}
    assert set(asked["checks"]) == wanted
    assert run("check", "adam", "-k", "groups and rates").exit_code == 0
    assert set(asked["checks"]) == {check.name for check in list_checks() if check.subject == "Groups and rates"}


def test_expected_failures_and_the_number_of_processes_are_handed_on(run, stub):
    asked = stub("expected_failure")
    given = ("--expect-failure", "golden_state=a = b", "--expect-failure", "golden_*-graph-* = rounded")
    assert run("check", "adam", *given, "--jobs", "3").exit_code == 0
    assert asked["expected_failures"] == {"golden_state": "a = b", "golden_*-graph-*": "rounded"}
    assert asked["jobs"] == 3
    assert run("check", "adam").exit_code == 0
    assert (asked["expected_failures"], asked["jobs"]) == ({}, None)


def test_the_report_says_how_long_it_took(run, stub, monkeypatch):
    stub("passed")
    clock = iter((10.0, 17.5))
    monkeypatch.setattr("tinyms_core.cli.commands.check.time.perf_counter", lambda: next(clock))
    assert "adam: 1 passed in 7.5 s; it conforms" in run("check", "adam").stdout


def test_several_optimizers_end_in_a_table(run, stub):
    stub("passed", "skipped")
    result = run("check", "adam", "momentum")
    assert result.exit_code == 0, result.output
    assert "errors against float64" in result.stdout
    assert re.search(r"adam\s+│\s+2 │", result.stdout)


def test_all_is_every_optimizer(run, monkeypatch):
    asked = []

    def run_checks(optimizer, *, progress, **named):
        asked.append(optimizer)
        return [replace(_result("passed"), optimizer=optimizer, largest_errors={"float32": 3e-7})]

    monkeypatch.setattr(conformance, "run_checks", run_checks)
    result = run("check", "--all", "-k", "golden")
    assert result.exit_code == 0, result.output
    assert asked == list_optimizers()
    assert result.stdout.count("3.0e-07") == 2 * len(asked)


def test_json_holds_every_result(run, stub, tmp_path):
    stub("passed", "failed")
    path = tmp_path / "report.json"
    assert run("check", "adam", "--json", str(path)).exit_code == 1
    assert [entry["status"] for entry in json.loads(path.read_text())["results"]] == ["passed", "failed"]


def test_json_on_standard_output_is_alone_there(run, stub):
    stub("passed")
    result = run("check", "adam", "--json", "-")
    assert json.loads(result.stdout)["counts"]["passed"] == 1
    assert "it conforms" in result.stderr


def test_fuzz_plays_scenarios_in_each_mode_and_runs_no_check(run, stub, monkeypatch):
    asked, scenarios = stub("failed"), []

    def fuzz(name, **named):
        scenarios.append((name, named))
        return _result("passed")

    monkeypatch.setattr(conformance, "fuzz", fuzz)
    assert run("check", "adam", "--fuzz", "7").exit_code == 0
    assert run("check", "adam", "--fuzz", "7", "--seed", "3", "--mode", "jit", "--mode", "graph").exit_code == 0
    expected = [("pynative", None), ("jit", 3), ("graph", 3)]
    assert scenarios == [("adam", {"examples": 7, "mode": mode, "seed": seed}) for mode, seed in expected]
    assert not asked


def test_list_names_the_checks_and_runs_none(run):
    result = run("check", "--list", "-k", "golden")
    assert result.exit_code == 0
    assert "golden_trajectory" in result.stdout
    assert "group_rate" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name an optimizer"),
        (["adam", "--all"], "leave out adam, or --all"),
        (["adam", "-k", "no_such_check"], "no check is like 'no_such_check'"),
        (["adam", "--mode", "fast"], "'fast' is not one of"),
        (["adam", "--jobs", "0"], "0 is not in the range"),
        (["adam", "--expect-failure", "golden_state"], "'golden_state' is no CHECK=REASON"),
        (["adam", "--expect-failure", "golden_state= "], "'golden_state= ' is no CHECK=REASON"),
        (["adam", "--expect-failure", "golden=it is"], "'golden' is no check's name"),
        (["adam"] + 2 * ["--expect-failure", "golden_state=it is"], "'golden_state' is there twice"),
        (["adam", "--expect-failure", "golden_state=it is", "--fuzz", "3"], "leave it out with --fuzz and --peer"),
        (["adam", "--seed", "3"], "--seed is for --fuzz"),
        (["adam", "--fuzz", "3", "-k", "golden"], "leave out -k and --dtype"),
        (["adam", "--fuzz", "0"], "0 is not in the range"),
        (["adam", "--json", "/no/such/folder/report.json"], "is not a folder"),
    ],
)
def test_bad_usage_is_said_before_anything_runs(run, arguments, message):
    result = run("check", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


class TestPeer:
    """`--peer`, with results that are stubs."""

    @pytest.fixture
    def asked(self, monkeypatch):
        """What `run_foreign_checks` is asked; of each optimizer one probe fails."""
        found: dict[str, dict[str, Any]] = {}

        def run_foreign_checks(name: str, *, progress: Any, **named: Any) -> list[CheckResult]:
            found[name] = named
            failed = replace(
                _result("failed"), check="option_l1", optimizer=f"mindspore.nn.{name}", reason="l1=0.05: wrong"
            )
            results = [failed, replace(failed, check="decay", status="passed", reason="")]
            for result in results:
                progress(result)
            return results

        monkeypatch.setattr("tinyms_core.conformance.foreign.run.run_foreign_checks", run_foreign_checks)
        return found

    def test_it_checks_those_of_mindspore_and_names_what_is_wrong(self, run, asked, tmp_path):
        path = tmp_path / "report.json"
        result = run("check", "ftrl", "--peer", "mindspore", "--json", str(path))
        assert result.exit_code == 1, result.output
        assert list(asked) == ["ftrl"]
        assert asked["ftrl"] == {"checks": None, "modes": None, "dtypes": None}
        assert "l1=0.05: wrong" in result.stdout
        assert re.search(r"mindspore\.nn\.ftrl │\s+1 │\s+0 │\s+1 │ l1=0\.05", result.stdout), result.stdout
        report = json.loads(path.read_text())
        assert report["optimizers"] == ["mindspore.nn.ftrl"]
        assert report["counts"]["failed"] == 1

    def test_without_names_it_checks_all_that_mindspore_has(self, run, asked):
        assert run("check", "--peer", "mindspore").exit_code == 1
        assert len(asked) == 14
        everything = dict(asked)
        asked.clear()
        assert run("check", "--all", "--peer", "mindspore").exit_code == 1
        assert asked == everything

    def test_options_choose_probes_and_checks(self, run, asked):
        arguments = ("-k", "option_l1", "-k", "golden_*", "--mode", "graph", "--dtype", "float32")
        assert run("check", "FTRL", "--peer", "mindspore", *arguments).exit_code == 1
        assert asked["ftrl"] == {
            "checks": ["*option_l1*", "golden_*"],
            "modes": ("graph",),
            "dtypes": ("float32",),
        }

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["adamm"], "unknown optimizer 'adamm'"),
            (["adam", "--all"], "leave out adam, or --all"),
            (["adam", "-k", "no_such_probe"], "no check is like '*no_such_probe*'; there are"),
        ],
    )
    def test_bad_usage_is_said_before_anything_runs(self, run, asked, arguments, message):
        result = run("check", *arguments, "--peer", "mindspore")
        assert result.exit_code == 2
        assert message in result.stderr
        assert not asked

    def test_another_library_is_refused(self, run):
        result = run("check", "adam", "--peer", "torch")
        assert result.exit_code == 2
        assert "'torch' is not 'mindspore'" in result.stderr

    def test_what_mindspore_does_not_have_is_said(self, run, asked, use_registry):
        registry = OptimizerRegistry(search_path=[], environment={})
        registry.register(replace(SignDescent.spec, implementation=SignDescent))
        with use_registry(registry):
            result = run("check", "sign_descent", "--peer", "mindspore")
        assert result.exit_code == 2
        assert "mindspore.nn has no optimizer like 'sign_descent'" in result.stderr

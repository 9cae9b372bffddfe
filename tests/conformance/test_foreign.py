"""MindSpore's own optimizers under the kit: what is measured, what the page says, and what a crash does."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest

from tinyms_core.conformance import CheckResult
from tinyms_core.conformance.catalog import Case
from tinyms_core.conformance.foreign import process
from tinyms_core.conformance.foreign.cases import ForeignCases, batches, from_request, request_for
from tinyms_core.conformance.foreign.peers import ForeignOptimizer, foreign_names, foreign_optimizer, rebased
from tinyms_core.conformance.foreign.probes import DEFAULT_NUMBERS, SCALARS, STEP_RUNS, probes_of
from tinyms_core.conformance.foreign.report import failed_checks, failed_probes
from tinyms_core.conformance.foreign.run import run_foreign_checks
from tinyms_core.conformance.runner import run_case
from tinyms_core.registry import TinymsOptimError, UnknownOptimizerError

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "mindspore-optimizers.md"

# Each with the probe that it fails and one that it passes; Lamb cannot do a step.
SAMPLES = {
    "momentum": ("option_use_nesterov", "decay"),
    "ftrl": ("option_l1", "option_l2"),
    "rmsprop": ("option_epsilon", "option_centered"),
    "lamb": ("step_runs", ""),
}


def _section(label: str) -> tuple[set[str], set[str]]:
    """The checks that the page has as failed, and as passed."""
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {label}\n")[2].partition("\n## ")[0]
    passed = re.search(r"^Passed: (.*)\.$", text, re.MULTILINE)
    return set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)), set(
        re.findall(r"`(\w+)`", passed[1] if passed else "")
    )


@pytest.mark.parametrize("name", SAMPLES)
def test_the_page_says_what_is_measured(name):
    wrong, right = SAMPLES[name]
    label = ForeignCases(name).peer.label
    results = run_foreign_checks(name, checks=[wrong, right])
    assert {result.check: result.status for result in results} == {
        check: status for check, status in ((wrong, "failed"), (right, "passed")) if check
    }
    assert {result.optimizer for result in results} == {label}
    failed, passed = _section(label)
    assert wrong in failed
    assert {right} - {""} <= passed


def test_the_page_has_a_section_for_each_optimizer_that_mindspore_has():
    text = PAGE.read_text(encoding="utf-8")
    labels = [ForeignCases(name).peer.label for name in foreign_names()]
    assert re.findall(r"^## (mindspore\.nn\.\w+)$", text, re.MULTILINE) == labels
    assert len(labels) == 14


@pytest.mark.parametrize("name", ["momentum", "rmsprop"])
def test_every_probe_passes_for_our_own(name):
    found = foreign_optimizer(name)
    ours = ForeignOptimizer(name, found.ours, found.ours)
    for probe in probes_of(ours):
        for mode, dtypes in probe.check.runs.items():
            for dtype in dtypes:
                result, _ = run_case(ours.spec, Case(probe.check, mode, dtype))
                assert result.status == "passed", f"{probe.check.name}: {result.reason}"


class TestNarrowing:
    def test_a_wrong_option_stays_at_its_default(self):
        every = ForeignCases("momentum")
        spec = every.narrowed({"option_use_nesterov"})
        kinds = {h.name: h.kind for h in spec.hyperparameters}
        assert kinds["use_nesterov"] == "any"
        assert spec.capabilities == every.peer.spec.capabilities

    def test_what_fails_by_itself_is_left_out(self):
        every = ForeignCases("momentum")
        failed = {"centralization", "dtype_float16", "mode_graph", "rate_of_group", "scale"}
        can = every.narrowed(failed).capabilities
        assert (can.centralization, can.grouped_rates, can.loss_scale) == (False, False, False)
        assert "float16" not in can.dtypes
        assert can.modes == ("pynative", "jit")
        cases = every.of_checks(failed)
        assert not any(case.dtype == "float16" or case.mode == "graph" for case in cases)
        (skipped,) = [case for case in cases if case.check.name == "group_rate"]
        assert skipped.skip == "it is for optimizers with declared grouped_rates, which fails by itself"

    def test_parameters_without_dimensions_are_left_out(self):
        every = ForeignCases("adam_offload")
        for failed, there in ((set(), True), ({SCALARS}, False)):
            subject = every.subject_maker(failed)(every.peer.spec, "pynative", "float32", "CPU")
            workload = subject.workload()
            assert any(not place.member.shape for place in workload.places) is there
            assert set(workload.order) == {place.member.name for place in workload.places}

    def test_nothing_else_is_run_where_a_step_does_not_run(self):
        skips = {case.skip for case in ForeignCases("lamb").of_checks({STEP_RUNS})}
        assert skips == {"a step with the defaults does not run"}

    def test_other_defaults_are_those_of_all_probes(self):
        peer = rebased(foreign_optimizer("adam"), (("beta2", 0.75),))
        assert dict(peer.spec.defaults)["beta2"] == dict(peer.ours.defaults)["beta2"] == 0.75
        assert probes_of(peer)[1].check.name == DEFAULT_NUMBERS


def test_a_request_comes_back_as_it_was():
    every = ForeignCases("adafactor", (("eps", (0.5, 0.25)),))
    cases = every.of_probes()[:2]
    request = request_for(every, cases, {"scale"}, 7)
    assert from_request(request) == every
    assert [tuple(identity) for identity in request["cases"]] == [(c.check.name, c.mode, c.dtype) for c in cases]


def test_dangerous_cases_are_alone():
    cases = ForeignCases("ftrl").of_probes()
    together, *alone = batches(cases)
    assert {case.check.name for (case,) in alone} == {"rows_outside"}
    assert len(together) + len(alone) == len(cases)


def test_what_mindspore_does_not_have_is_said():
    with pytest.raises(UnknownOptimizerError, match="adamm"):
        run_foreign_checks("adamm")


def test_a_name_without_a_peer_is_an_error(monkeypatch):
    monkeypatch.setattr("tinyms_core.conformance.foreign.cases.foreign_optimizer", lambda name: None)
    with pytest.raises(TinymsOptimError, match=r"mindspore\.nn has no optimizer like 'adam'"):
        run_foreign_checks("adam")


def test_reports_name_what_is_wrong():
    label = "mindspore.nn.Momentum"

    def result(check: str, status: str, mode: str = "pynative") -> CheckResult:
        return CheckResult(check, "Numbers", label, "CPU", mode, "float32", status, "because", 0.1)  # type: ignore[arg-type]

    results = [
        result("option_use_nesterov", "failed"), result("decay", "passed"), result("rows", "failed"),
        result("rows", "failed", "graph"), result("zero_gradient", "passed"), result("mixed_dtype", "failed", "jit"),
    ]  # fmt: skip
    assert failed_probes("momentum", results) == ["use_nesterov=True", "sparse gradients (pynative, graph)"]
    assert failed_checks("momentum", results) == ["mixed_dtype (jit)"]


class TestProcess:
    """A worker that is a script, so that it can end as MindSpore does."""

    CASES = ForeignCases("momentum").of_probes()[:3]

    def _run(self, monkeypatch, tmp_path, body: str, seconds: float = 60.0) -> list[CheckResult]:
        script = tmp_path / "worker.py"
        script.write_text(
            dedent(
                """
                import json, os, signal, sys, time
                request = json.loads(sys.argv[1])
                out = os.fdopen(request["descriptor"], "w")
                for check, mode, dtype in request["cases"]:
                    if check == "CHECK":
                        BODY
                    out.write(json.dumps(dict(check=check, subject="Numbers", optimizer="x", device="CPU", mode=mode,
                        dtype=dtype, status="passed", reason="", seconds=0.0)) + "\\n")
                    out.flush()
                """
            )
            .replace("CHECK", self.CASES[1].check.name)
            .replace("BODY", body)
        )
        monkeypatch.setattr(process, "WORKER", (str(script),))
        monkeypatch.setattr(process, "_START", 1.0)
        found: list[CheckResult] = []
        process.run_in_process(ForeignCases("momentum"), self.CASES, frozenset(), seconds, found.append)
        assert [result.check for result in found] == [case.check.name for case in self.CASES]
        assert [result.status for result in found] == ["passed", "failed", "passed"]
        return found

    def test_a_crash_is_a_result_and_the_rest_is_run(self, monkeypatch, tmp_path):
        found = self._run(monkeypatch, tmp_path, "os.kill(os.getpid(), signal.SIGSEGV)")
        assert found[1].reason == "it ended the process: SIGSEGV"
        assert found[1].optimizer == "mindspore.nn.Momentum"

    def test_an_exit_is_told_with_its_last_words(self, monkeypatch, tmp_path):
        found = self._run(monkeypatch, tmp_path, "sys.exit('it gave up')")
        assert found[1].reason == "it ended the process: exit status 1: it gave up"

    def test_what_hangs_is_ended(self, monkeypatch, tmp_path):
        found = self._run(monkeypatch, tmp_path, "time.sleep(600)", seconds=1.0)
        assert found[1].reason == "it took longer than 1 s"

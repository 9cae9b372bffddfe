"""The page of MindSpore's optimizers is only written where words and failures are those of each other."""

from __future__ import annotations

import pytest

from tests.documentation.mindspore_optimizers import PAGE, page
from tests.documentation.mindspore_words import COMMON, OWN
from tinyms_core.conformance import CheckResult

VERSIONS = {"mindspore": "2.10.0"}


def _result(label: str, check: str, status: str = "failed") -> CheckResult:
    return CheckResult(check, "Numbers", label, "CPU", "pynative", "float32", status, "because", 0.1)  # type: ignore[arg-type]


def _explained() -> list[CheckResult]:
    common = [_result("mindspore.nn.Momentum", check) for check in COMMON]
    return common + [_result(label, check) for label, check in OWN]


def test_words_and_failures_make_the_page():
    text = page([*_explained(), _result("mindspore.nn.Momentum", "decay", "passed")], VERSIONS)
    assert "with mindspore 2.10.0." in text
    assert "| `option_use_nesterov` | pynative | the flag is ignored |" in text
    assert "\nPassed: `decay`.\n" in text


def test_a_failure_without_words_is_an_error():
    with pytest.raises(ValueError, match=r"no words for \[\('mindspore\.nn\.SGD', 'new_failure'\)\]"):
        page([*_explained(), _result("mindspore.nn.SGD", "new_failure")], VERSIONS)


def test_words_without_a_failure_are_an_error():
    with pytest.raises(ValueError, match=r"words for what has not failed: \[\('mindspore\.nn\.Lamb', 'step_runs'\)\]"):
        page([result for result in _explained() if "Lamb" not in result.optimizer], VERSIONS)


def test_the_page_has_every_word():
    text = PAGE.read_text(encoding="utf-8")
    for words in {*COMMON.values(), *OWN.values()}:
        assert words in text

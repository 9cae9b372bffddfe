"""What a forge runs is what README and CONTRIBUTING say, and its forms and fragments are read as they should be."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import yaml

from tests.packaging.builds import FOLDERS, ROOT, project
from tests.packaging.release import obstacles

FORGE = ROOT / ".github"
WORKFLOWS = sorted(FORGE.glob("workflows/*.yml"))
FORMS = sorted(FORGE.glob("ISSUE_TEMPLATE/*.yml"))
WRITTEN = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md"))


def jobs(path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]


def steps(path) -> list[dict]:
    return [step for job in jobs(path).values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_its_commands_are_those_of_the_pages(path):
    commands = [step["run"] for step in steps(path) if "run" in step]
    assert commands
    for command in commands:
        assert command in WRITTEN, f"{command!r} is neither in README.md nor in CONTRIBUTING.md"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_no_more_than_it_must(path):
    read = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert read["permissions"] == {"contents": "read"}
    for job in read["jobs"].values():
        assert job["timeout-minutes"] <= 180
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)
            assert "uses" not in step or re.fullmatch(r"[\w.-]+/[\w.-]+@v\d+", step["uses"])


def test_every_python_that_is_promised_is_tested():
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(project(ROOT)["project"]["classifiers"]))
    assert jobs(FORGE / "workflows" / "tests.yml")["tests"]["strategy"]["matrix"]["python"] == promised


def test_the_first_command_of_a_pull_request_is_the_readmes():
    (tests,) = (step["run"] for step in jobs(FORGE / "workflows" / "tests.yml")["tests"]["steps"] if "run" in step)
    blocks = re.findall(
        r"^```sh\n(.*?)\n```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert tests == blocks[1]


def test_a_release_is_made_by_a_tag_and_without_a_password():
    read = yaml.safe_load((FORGE / "workflows" / "release.yml").read_text(encoding="utf-8"))
    # YAML 1.1 takes the word on for true.
    assert read[True] == {"push": {"tags": ["v*"]}}
    publish = read["jobs"]["publish"]
    assert publish["needs"] == "build"
    assert publish["permissions"] == {"id-token": "write"}
    assert "secrets" not in (FORGE / "workflows" / "release.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", [form for form in FORMS if form.stem != "config"], ids=lambda path: path.stem)
def test_a_form_asks_for_something(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(form) == {"name", "description", "labels", "body"}
    identities = [part["id"] for part in form["body"]]
    assert len(set(identities)) == len(identities)
    assert any(part.get("validations", {}).get("required") for part in form["body"])


def test_a_release_has_no_obstacle_or_says_which():
    log = "## 0.1.0 (2026-01-01)\n"
    assert obstacles("v0.1.0", log, [], {"a": "0.1.0"}) == []
    assert obstacles("v0.1.0", log, ["+a.added.md"], {"a": "0.1.0"}) == ["changes/+a.added.md is not in CHANGELOG.md"]
    assert "a is of version 0.2.0" in obstacles("v0.1.0", log, [], {"a": "0.2.0"})[0]
    assert "no heading" in obstacles("v0.2.0", log, [], {"a": "0.2.0"})[0]
    assert "does not begin with v" in obstacles("0.1.0", log, [], {"a": "0.1.0"})[0]


def test_fragments_make_a_changelog():
    version = project(ROOT)["project"]["version"]
    done = subprocess.run(
        [sys.executable, "-m", "towncrier", "build", "--draft", "--version", version],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    fragments = [path for path in (ROOT / "changes").glob("*.md") if path.name != "README.md"]
    known = {kind["directory"] for kind in project(ROOT)["tool"]["towncrier"]["type"]}
    for fragment in fragments:
        assert fragment.name.split(".")[-2] in known, f"{fragment.name}: its kind must be one of {sorted(known)}"
        assert fragment.read_text(encoding="utf-8").strip() in done.stdout
    assert f"## {version} (" in done.stdout
    start = project(ROOT)["tool"]["towncrier"]["start_string"]
    assert (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").count(start) == 1


def test_every_folder_of_plugins_is_a_distribution():
    assert all((folder / "pyproject.toml").is_file() for folder in FOLDERS)

"""What pages say of the code is so: names, folders, dependencies, environment variables, arguments and states."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from importlib import import_module

import pytest

import tinyms_core
from tests.documentation.pages import DOCS
from tinyms_core.cli.main import cli

ROOT = DOCS.parent
PACKAGE = ROOT / "tinyms_core"
WRITTEN = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("**/*.md"), *ROOT.glob("plugins/*/README.md")]
)
NAMES = tinyms_core.list_optimizers()
# What a folder may import of the others; those that are not listed import all.
BELOW = {
    "registry": set(),
    "ranks": {"registry"},
    "kernels": {"registry"},
    "optimizer": {"registry", "ranks", "kernels"},
    "distributed": {"registry", "ranks", "kernels", "optimizer"},
    "conformance": {"registry", "ranks", "kernels", "optimizer", "distributed"},
}


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def tables(text: str) -> list[dict[str, str]]:
    """The rows of all tables of a page, by their headings."""
    rows: list[dict[str, str]] = []
    headings: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")] if line.startswith("|") else []
        if not cells or set("".join(cells)) <= set("-: |"):
            headings = headings if cells else []
        elif not headings:
            headings = cells
        else:
            rows.append(dict(zip(headings, cells, strict=False)))
    return rows


def test_the_page_on_architecture_names_every_folder_and_module_of_the_package():
    tree = page("explanation/architecture.md").partition("```text")[2].partition("```")[0]
    here = {f"{path.name}/" for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    here |= {path.name for path in PACKAGE.glob("*.py") if path.name != "__init__.py"}
    assert set(re.findall(r"^  (\S+)", tree, re.MULTILINE)) == here
    below = {f"{path.parent.relative_to(PACKAGE)}/" for path in PACKAGE.glob("*/*/__init__.py")}
    assert below - set(re.findall(r"`([\w/]+/)`", page("explanation/architecture.md"))) == set()


@pytest.mark.parametrize("folder", BELOW)
def test_dependencies_run_one_way(folder):
    for path in (PACKAGE / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tinyms_core."):
                found = (node.module or "").split(".")[1]
                allowed = {folder, *BELOW[folder], "examples"} if folder == "conformance" else {folder, *BELOW[folder]}
                assert found in allowed, f"{path.relative_to(ROOT)}:{node.lineno} imports {node.module}"


def test_every_page_is_named_on_the_first_one():
    linked = {(DOCS / target).resolve() for target in re.findall(r"\]\(([^)#]+)", page("index.md"))}
    pages = {path.resolve() for path in DOCS.glob("**/*.md") if "api" not in path.parts} - {DOCS / "index.md"}
    assert pages - linked == set()


def test_every_environment_variable_is_on_the_page_of_the_command_line():
    source = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    shown = {row["variable"] for row in tables(page("reference/command-line.md")) if "variable" in row}
    assert set(re.findall(r'"(TINYMS_OPTIM_[A-Z_]+)"', source)) == set(re.findall(r"TINYMS_OPTIM_[A-Z_]+", str(shown)))


def test_every_command_is_on_its_page_and_so_is_every_one_with_around():
    text = page("reference/command-line.md")
    assert set(re.findall(r"^\| `([a-z]+)", text.partition("## ")[0], re.MULTILINE)) == set(cli.commands)
    told = re.search(r"^(.*) build an optimizer like LARS around", text, re.MULTILINE)
    assert told
    with_around = {name for name, command in cli.commands.items() if any(p.name == "around" for p in command.params)}
    assert set(re.findall(r"`(\w+)`", told[1])) == with_around


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_are_named_are_there(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    places = (ROOT, PACKAGE, path.parent, *ROOT.glob("plugins/*/src"))
    for name in re.findall(r"`((?:[\w.-]+/)+[\w.-]*\.(?:py|toml|c|cc|md|yml))`", text):
        # What a page begins with this is in a distribution that its reader makes.
        if name.startswith("src/"):
            continue
        assert any((place / name).exists() for place in places), name


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_that_are_named_are_there(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for dotted in set(re.findall(r"`(tinyms_core(?:\.\w+)+)", text)):
        assert resolved(dotted), dotted


@cache
def resolved(dotted: str) -> bool:
    """Whether a module, or something in one, has this name."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part, None)
        return found is not None
    return False


def readme(name: str) -> str:
    return (ROOT / "plugins" / name / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_readme_lists_the_arguments_with_their_defaults(name):
    taken = inspect.signature(tinyms_core.get_optimizer(name)).parameters
    rows = {row["argument"].strip("`"): row["default"] for row in tables(readme(name)) if "argument" in row}
    assert list(rows) == list(taken)
    for argument, parameter in taken.items():
        if parameter.default is parameter.empty:
            assert rows[argument] == "required"
        elif rows[argument].startswith("`"):
            assert ast.literal_eval(rows[argument].strip("`")) == parameter.default, argument
        else:
            assert callable(parameter.default), argument


@pytest.mark.parametrize("name", NAMES)
def test_a_readme_lists_the_state(name):
    rows = [row for row in tables(readme(name)) if "Parameter" in row]
    shown = {found for row in rows for found in re.findall(r"`([\w.]+?)[._]?(?:<\w+>)?`", row["Parameter"])}
    assert {slot.prefix.rstrip("._") for slot in tinyms_core.optimizer_info(name).state} <= shown


def test_the_page_on_sparse_gradients_knows_how_each_optimizer_applies_them():
    rows = {row["way"]: row["optimizers"] for row in tables(page("how-to/sparse-gradients.md")) if "way" in row}
    for name in NAMES:
        spec = tinyms_core.optimizer_info(name)
        shown = spec.implementation_name.rpartition(":")[2]
        assert [way for way, listed in rows.items() if shown in listed.split(", ")] == [spec.capabilities.sparse], shown


def test_the_page_on_mixed_precision_names_those_without_a_loss_scale():
    without = {
        tinyms_core.optimizer_info(name).implementation_name.rpartition(":")[2]
        for name in NAMES
        if "loss_scale" not in inspect.signature(tinyms_core.get_optimizer(name)).parameters
        and not tinyms_core.optimizer_info(name).capabilities.wraps_optimizer
    }
    (told,) = re.findall(r"Most optimizers take one; (\w+) and (\w+) do not\.", page("how-to/mixed-precision.md"))
    assert set(told) == without

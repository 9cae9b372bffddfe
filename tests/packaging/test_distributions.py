"""Every distribution builds, holds all that it should and says so, and their versions and bounds fit together."""

from __future__ import annotations

import re
import zipfile
from email import message_from_string
from email.message import Message
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from trove_classifiers import classifiers

import tinyms_core
from tests.packaging.builds import FOLDERS, ROOT, build_all, names_in, project
from tinyms_core.registry import optimizer_info
from tinyms_core.registry.known import KNOWN_OPTIMIZERS
from tinyms_core.registry.specs import CONTRACT_VERSION

PLUGINS = FOLDERS[1:]
NAMES = [project(folder)["project"]["name"] for folder in FOLDERS]
# The version of tinyms-core that brought each version of the contract.
BROUGHT = {"1.0": "0.1"}
_PYTHONS = {f"Programming Language :: Python :: 3.{minor}" for minor in (10, 11, 12)}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Source distribution and wheel of each distribution."""
    return build_all(tmp_path_factory.mktemp("dist"))


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_string(archive.read(name).decode())


def package(folder: Path) -> Path:
    return folder / "tinyms_core" if folder == ROOT else next((folder / "src").iterdir())


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_the_wheel_holds_the_whole_package(built, folder):
    """Each file beside caches, through the source distribution; and nothing else."""
    archive, wheel = built[project(folder)["project"]["name"]]
    home = package(folder)
    own = {
        path.relative_to(home.parent).as_posix()
        for path in home.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".nbi", ".nbc")
    }
    with zipfile.ZipFile(wheel) as opened:
        inside = {name for name in opened.namelist() if ".dist-info/" not in name}
        licence = next(name for name in opened.namelist() if name.endswith(".dist-info/licenses/LICENSE"))
        assert opened.read(licence) == (ROOT / "LICENSE").read_bytes()
    assert inside == own
    assert f"{home.name}/py.typed" in inside
    assert {"LICENSE", "README.md", "pyproject.toml", "PKG-INFO"} <= names_in(archive)


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_the_metadata_is_complete(built, folder):
    described = metadata(built[project(folder)["project"]["name"]][1])
    assert described["License-Expression"] == "Apache-2.0"
    assert described["License-File"] == "LICENSE"
    assert described["Requires-Python"] == "<3.13,>=3.10"
    assert described["Description-Content-Type"] == "text/markdown"
    assert described.get_payload().startswith("# ")
    assert 20 < len(described["Summary"]) < 140
    assert "mindspore" in described["Keywords"]
    found = set(described.get_all("Classifier"))
    assert found <= classifiers
    assert found >= _PYTHONS | {"Typing :: Typed"}
    assert not [name for name in found if name.startswith("License ::")], "the expression says it"


@pytest.mark.parametrize("folder", PLUGINS, ids=NAMES[1:])
def test_a_plugin_names_its_paper(built, folder):
    name = project(folder)["project"]["name"]
    label, _, address = metadata(built[name][1])["Project-URL"].partition(", ")
    assert label == "Paper"
    assert address.startswith("https://")
    (entry,) = project(folder)["project"]["entry-points"]["tinyms.optimizers"]
    found = re.findall(r"arXiv:([\d.]+)", optimizer_info(f"{name}:{entry}").reference)
    assert not found or address == f"https://arxiv.org/abs/{found[0]}"


def test_versions_are_one():
    versions = {project(folder)["project"]["version"] for folder in FOLDERS}
    assert versions == {tinyms_core.__version__}
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## (Before )?{re.escape(tinyms_core.__version__)}\b", text, re.MULTILINE)


@pytest.mark.parametrize("folder", PLUGINS, ids=NAMES[1:])
def test_a_plugins_bound_is_that_of_its_contract(folder):
    """It takes the core of its own version and those that bring its contract, and none of another minor number."""
    described = project(folder)["project"]
    (bound,) = (entry for entry in map(Requirement, described["dependencies"]) if entry.name == "tinyms-core")
    core = Version(tinyms_core.__version__)
    assert core in bound.specifier
    assert Version(f"{core.major}.{core.minor + 1}") not in bound.specifier
    contracts = {
        optimizer_info(f"{described['name']}:{name}").contract
        for name in described["entry-points"]["tinyms.optimizers"]
    }
    assert contracts <= set(BROUGHT), "say which tinyms-core brought this contract"
    lowest = max(Version(BROUGHT[contract]) for contract in contracts)
    assert Version(f"{lowest}.dev0") not in bound.specifier
    assert lowest in bound.specifier


def test_the_contract_of_this_version_is_in_the_table():
    assert CONTRACT_VERSION in BROUGHT


def test_all_means_all():
    described = project(ROOT)
    extra = {Requirement(text).name for text in described["project"]["optional-dependencies"]["all"]}
    assert extra == set(NAMES)
    assert set(described["tool"]["uv"]["sources"]) == set(NAMES)
    assert {known.distribution for known in KNOWN_OPTIMIZERS} == set(NAMES) - {"tinyms-core"}


def test_the_wheel_requires_what_is_written(built):
    written = {str(Requirement(text)) for text in metadata(built["tinyms-core"][1]).get_all("Requires-Dist")}
    assert written == {str(Requirement(text)) for text in requires("tinyms-core") or ()}

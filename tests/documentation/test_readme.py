"""The README's table of optimizers says what their specifications do."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.documentation import pages
from tinyms_core.registry import optimizer_info
from tinyms_core.registry.known import KNOWN_OPTIMIZERS
from tinyms_core.registry.names import fold

ALL = (*pages._REFERENCE, *pages._MODERN)


def _rows(names: Sequence[str] = ALL) -> dict[str, list[str]]:
    lines = pages.optimizers_table(names).splitlines()[2:]
    return {cells[0]: cells[1:] for cells in ([cell.strip() for cell in line.strip("| ").split("|")] for line in lines)}


def test_there_is_a_row_for_each_optimizer_of_the_reference() -> None:
    assert len(_rows(pages._REFERENCE)) == 14


def test_every_optimizer_of_this_project_has_a_row() -> None:
    assert {fold(name) for name in ALL} == {fold(known.name) for known in KNOWN_OPTIMIZERS}


def test_what_is_not_installed_claims_nothing() -> None:
    ((name, cells),) = _rows(("no_such_optimizer",)).items()
    assert (name, cells[0]) == ("no_such_optimizer", "not yet")
    assert set(cells[1:]) == {"\N{EN DASH}"}


def test_nothing_claims_to_have_run_elsewhere_than_on_cpu() -> None:
    gpu, ascend = pages._COLUMNS.index("GPU") - 1, pages._COLUMNS.index("Ascend") - 1
    allowed = {"\N{EN DASH}", "kernel, not run", "operators, not run"}
    assert all({cells[gpu], cells[ascend]} <= allowed for cells in _rows().values())


def test_a_row_follows_the_specification() -> None:
    cells = _rows()["[Lamb](plugins/lamb/README.md)"]
    spec = optimizer_info("lamb")
    assert cells[-1] == f"{spec.state_bytes_per_element('float32'):g}"
    assert (cells[-2] == "yes") is ("bfloat16" in spec.capabilities.dtypes)


def test_a_readme_without_marks_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    bare = tmp_path / "README.md"
    bare.write_text("# Nothing\n")
    monkeypatch.setattr(pages, "README", bare)
    with pytest.raises(ValueError, match="must have the marks"):
        pages.readme()

"""The cache's folders: what is there is found, also where nothing can be written, and never what is another user's."""

from __future__ import annotations

import os

import pytest

from tinyms_core.kernels import generated
from tinyms_core.kernels.generated import CACHE_VARIABLE, cache_directory, cache_folders, cached, load_generated


@pytest.fixture
def read_only(monkeypatch):
    """Call it, and no folder can be written to; a test's user may be one who is never refused."""
    return lambda: monkeypatch.setattr(generated, "_usable", lambda folder: False)


@pytest.fixture
def folders(monkeypatch, tmp_path):
    """The folder in the user's cache, and the one that serves where that is read-only."""
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return cache_folders()


def test_a_read_only_cache_gives_what_it_has(monkeypatch, tmp_path, read_only):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    text = "VALUE = 3\n"
    before = load_generated("value", text)
    read_only()
    monkeypatch.delitem(generated.sys.modules, before.__name__)
    assert load_generated("value", text).VALUE == 3
    missing = rf"^other_\w+\.py is not in the cache, and there is no writable folder .* {CACHE_VARIABLE} .*{tmp_path}"
    with pytest.raises(OSError, match=missing):
        load_generated("other", text)


def test_the_second_folder_serves_where_the_first_cannot_be_written_to(folders, monkeypatch):
    first, second = folders
    assert cached("a.code") == first / "a.code"
    monkeypatch.setattr(generated, "_usable", lambda folder: folder == second)
    assert cache_directory() == second
    assert cached("a.code") == second / "a.code"
    first.mkdir(parents=True, exist_ok=True)
    (first / "a.code").write_bytes(b"")
    assert cached("a.code") == first / "a.code"


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="users have no numbers on this system")
def test_a_folder_that_somebody_else_made_is_not_looked_into(folders, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    first, second = cache_folders()
    second.mkdir()
    (second / "a.code").write_bytes(b"")
    assert cache_folders() == [first]
    assert cached("a.code") == first / "a.code"

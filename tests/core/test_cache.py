"""What is kept between runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from sardonyx.core.cache import cache_folder, cache_path, read_cached, write_cached
from sardonyx.core.errors import StorageError


def test_the_folder_is_where_the_system_or_the_user_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SARDONYX_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder().name.lower() == "sardonyx"
    monkeypatch.setenv("SARDONYX_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"


def test_a_document_comes_back_under_its_key_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SARDONYX_CACHE", str(tmp_path))
    write_cached(cache_path("times", model="a", threads=1), {"n": 1})
    assert read_cached(cache_path("times", threads=1, model="a")) == {"n": 1}
    assert read_cached(cache_path("times", model="a", threads=2)) is None


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b""])
def test_what_cannot_be_read_is_as_if_it_were_not_there(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    assert read_cached(path) is None


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises((OSError, StorageError)):
        write_cached(tmp_path / "file" / "a.json", {})

"""``sardonyx report``: where it writes, what it prints, and what it refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reports import full_report, report_named
from sardonyx.pipeline.report import render_html, render_markdown, to_json, write_json

Call = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a run."""
    place = tmp_path / "run"
    place.mkdir()
    write_json(full_report(), place / "report.json")
    return place


def test_the_page_is_made_from_the_data_and_replaced(call: Call, folder: Path) -> None:
    (folder / "report.html").write_text("old")
    assert call("report", folder).code == 0
    assert (folder / "report.html").read_text(encoding="utf8") == render_html(full_report())


def test_markdown_and_data_go_to_stdout(call: Call, folder: Path) -> None:
    assert call("report", folder, "--format", "md").out == render_markdown(full_report())
    assert json.loads(call("report", folder, "--format", "json").out) == to_json(full_report())
    assert sorted(os.listdir(folder)) == ["report.json"]


def test_hostile_names_come_out_as_code(call: Call, folder: Path) -> None:
    write_json(report_named("\x1b[31m|@a`</details>"), folder / "report.json", force=True)
    shown = call("report", folder, "--format", "md").out
    assert "`\ufffd[31m¦@aˋ</details>`" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("name", ["md", "html", "json"])
def test_a_named_file_is_written_and_not_replaced(call: Call, folder: Path, name: str) -> None:
    place = folder.parent / f"out.{name}"
    document = call("report", folder, "--format", name, "-o", place, "--json").document
    assert document == {"verb": "report", "format": name, "output": str(place)}
    before = place.read_bytes()
    refused = call("report", folder, "--format", name, "-o", place)
    assert (refused.code, place.read_bytes()) == (2, before)
    assert call("report", folder, "--format", name, "-o", place, "--force").code == 0


def test_the_document_holds_what_would_be_printed(call: Call, folder: Path) -> None:
    document = call("report", folder, "--format", "md", "--json").document
    assert (document["output"], document["text"]) == (None, render_markdown(full_report()))


@pytest.mark.parametrize(
    ("content", "code"), [(None, 3), ("{", 3), ('{"title": "a"}', 3), ('{"title": "\x1b[31m"}', 3)]
)
def test_what_is_no_report_is_refused_in_two_lines(
    call: Call, folder: Path, content: str | None, code: int
) -> None:
    (folder / "report.json").unlink()
    if content is not None:
        (folder / "report.json").write_text(content)
    refused = call("report", folder)
    assert (refused.code, refused.out) == (code, "")
    assert [line.split(":")[0] for line in refused.err.splitlines()] == ["error", "hint"]
    assert "\x1b" not in refused.err
    assert not (folder / "report.html").exists()


def test_the_data_are_not_written_over(call: Call, folder: Path) -> None:
    before = (folder / "report.json").read_bytes()
    assert call("report", folder, "-o", folder / "report.json", "--force").code == 2
    assert call("report", folder, "--format", "pdf").code == 2
    assert (folder / "report.json").read_bytes() == before

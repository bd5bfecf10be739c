"""A report read back: as it was written, older, or hostile."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reports import full_report, report_named, search_named
from sardonyx.core.errors import InputError, LimitError
from sardonyx.core.limits import Limits, use_limits
from sardonyx.pipeline.report import (
    Curve,
    Layer,
    Measured,
    Stage,
    read_report,
    render_html,
    render_markdown,
    to_json,
    write_json,
)


def written(tmp_path: Path, document: Any) -> Path:
    path = tmp_path / "report.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


@pytest.mark.parametrize("report", [report_named("a\x1b<"), full_report()])
def test_what_was_written_is_read(tmp_path: Path, report: Any) -> None:
    write_json(report, tmp_path / "report.json")
    assert read_report(tmp_path / "report.json") == report


def test_an_older_report_has_the_defaults_of_what_it_lacks(tmp_path: Path) -> None:
    document = {
        "title": "old",
        "metric": "top1",
        "stages": [{"name": "a"}],
        "layers": [{"name": "l"}],
        "steps": {"a": 1},
    }
    report = read_report(written(tmp_path, document))
    assert report.layers == (Layer("l"),)
    assert (report.stages, report.points, report.budget) == ((Stage("a"),), (), None)


def test_what_was_not_finite_is_left_out(tmp_path: Path) -> None:
    curve = Curve("a", "loss", (1.0, 2.0), (float("nan"), 1.0))
    stage = replace(report_named("a").stages[1], accuracy=Measured(float("nan")))
    report = replace(report_named("a"), stages=(stage,), curves=(curve,))
    write_json(report, tmp_path / "report.json")
    found = read_report(tmp_path / "report.json")
    assert found.stages[0].accuracy is None
    assert found.curves[0].values == (None, 1.0)
    assert "<svg" in render_html(found)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("\x00\xff", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"a":' * 100_000, "is not JSON"),
        ('{"title": NaN}', "is not JSON"),
        ("[]", "the document"),
        ("{}", "title: field required"),
        ('{"title": 1, "metric": "a", "stages": []}', "title: input should be a valid string"),
        ('{"title": "a", "metric": "a", "stages": [{"name": "a", "params": "7"}]}', r"stages\.0\.params"),
        ('{"title": "a", "metric": "a", "stages": [{"name": "a", "params": 1.5}]}', r"stages\.0\.params"),
        (
            '{"title": "a", "metric": "a", "stages": [' + '{"name":"a"},' * 200 + '{"name":"a"}]}',
            "more than 200",
        ),
    ],
    ids=lambda text: text[:24],
)
def test_what_is_no_report_is_refused(tmp_path: Path, content: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        read_report(written(tmp_path, content))
    assert "\n" not in caught.value.cause
    assert len(caught.value.cause) < 500


def put(*path: str | int, value: Any) -> Callable[[Any], None]:
    """A change at one place of a document."""

    def change(document: Any) -> None:
        for part in path[:-1]:
            document = document[part]
        document[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (put("stages", 0, "latency", 0, "verdict", value="<b>"), r"verdict: it is none of"),
        (put("stages", 0, "latency", 0, "speed_ratio", "value", value=0.0), "not positive"),
        (put("stages", 0, "latency", 0, "median_ms", "value", value=-1.0), "not positive"),
        (put("stages", 0, "latency", 0, "batch", value=0), "not positive"),
        (put("stages", 0, "size_bytes", value=10**400), "out of range|unable to parse|valid integer"),
        (put("stages", 0, "size_bytes", value=-1), "negative"),
        (put("stages", 0, "macs", value=10**19), r"stages\.0\.macs: the number is out of range"),
        (put("curves", 0, "values", value=[1.0]), "differ in number"),
        (put("layers", 0, "sqnr_db", value=1e300), "out of range"),
        (put("layers", 0, "time_after_us", value=-1.0), "negative"),
        (put("points", 0, "speed_ratio", "value", value=-2.0), "not positive"),
        (put("nodes", 0, "macs", value=-5), "negative"),
        (put("changed", 0, "index", value=-1), "negative"),
    ],
)
def test_numbers_that_no_run_writes_are_refused(tmp_path: Path, change: Any, complaint: str) -> None:
    document = to_json(replace(search_named("a"), changed=search_named("a").changed[1:]))
    change(document)
    with pytest.raises(InputError, match=complaint):
        read_report(written(tmp_path, document))


@pytest.mark.parametrize("part", ["stages", "layers", "points", "nodes", "skipped", "curves"])
def test_a_part_of_another_kind_is_refused(tmp_path: Path, part: str) -> None:
    with pytest.raises(InputError, match=part):
        read_report(written(tmp_path, {**to_json(full_report()), part: {"a": 1}}))


def test_what_is_read_can_be_rendered(tmp_path: Path) -> None:
    path = written(tmp_path, to_json(full_report()))
    assert render_html(read_report(path)) == render_html(full_report())
    assert render_markdown(read_report(path)) == render_markdown(full_report())


def test_only_a_plain_file_of_some_length_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name, complaint in (
        ("none", "No such file"),
        (".", "a folder, not a report"),
        ("fifo", "a named pipe, not a report"),
    ):
        with pytest.raises(InputError, match=complaint):
            read_report(tmp_path / name)
    with use_limits(Limits(document_bytes=100)), pytest.raises(LimitError, match="the limit is 100"):
        read_report(written(tmp_path, to_json(full_report())))

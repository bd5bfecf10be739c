from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import sardonyx as sx
from sardonyx.core.errors import DataError, UsageError
from sardonyx.pipeline import bench_csv, bench_document, bench_schema, read_bench
from sardonyx.pipeline.bench_output import CSV_COLUMNS
from sardonyx.pipeline.documents import json_bytes
from sardonyx.runtime import LatencyReport

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def reports(request: pytest.FixtureRequest) -> tuple[LatencyReport, ...]:
    """One model at two batch sizes and two numbers of threads."""
    from sardonyx.runtime.pace import pace_model

    quick: dict[str, Any] = {"rounds": 5, "seconds": 0.5}
    return sx.bench({"a,b": pace_model()}, batches=(1,), threads=(1, 2), **quick)


def test_a_sweep_has_a_report_for_each_number_of_threads(reports: tuple[LatencyReport, ...]) -> None:
    assert [(r.options.threads, r.rows[0].threads) for r in reports] == [(1, 1), (2, 2)]
    assert all(r.rows[0].load_ms and r.rows[0].first_run_ms and r.conditions for r in reports)


def test_the_pace_relative_to_itself_is_about_one(reports: tuple[LatencyReport, ...]) -> None:
    assert 0.2 < (reports[0].rows[0].pace_ratio or 0) < 5


def test_a_document_is_read_back_as_it_was(tmp_path: Path, reports: tuple[LatencyReport, ...]) -> None:
    written = bench_document(reports)
    (tmp_path / "b.json").write_bytes(json_bytes(written))
    assert json_bytes(read_bench(tmp_path / "b.json")) == json_bytes(written)


def test_the_schema_beside_the_docs_is_that_of_the_document() -> None:
    assert json.loads((ROOT / "docs/bench.schema.json").read_text(encoding="utf8")) == bench_schema()


def test_the_document_has_what_its_schema_requires(reports: tuple[LatencyReport, ...]) -> None:
    schema = bench_schema()
    document = json.loads(json_bytes(bench_document(reports)))
    assert set(schema["required"]) <= set(document) <= set(schema["properties"])
    row = schema["$defs"]["LatencyRow"]
    assert set(row["required"]) <= set(document["providers"][0]["rows"][0]) <= set(row["properties"])
    assert schema["properties"]["schema"]["const"] == document["schema"]


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not of the form"),
        (b'{"schema": "sardonyx.bench/2"}', "not of the form"),
        (b'{"schema": "sardonyx.bench/1"}', "verb"),
    ],
)
def test_what_is_no_such_document_is_refused(tmp_path: Path, content: bytes, cause: str) -> None:
    (tmp_path / "b.json").write_bytes(content)
    with pytest.raises(DataError, match=cause):
        read_bench(tmp_path / "b.json")


def test_a_missing_document_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        read_bench(tmp_path / "none.json")


def test_csv_has_a_line_for_each_time(reports: tuple[LatencyReport, ...]) -> None:
    lines = list(csv.DictReader(io.StringIO(bench_csv(reports).decode())))
    assert tuple(lines[0]) == CSV_COLUMNS
    assert [(r["model"], r["batch"], r["threads"], r["asked_provider"]) for r in lines] == [
        ("a,b", "1", "1", "cpu"),
        ("a,b", "1", "2", "cpu"),
    ]
    assert float(lines[0]["median_ms"]) == reports[0].rows[0].median_ms


@pytest.mark.parametrize(
    "asked",
    [
        {"threads": ()},
        {"threads": (1, 1)},
        {"batches": (4, 4)},
        {"providers": ("cpu", "cpu")},
        {"provider_options": {"device_id": "0"}},
        {"providers": ("cpu", "cuda", "tensorrt"), "provider_options": {"device_id": "0"}},
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused(asked: dict[str, Any]) -> None:
    from sardonyx.runtime.pace import pace_model

    with pytest.raises(UsageError):
        sx.bench({"a": pace_model()}, **asked)

"""A whole search on a small network: the winner is right, faster on the clock that it is given, and found again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest
import sardonyx as sx
from sardonyx.core.metrics import measure_graph
from sardonyx.pipeline import NothingGainedError
from sardonyx.pipeline.optimization import OptimizeOptions, decision, workshop
from sardonyx.runtime import LatencyOptions, LatencyReport, compare, measure_latency

OPTIONS = OptimizeOptions(max_drop=0.05, metric="agreement", threads=1, batch=8)


def _speeds(models: Mapping[str, sx.ModelArtifact]) -> dict[str, float]:
    """A machine whose time is the bytes of a file."""
    first = next(iter(models.values()))
    return {name: first.size_bytes / model.size_bytes for name, model in models.items()}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    _give_clock(monkeypatch)


def _give_clock(patch: pytest.MonkeyPatch) -> None:
    """Nothing is timed: a search must come to the same on every machine."""

    def timed(row: Any, ratio: float) -> Any:
        verdict = "faster" if ratio > 1.05 else "no difference"
        return replace(row, speed_ratio=ratio, speed_low_ratio=ratio, speed_high_ratio=ratio, verdict=verdict)

    def measure(models: Mapping[str, sx.ModelArtifact], data: Any, options: LatencyOptions) -> LatencyReport:
        report = measure_latency(models, data, replace(options, rounds=5, seconds=0.1, sample_ms=0.1))
        return replace(report, rows=tuple(timed(row, _speeds(models)[row.model]) for row in report.rows))

    def side_by_side(
        models: Mapping[str, sx.ModelArtifact], data: Any, metric: str, options: Any, **w: Any
    ) -> Any:
        report = compare(models, data, metric, replace(options, rounds=5, seconds=0.1, sample_ms=0.1), **w)
        rows = [
            replace(r, latency=tuple(timed(one, _speeds(models)[r.model]) for one in r.latency))
            for r in report.rows
        ]
        return replace(report, rows=tuple(rows))

    patch.setattr(workshop, "measure_latency", measure)
    patch.setattr(decision, "compare", side_by_side)


@pytest.fixture(scope="module")
def halves(data: sx.CalibrationData) -> tuple[sx.CalibrationData, sx.CalibrationData]:
    return data.subset(32, seed=0), data


Halves = tuple[sx.CalibrationData, sx.CalibrationData]


@pytest.fixture(scope="module")
def searched(
    model: sx.ModelArtifact, halves: Halves, tmp_path_factory: pytest.TempPathFactory
) -> sx.Optimized:
    """One search; what goes on with it does so in a copy of its folder."""
    with pytest.MonkeyPatch.context() as patch:
        _give_clock(patch)
        return sx.optimize(model, *halves, tmp_path_factory.mktemp("search") / "out", options=OPTIONS)


@pytest.fixture
def copied(searched: sx.Optimized, tmp_path: Path) -> Path:
    return Path(shutil.copytree(searched.folder, tmp_path / "copy"))


def test_the_winner_is_inside_the_budget_and_the_fastest_on_the_clock(
    model: sx.ModelArtifact, searched: sx.Optimized
) -> None:
    assert searched.taken.lost <= 0.05
    assert searched.model.size_bytes < model.size_bytes
    assert searched.model.sha256 == searched.taken.sha256
    best = max(c.speed_ratio for c in searched.tried if c.holds(0.05))
    assert searched.taken.speed_ratio == pytest.approx(best)
    document = json.loads((searched.folder / "manifest.json").read_text())
    assert document["taken"]["name"] == searched.taken.name
    assert "report.html" in {p.name for p in searched.folder.iterdir()}


def test_the_report_shows_all_that_was_tried_and_the_winners_layers(searched: sx.Optimized) -> None:
    report = searched.report
    assert {p.name for p in report.points} == {c.name for c in searched.tried}
    assert [p.name for p in report.points if p.taken] == [searched.taken.name]
    assert report.budget_drop == 0.05
    assert [layer.name for layer in report.layers] == ["first", "second", "head"]
    assert any((layer.cut_ratio or 0) > 0 for layer in report.layers)


def test_a_search_that_goes_on_makes_nothing_twice(
    model: sx.ModelArtifact, halves: Halves, searched: sx.Optimized, copied: Path
) -> None:
    stamps = {p: p.stat().st_mtime_ns for p in copied.glob("steps/*/model.onnx")}
    again = sx.optimize(model, *halves, copied, options=OPTIONS, resume=True)
    assert [c.name for c in again.tried] == [c.name for c in searched.tried]
    assert again.model.sha256 == searched.model.sha256
    assert {p: p.stat().st_mtime_ns for p in copied.glob("steps/*/model.onnx")} == stamps
    with pytest.raises(sx.UsageError, match="earlier search"):
        sx.optimize(model, *halves, copied, options=OPTIONS)


def test_a_candidate_that_was_lost_is_made_again_and_is_the_same(
    model: sx.ModelArtifact, halves: Halves, searched: sx.Optimized, copied: Path
) -> None:
    lost = next(c for c in searched.tried if c.plan.depth and c.plan.precision == "float32")
    shutil.rmtree(copied / "steps" / lost.name)
    again = sx.optimize(model, *halves, copied, options=OPTIONS, resume=True)
    assert {c.name: c.sha256 for c in again.tried}[lost.name] == lost.sha256


def _nothing_to_gain() -> sx.ModelArtifact:
    image = ir.val("image", ir.DataType.FLOAT, ["batch", 3, 8, 8])
    node = ir.node("Sigmoid", [image])
    out = node.outputs[0]
    out.name, out.shape, out.dtype = "out", image.shape, image.dtype
    graph = ir.Graph([image], [out], nodes=[node], opset_imports={"": 17}, name="nothing")
    return sx.ModelArtifact.of(ir.Model(graph, ir_version=9))


def test_where_nothing_helps_it_says_so_and_leaves_no_model(halves: Halves, tmp_path: Path) -> None:
    options = replace(OPTIONS, metric="cosine")
    with pytest.raises(NothingGainedError, match="no difference") as caught:
        sx.optimize(_nothing_to_gain(), *halves, tmp_path, options=options)
    assert caught.value.exit_code == 1
    assert "report.html" in caught.value.remedy
    assert caught.value.summary["taken"] is None
    assert not (tmp_path / "model.onnx").exists()
    assert (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("words", "cause"),
    [({"min_speedup": 1000.0}, "not 1000x"), ({"max_bytes": 100}, "at most 100 bytes")],
)
def test_what_cannot_be_reached_is_said(
    model: sx.ModelArtifact, halves: Halves, copied: Path, words: dict[str, Any], cause: str
) -> None:
    (copied / "model.onnx").unlink()
    with pytest.raises(NothingGainedError, match=cause):
        sx.optimize(model, *halves, copied, options=replace(OPTIONS, **words), resume=True)
    assert not (copied / "model.onnx").exists()


@pytest.mark.slow
def test_healing_goes_deeper_where_time_is_given(
    model: sx.ModelArtifact, halves: Halves, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    result = sx.optimize(model, *halves, tmp_path, options=replace(OPTIONS, max_drop=0.0, seconds=60.0))
    assert any(c.plan.healed for c in result.tried)
    assert measure_graph(result.model.load()).params <= measure_graph(model.load()).params


def test_a_metric_that_cannot_be_lost_is_refused(
    model: sx.ModelArtifact, halves: Halves, tmp_path: Path
) -> None:
    with pytest.raises(sx.UsageError, match="no drop"):
        sx.optimize(model, *halves, tmp_path / "out", options=replace(OPTIONS, metric="sqnr"))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_search_cuts_on_where_branches_are_gone(
    residual: sx.ModelArtifact, samples: sx.CalibrationData, tmp_path: Path
) -> None:
    options = replace(OPTIONS, max_drop=0.2)
    with suppress(sx.ExpectationError):  # nothing need be faster here: what was tried is what counts
        sx.optimize(residual, samples, samples, tmp_path / "out", options=options)
    steps = tmp_path / "out" / "steps"
    tried = [json.loads(file.read_text()) for file in steps.glob("skipped-*-float32/result.json")]
    assert tried
    assert all({"skip", "prune"} <= set(figures) for figures in tried)

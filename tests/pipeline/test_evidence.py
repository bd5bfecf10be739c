"""Times of nodes and changed answers, from what a comparison recorded to the report."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sardonyx as sx
from PIL import Image
from sardonyx.pipeline.chain import Chain
from sardonyx.pipeline.documents import plain
from sardonyx.pipeline.evidence import changed_samples, node_costs, node_times
from sardonyx.pipeline.monitor import Silent
from sardonyx.pipeline.results import build_report
from sardonyx.runtime import ProfileOptions, profile_models


def profile(workplace: Path, *names: str) -> Any:
    models = {name: sx.open_model(workplace / "model.onnx") for name in names}
    return plain(profile_models(models, None, ProfileOptions(rounds=5, threads=1)))


def changed(index: int, label: int | None, before: int, after: int) -> dict[str, Any]:
    return {"index": index, "label": label, "before": before, "after": after}


def images(shape: tuple[int, ...]) -> sx.CalibrationData:
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return sx.CalibrationData.from_arrays({"image": array})


def test_times_of_two_models_stand_beside_each_other(workplace: Path) -> None:
    found = profile(workplace, "a", "b")
    times = node_times(found)
    before, after = ({n["node"]: 1000 * n["median_ms"] for n in m["nodes"]} for m in found["models"])
    assert set(times) == {*before, *after} >= {"first", "second", "head"}
    assert times["second"] == (before["second"], after["second"])


def test_one_model_has_times_after_only(workplace: Path) -> None:
    assert all(
        before is None and after is not None for before, after in node_times(profile(workplace, "a")).values()
    )
    assert (node_times(None), node_costs(None, {})) == ({}, ())


def test_nodes_carry_their_work_and_what_integers_did_not_help(workplace: Path) -> None:
    found = profile(workplace, "a", "b")
    change = next(c for c in found["change"]["nodes"] if c["node"] == "second")
    change.update(became_integer=True, verdict="no difference")
    nodes = {node.node: node for node in node_costs(found, {"second": "Conv"})}
    assert (nodes["second"].op_type, nodes["second"].note) == ("Conv", "integers did not help")
    assert nodes["second"].macs == 32 * 32 * 9 * 8 * 8
    assert nodes["second"].kernel


def test_changed_answers_come_with_pictures() -> None:
    rows = [changed(2, 7, 7, 1), changed(0, None, 3, -1)]
    found = changed_samples(
        [{"model": "x", "answers": []}, {"model": "m", "answers": rows}], "m", images((3, 1, 6, 5))
    )
    assert [(s.index, s.label, s.before, s.after) for s in found] == [
        (2, "7", "7", "1"),
        (0, "", "3", "none"),
    ]
    with Image.open(io.BytesIO(base64.b64decode(found[0].picture_png_base64))) as picture:
        assert picture.size == (5, 6)


@pytest.mark.parametrize("shape", [(3, 4), (3, 2, 6, 5)])
def test_what_is_no_picture_has_none(shape: tuple[int, ...]) -> None:
    found = changed_samples([{"model": "m", "answers": [changed(1, 1, 1, 2)]}], "m", images(shape))
    assert [s.picture_png_base64 for s in found] == [""]


def test_a_run_shows_what_its_comparison_recorded(workplace: Path) -> None:
    recipe = sx.read_recipe(workplace / "recipe.toml")
    result = sx.run_recipe(recipe, workplace / "out", base=workplace, command="sardonyx run r.toml")
    assert result.report.command == "sardonyx run r.toml"
    measured = {node.node: node for node in result.report.nodes}
    layers = [measured[name] for name in ("first", "second", "head")]
    assert all(layer.time_before_us and layer.time_after_us for layer in layers)
    recorded = next(r for r in result.records if r.kind == "compare").figures["comparison"]["changed"]
    assert len(result.report.changed) == len(next(f["answers"] for f in recorded if f["model"] == "quantize"))
    *steps, last = result.records
    names = [row["model"] for row in last.figures["comparison"]["rows"]]
    comparison = {
        **last.figures["comparison"],
        "changed": [{"model": names[-1], "answers": [changed(1, 0, 0, 2)]}],
    }
    figures = {"comparison": comparison, "profile": profile(workplace, "a", "b")}
    chain = Chain.start(recipe, workplace, Silent())
    for step, record in zip(recipe.steps, result.records, strict=True):
        chain.take(step, record)
    report = build_report(chain, [*steps, replace(last, figures=figures)])
    assert {node.node for node in report.nodes} >= {"first", "second", "head"}
    second = next(layer for layer in report.layers if layer.name == "second")
    assert second.time_before_us is not None
    assert second.bits in {7, 8, 32}
    assert report.changed[0].after == "2"
    with pytest.raises(KeyError):
        build_report(chain, [*steps, replace(last, figures={"profile": None})])

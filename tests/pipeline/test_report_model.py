from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sardonyx.core.errors import StorageError, UsageError
from sardonyx.pipeline.report import (
    Layer,
    Measured,
    RunReport,
    Stage,
    StageLatency,
    headline,
    print_report,
    reads_in_percent,
    to_json,
    write_json,
)
from sardonyx.pipeline.report.formats import change, count, digits, duration, interval, score, size, times


def report(verdict: str = "faster", speed: float = 2.0, value: float = 0.87, high: float = 0.02) -> RunReport:
    ratio = Measured(speed, speed * 0.9, speed * 1.1)
    before = StageLatency(1, Measured(4.0), Measured(1.0), "baseline")
    after = StageLatency(1, Measured(4.0 / speed), ratio, verdict)
    return RunReport(
        "t",
        "top1",
        (
            Stage("a", size_bytes=4000, params=1000, accuracy=Measured(0.88), latency=(before,)),
            Stage(
                "b",
                size_bytes=1000,
                params=250,
                accuracy=Measured(value),
                drop=Measured(0.88 - value, 0.001, high),
                latency=(after,),
            ),
        ),
    )


def spaced(text: str) -> str:
    """With plain spaces for the ones that keep a number and its unit together."""
    return text.replace("\u00a0", " ")


def test_the_headline_says_faster_smaller_and_what_was_lost() -> None:
    speed, small, lost = headline(report())
    assert (speed.value, speed.label, speed.tone) == ("2.00×", "faster", "good")
    assert (spaced(speed.detail), spaced(speed.certainty)) == (
        "batch 1 · 4.00 ms → 2.00 ms",
        "95 % interval 1.80 – 2.20",
    )
    assert (small.value, small.label) == ("4.00×", "smaller")
    assert (lost.value, lost.label, lost.tone) == ("−1.00", "points of top1", "bad")
    assert spaced(lost.certainty) == "95 % interval −2.00 to −0.10"


@pytest.mark.parametrize(
    ("verdict", "speed", "value", "tone"),
    [
        ("slower", 0.5, "2.00×", "bad"),
        ("no difference", 1.04, "1×", "neutral"),
        ("no difference", 3.0, "1×", "neutral"),
    ],
)
def test_noise_is_never_called_a_win(verdict: str, speed: float, value: str, tone: str) -> None:
    first = headline(report(verdict, speed))[0]
    assert (first.value, first.tone) == (value, tone)


def test_a_loss_inside_its_interval_is_neutral() -> None:
    changed = report()
    second = replace(changed.stages[1], drop=Measured(0.01, -0.01, 0.03))
    assert headline(replace(changed, stages=(changed.stages[0], second)))[2].tone == "neutral"


def test_less_can_be_better() -> None:
    assert headline(replace(report(value=0.8), higher_is_better=False))[2].tone == "good"


@pytest.mark.parametrize(("higher_is_better", "ends"), [(True, "−2.00 to −0.10"), (False, "+0.10 to +2.00")])
def test_a_drop_becomes_a_gain_in_the_direction_of_the_metric(higher_is_better: bool, ends: str) -> None:
    lost = headline(replace(report(), higher_is_better=higher_is_better))[2]
    assert ends in spaced(lost.certainty)


@pytest.mark.parametrize(
    ("metric", "percent"),
    [
        ("top1", True),
        ("top5", True),
        ("f1", True),
        ("retrieval", True),
        ("mae", False),
        ("own.py:score", False),
    ],
)
def test_what_is_at_most_one_is_read_in_percent(metric: str, percent: bool) -> None:
    assert reads_in_percent(metric) is percent


def test_one_model_has_no_headline() -> None:
    assert headline(replace(report(), stages=report().stages[:1])) == ()


def test_the_result_is_the_chosen_stage_or_the_last_with_a_model() -> None:
    both = report()
    assert both.result is both.stages[1]
    assert replace(both, chosen="a").result is both.stages[0]
    assert replace(both, stages=(*both.stages, Stage("bench"))).result is both.stages[1]


@pytest.mark.parametrize(
    ("before", "after", "ratio"), [(64, 16, 0.75), (64, 64, 0.0), (None, None, None), (8, None, None)]
)
def test_cut_share_of_a_layer(before: int | None, after: int | None, ratio: float | None) -> None:
    assert Layer("a", width_before=before, width_after=after).cut_ratio == ratio


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (count(1082442), "1.08 M"),
        (count(999), "999"),
        (count(999_999), "1.00 M"),
        (count(None), "–"),
        (size(4408678), "4.41 MB"),
        (times(9.7711), "9.77×"),
        (times(31.25), "31.2×"),
        (digits(0.0), "0"),
        (digits(-1234.5), "−1234"),
        (digits(float("inf")), "∞"),
        (digits(float("nan")), "undefined"),
        (score(0.8806, is_share=True), "88.06 %"),
        (score(31.25, is_share=False), "31.25"),
        (change(-0.002, is_share=True), "−0.20 points"),
        (change(0.0, is_share=False), "±0"),
        (interval(Measured(1.0, 0.98, 1.02)), "0.980 – 1.02"),
        (interval(Measured(1.0)), ""),
        (duration(0.44), "0.4 s"),
        (duration(125), "2 min 05 s"),
        (duration(3720), "1 h 02 min"),
    ],
)
def test_numbers_for_people(text: str, shown: str) -> None:
    assert spaced(text) == shown


def test_json_holds_everything_and_no_nan(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    changed = replace(report(), provenance={"folder": Path("a/b"), "n": np.int64(3), "x": float("inf")})  # type: ignore[dict-item]
    write_json(changed, path)
    read = json.loads(path.read_text(encoding="ascii"))
    assert read["stages"][1]["latency"][0]["speed_ratio"]["value"] == 2.0
    assert read["provenance"] == {"folder": "a/b", "n": 3, "x": None}
    assert read == to_json(changed)


def test_json_is_not_written_over_or_beside(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("old")
    with pytest.raises(UsageError, match="exists"):
        write_json(report(), tmp_path / "report.json")
    with pytest.raises(StorageError, match="does not exist"):
        write_json(report(), tmp_path / "missing" / "report.json")
    assert (tmp_path / "report.json").read_text() == "old"


def test_what_has_no_plain_form_is_refused() -> None:
    with pytest.raises(TypeError, match="no plain form"):
        to_json({"a": object()})


def test_a_pipe_gets_plain_text() -> None:
    stream = io.StringIO()
    print_report(report(), stream)
    assert "2.00× faster" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_a_stream_that_only_knows_ascii_does_not_break() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    print_report(report(), stream)
    assert b"2.00? faster" in raw.getvalue()

"""What a run came to, in a few large numbers; a difference that is none is not called one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .formats import change, count, interval, milliseconds, score, size, times
from .model import Measured, RunReport, Stage, StageLatency

Tone = Literal["good", "bad", "neutral"]


@dataclass(frozen=True)
class Figure:
    """One large number.

    Attributes:
        value: The number as text.
        label: What it is.
        detail: From what to what.
        certainty: Its interval, in words; empty where there is none.
        tone: Whether it is good news.
    """

    value: str
    label: str
    detail: str
    certainty: str
    tone: Tone


def headline(report: RunReport) -> tuple[Figure, ...]:
    """The large numbers of a report: speed at each batch size, size, accuracy lost.

    Args:
        report: The report; with fewer than two models there is nothing to say.
    """
    first, last = report.baseline, report.result
    if first is None or last is None or first is last:
        return ()
    figures = [_speed(first, latency) for latency in last.latency if latency.verdict != "baseline"]
    figures += [figure for figure in (_size(first, last), _accuracy(report, first, last)) if figure]
    return tuple(figures)


def _speed(first: Stage, latency: StageLatency) -> Figure:
    before = next((r.median_ms.value for r in first.latency if r.batch == latency.batch), None)
    ratio = latency.speed_ratio
    detail = f"batch {latency.batch} · {milliseconds(before)} → {milliseconds(latency.median_ms.value)}"
    ends = interval(ratio)
    if latency.verdict == "faster":
        return Figure(times(ratio.value), "faster", detail, _certainty(ends), "good")
    if latency.verdict == "slower":
        return Figure(times(1.0 / ratio.value), "slower", detail, _certainty(ends, "speed "), "bad")
    certainty = f"{_certainty(ends)}, within the noise" if ends else ""
    return Figure("1×", "no measurable difference in speed", detail, certainty, "neutral")


def _size(first: Stage, last: Stage) -> Figure | None:
    if not first.size_bytes or not last.size_bytes:
        return None
    ratio = first.size_bytes / last.size_bytes
    detail = f"{size(first.size_bytes)} → {size(last.size_bytes)}"
    if first.params and last.params:
        detail += f" · {count(first.params)} → {count(last.params)} parameters"
    if ratio >= 1.0:
        return Figure(times(ratio), "smaller", detail, "", "good" if ratio > 1.005 else "neutral")
    return Figure(times(1.0 / ratio), "larger", detail, "", "bad")


def _accuracy(report: RunReport, first: Stage, last: Stage) -> Figure | None:
    if first.accuracy is None or last.accuracy is None:
        return None
    gain = last.accuracy.value - first.accuracy.value
    detail = " → ".join(score(a.value, is_share=report.is_share) for a in (first.accuracy, last.accuracy))
    label = f"points of {report.metric}" if report.is_share else report.metric
    value = change(gain, is_share=report.is_share).removesuffix(" points")
    certainty = _certainty(_gain_interval(report, last.drop))
    return Figure(value, label, detail, certainty, _tone(report, gain, last.drop))


def _certainty(ends: str, of: str = "") -> str:
    return f"{of}95\u00a0% interval {ends}" if ends else ""


def _gain_interval(report: RunReport, drop: Measured | None) -> str:
    """The interval of a drop, turned into that of a gain."""
    if drop is None or drop.low is None or drop.high is None:
        return ""
    # A drop is what is worse; the gain is in the metric's own direction.
    gains = (-drop.high, -drop.low) if report.higher_is_better else (drop.low, drop.high)
    ends = [change(end, is_share=report.is_share).removesuffix(" points") for end in gains]
    return f"{ends[0]} to {ends[1]}"


def _tone(report: RunReport, gain: float, drop: Measured | None) -> Tone:
    """Neutral where the interval holds zero: the samples do not show a difference."""
    if drop is not None and drop.low is not None and drop.high is not None and drop.low <= 0.0 <= drop.high:
        return "neutral"
    if gain == 0.0:
        return "neutral"
    return "good" if (gain > 0) == report.higher_is_better else "bad"

"""A run's report: data, and what renders it as JSON, as one HTML page, as Markdown, and in a terminal."""

from __future__ import annotations

from .headline import Figure, headline
from .html import render_html
from .markdown import render_markdown
from .model import (
    ChangedSample,
    Curve,
    Layer,
    Measured,
    NodeCost,
    Point,
    RunReport,
    SkippedItem,
    Stage,
    StageLatency,
)
from .pareto import pareto_png
from .reading import read_report
from .serialize import to_json, write_json
from .stages import environment_of, is_share, latency_of, measured, reads_in_percent, report_of, stage_of
from .terminal import print_report, render_terminal

__all__ = [
    "ChangedSample",
    "Curve",
    "Figure",
    "Layer",
    "Measured",
    "NodeCost",
    "Point",
    "RunReport",
    "SkippedItem",
    "Stage",
    "StageLatency",
    "environment_of",
    "headline",
    "is_share",
    "latency_of",
    "measured",
    "pareto_png",
    "print_report",
    "read_report",
    "reads_in_percent",
    "render_html",
    "render_markdown",
    "render_terminal",
    "report_of",
    "stage_of",
    "to_json",
    "write_json",
]

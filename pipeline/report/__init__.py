"""A run's report: data, and what renders it as JSON, as one HTML page, and in a terminal."""

from __future__ import annotations

from .headline import Figure, headline
from .html import render_html
from .model import Curve, Layer, Measured, RunReport, SkippedItem, Stage, StageLatency
from .plots import pareto_png
from .serialize import to_json, write_json
from .stages import environment_of, is_share, latency_of, measured, report_of, stage_of
from .terminal import print_report, render_terminal

__all__ = [
    "Curve",
    "Figure",
    "Layer",
    "Measured",
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
    "render_html",
    "render_terminal",
    "report_of",
    "stage_of",
    "to_json",
    "write_json",
]

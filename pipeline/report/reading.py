"""A report read back from its JSON, which anyone may have written or changed since."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from ...core.errors import InputError
from ...core.plain_file import read_plain
from .model import RunReport, Stage, StageLatency
from .pictures import is_picture

MOST = {"stages": 200, "curves": 200, "changed": 10_000}
"""How many of these a report may have: each is drawn."""

_LARGEST = 1e18
"""No number of a report is larger: bytes, operations and microseconds stay far below."""

_VERDICTS = frozenset({"faster", "slower", "no difference", "baseline"})

_REPORT = TypeAdapter(RunReport)

_REMEDY = "name the folder of a run, whose report.json is as it was written"


def read_report(path: str | Path) -> RunReport:
    """Read a report.

    Parts that an older version did not write have their defaults; what is no part of a report, such as the figures of
    each step that a run adds, is left out.

    Args:
        path: The file, ``report.json``.

    Raises:
        InputError: It is missing, is no file or no JSON, or says something that a report cannot say; the error names
            the place.
        LimitError: It is too long.
    """
    content = read_plain(Path(path), "document_bytes", what="a report", remedy=_REMEDY, kind=InputError)
    try:
        document = _without_undefined(from_json(content, allow_inf_nan=False))
        report = _REPORT.validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise _refusal(path, ".".join(map(str, first["loc"])), first["msg"]) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}", remedy=_REMEDY) from None
    for place, complaint in _complaints(report):
        raise _refusal(path, place, complaint)
    return report


def _refusal(path: str | Path, place: str, complaint: str) -> InputError:
    text = complaint[:1].lower() + complaint[1:]
    return InputError(f"{path}: {place[:200] or 'the document'}: {text}", remedy=_REMEDY)


_MEASURED = {"value", "low", "high", "method"}


def _without_undefined(value: Any) -> Any:
    """Without measurements whose value was not finite, which JSON has as null."""
    if isinstance(value, dict):
        if value.keys() == _MEASURED and value["value"] is None:
            return None
        return {key: _without_undefined(item) for key, item in value.items()}
    return [_without_undefined(item) for item in value] if isinstance(value, list) else value


def _complaints(report: RunReport) -> Iterator[tuple[str, str]]:
    """What no report of a run says, though its types are right, each with its place."""
    for name, most in MOST.items():
        if len(getattr(report, name)) > most:
            yield name, f"more than {most} cannot be shown"
    for place, value in _numbers(report, ""):
        if not abs(value) <= _LARGEST:
            yield place, "the number is out of range"
    for index, stage in enumerate(report.stages):
        yield from _stage_complaints(f"stages.{index}", stage)
    for index, curve in enumerate(report.curves):
        if len(curve.steps) != len(curve.values):
            yield f"curves.{index}", "steps and values differ in number"
    for index, point in enumerate(report.points):
        if point.speed_ratio.value <= 0:
            yield f"points.{index}.speed_ratio", "the ratio is not positive"
    for index, sample in enumerate(report.changed):
        if sample.picture_png_base64 and not is_picture(sample.picture_png_base64):
            yield f"changed.{index}.picture_png_base64", "it is no small PNG in base64"
    for place, value in _counts(report):
        if value < 0:
            yield place, "the number is negative"


def _stage_complaints(place: str, stage: Stage) -> Iterator[tuple[str, str]]:
    for index, row in enumerate(stage.latency):
        here = f"{place}.latency.{index}"
        if row.verdict not in _VERDICTS:
            yield f"{here}.verdict", f"it is none of {', '.join(sorted(_VERDICTS))}"
        if min(_latencies(row)) <= 0:
            yield here, "a time or a ratio is not positive"


def _latencies(row: StageLatency) -> tuple[float, float, float]:
    return float(row.batch), row.median_ms.value, row.speed_ratio.value


def _counts(report: RunReport) -> Iterator[tuple[str, float]]:
    """Numbers that count something or say how long it took."""
    parts: tuple[tuple[str, tuple[Any, ...], tuple[str, ...]], ...] = (
        ("stages", report.stages, ("params", "macs", "size_bytes", "seconds")),
        ("layers", report.layers, ("width_before", "width_after", "bits", "time_before_us", "time_after_us")),
        ("points", report.points, ("size_bytes",)),
        ("nodes", report.nodes, ("time_before_us", "time_after_us", "macs")),
        ("changed", report.changed, ("index",)),
    )
    for name, items, fields in parts:
        for index, item in enumerate(items):
            for field in fields:
                value = getattr(item, field)
                if value is not None:
                    yield f"{name}.{index}.{field}", value


def _numbers(value: Any, place: str) -> Iterator[tuple[str, float]]:
    """Every number of a report with its place; depth is that of the data model."""
    if isinstance(value, bool):
        return
    if isinstance(value, int | float):
        yield place, value if isinstance(value, int) or math.isfinite(value) else math.inf
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _numbers(item, f"{place}.{index}".lstrip("."))
    elif dataclasses.is_dataclass(value) and not isinstance(value, Mapping):
        for field in dataclasses.fields(value):
            yield from _numbers(getattr(value, field.name), f"{place}.{field.name}".lstrip("."))

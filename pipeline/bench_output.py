"""What ``sardonyx bench`` writes: a versioned JSON document, its schema, and the same rows as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from ..core.errors import DataError
from ..core.plain_file import read_plain
from ..runtime import Environment, LatencyReport, LatencyRow, environment_fingerprint
from ..runtime.pace import PACE
from .documents import plain
from .placing import ModelPlacement
from .speed_gate import Gate

Schema = Literal["sardonyx.bench/1"]

SCHEMA: Schema = "sardonyx.bench/1"
"""The form of the document; a change that takes something away, or gives it another meaning, has another number."""

CSV_COLUMNS = ("asked_provider", *(field.name for field in fields(LatencyRow)))
"""The provider that was asked for, and then what a row holds."""

_REMEDY = "name a document that `sardonyx bench --json` printed"


@dataclass(frozen=True)
class BenchDocument:
    """One call of ``sardonyx bench``.

    Attributes:
        schema: The form of the document.
        verb: ``bench``.
        pace: The workload that times are relative to.
        environment: The machine; ``state`` is that at the end.
        providers: One report for each provider and number of threads.
        gate: What the times are against those of an earlier document; None where none was given.
        placements: Which provider ran which node, where it was asked for.
    """

    schema: Schema
    verb: Literal["bench"]
    pace: str
    environment: Environment
    providers: tuple[LatencyReport, ...]
    gate: Gate | None = None
    placements: tuple[ModelPlacement, ...] = ()


def bench_document(
    reports: Sequence[LatencyReport],
    *,
    gate: Gate | None = None,
    placements: Sequence[ModelPlacement] = (),
) -> BenchDocument:
    """Put what was measured into the form that is written.

    Args:
        reports: What :func:`~sardonyx.pipeline.bench` returned.
        gate: What came of an earlier document.
        placements: Which provider ran which node.
    """
    machine = environment_fingerprint()
    return BenchDocument(SCHEMA, "bench", PACE, machine, tuple(reports), gate, tuple(placements))


def bench_schema() -> dict[str, Any]:
    """The JSON Schema of the document."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_form().json_schema()}


def read_bench(path: str | Path) -> BenchDocument:
    """Read a document that was printed before.

    Raises:
        DataError: The file is missing, too long, or holds no such document; the error names the place.
    """
    content = read_plain(
        Path(path), "document_bytes", what="a document of bench", remedy=_REMEDY, kind=DataError
    )
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}", remedy=_REMEDY) from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise DataError(f"{path} is not of the form {SCHEMA}", remedy=_REMEDY)
    try:
        return _form().validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(f"{path}: {place}: {first['msg']}", remedy=_REMEDY) from None


def bench_csv(reports: Iterable[LatencyReport]) -> bytes:
    """One line for each model, provider, batch size and number of threads, under a line of :data:`CSV_COLUMNS`.

    Args:
        reports: What was measured.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for report in reports:
        for row in report.rows:
            cells = {**plain(row), "warnings": "; ".join(row.warnings)}
            writer.writerow([report.options.provider, *cells.values()])
    return text.getvalue().encode("utf8")


@cache
def _form() -> TypeAdapter[BenchDocument]:
    return TypeAdapter(BenchDocument)

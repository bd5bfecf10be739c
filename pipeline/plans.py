"""Plans of pruning as files: what goes from each group, to be looked at, kept, and replayed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ..core.errors import UsageError
from ..core.files import check_output, write_atomic
from ..core.plain_file import read_plain
from ..passes.pruning import PLAN_SCHEMA, PlannedCut, PrunePlan
from .documents import json_bytes

_PLAN = TypeAdapter(PrunePlan)


def write_plan(plan: PrunePlan, path: Path, *, force: bool = False) -> None:
    """Write a plan as JSON.

    Args:
        plan: The plan.
        path: The file to write.
        force: Whether an existing file may be replaced.

    Raises:
        UsageError: The file exists.
        StorageError: It cannot be written.
    """
    check_output(path, force=force)
    write_atomic(path, json_bytes({"schema": PLAN_SCHEMA, **asdict(plan)}))


def read_plan(path: str | Path) -> PrunePlan:
    """Read a plan that was written before.

    Raises:
        UsageError: The file is missing, too long, or holds no plan.
    """
    path = Path(path)
    remedy = "name a file that --save-plan wrote"
    content = read_plain(path, "document_bytes", what="a plan", remedy=remedy, kind=UsageError)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} is not JSON: {error}", remedy="name a file that --save-plan wrote"
        ) from error
    return parse_plan(document, origin=str(path))


def parse_plan(document: Any, origin: str = "plan") -> PrunePlan:
    """Check a plan that is already plain data.

    Raises:
        UsageError: It is no plan; the error names the place.
    """
    if not isinstance(document, dict) or document.pop("schema", None) != PLAN_SCHEMA:
        raise UsageError(
            f"{origin} is no plan of the form {PLAN_SCHEMA}", remedy="plan again with --save-plan"
        )
    try:
        plan = _PLAN.validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise UsageError(f"{origin}: {place}: {first['msg']}", remedy="plan again with --save-plan") from None
    for index, cut in enumerate(plan.cuts):
        if not _is_sound(cut):
            raise UsageError(
                f"{origin}: cuts.{index}: positions must rise from 0, stay below {cut.width} and leave one",
                remedy="plan again with --save-plan",
            )
    return plan


def _is_sound(cut: PlannedCut) -> bool:
    rises = all(a < b for a, b in zip(cut.cut, cut.cut[1:], strict=False))
    return (
        bool(cut.cut) and rises and cut.cut[0] >= 0 and cut.cut[-1] < cut.width and len(cut.cut) < cut.width
    )

"""The table of limits in the documentation is the one of the code."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from sardonyx import Limits, UsageError
from sardonyx.cli.admit import parse_limits
from sardonyx.core.limits import current_limits, use_limits

PAGE = Path(__file__).parents[2] / "docs" / "trust.md"
UNITS = {"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "s": 1}


def number(text: str) -> float:
    value, _, unit = text.partition(" ")
    return float(value.replace(",", "")) * UNITS.get(unit, 1)


def test_every_limit_is_listed_with_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\d., GMKiBs]+) \|", PAGE.read_text(encoding="utf8"), re.MULTILINE)
    listed = {name: number(text) for name, text in rows}
    assert listed == pytest.approx({field.name: field.default for field in fields(Limits)}, rel=1e-3)


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_every_limit_can_be_set(name: str) -> None:
    assert getattr(parse_limits([f"{name}=7"]), name) == 7


def test_what_is_set_holds_within_the_block() -> None:
    with use_limits(parse_limits(["nodes=7", "inference_s=2m", "file_bytes=1MiB"])):
        found = current_limits()
    assert (found.nodes, found.inference_s, found.file_bytes) == (7, 120.0, 1 << 20)
    assert current_limits() == Limits()


@pytest.mark.parametrize("text", ["nodes", "node=3", "nodes=0", "nodes=-1", "nodes=many", "inference_s=nan"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--admit|size|time"):
        parse_limits([text])

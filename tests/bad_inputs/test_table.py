"""The table in the documentation is the one of the tests, and every row of it was met."""

from __future__ import annotations

import re
from pathlib import Path

from trust_rows import ROWS, table_of

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "trust.md"


def test_every_row_is_tried_or_struck() -> None:
    marks = (re.findall(r"\brow\((\d+)\)", path.read_text("utf8")) for path in HERE.glob("test_*.py"))
    tried = {int(number) for found in marks for number in found}
    assert sorted({n for n, row in ROWS.items() if not row.struck} - tried) == []


def test_the_page_holds_every_row_and_each_was_met() -> None:
    table = table_of(PAGE.read_text("utf8"))
    assert {n: cells[0] for n, cells in table.items()} == {n: row.tried for n, row in ROWS.items()}
    assert {n: cells[3] for n, cells in table.items() if cells[3] not in {"as specified", "struck"}} == {}

"""Text for terminals."""

from __future__ import annotations

import pytest
from sardonyx.cli.text import clean, count, parse_size, share, shorten, size, table
from sardonyx.core.errors import UsageError


@pytest.mark.parametrize(
    ("hostile", "harmless"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\x00b", "a\\x00b"),
        ("line\nbreak", "line\\nbreak"),
        ("\u202etxt.exe", "\\u202etxt.exe"),
        ("[bold]Größe[/bold]", "[bold]Größe[/bold]"),
    ],
)
def test_unprintable_characters_are_escaped(hostile: str, harmless: str) -> None:
    assert clean(hostile) == harmless


def test_a_long_name_is_cut_in_the_middle() -> None:
    assert shorten("a" * 1_000_000 + "z") == "a" * 29 + "…" + "a" * 28 + "z"


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, "?"), (0, "0"), (999, "999"), (11_700_000, "11.7 M"), (2e9, "2 G"), (-1500, "-1.5 k")],
)
def test_counts(number: float | None, text: str) -> None:
    assert count(number) == text


@pytest.mark.parametrize(("number", "text"), [(None, "?"), (12, "12 B"), (46_800_000, "46.8 MB")])
def test_sizes(number: float | None, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"), [(1, 4, "0.250"), (None, 4, "?"), (1, 0, "?"), (1, None, "?")]
)
def test_shares(part: float | None, whole: float | None, text: str) -> None:
    assert share(part, whole) == text


def test_numbers_stand_on_the_right() -> None:
    assert table(("name", "n"), [("a", 5), ("long", 1000)]) == "name     n\na        5\nlong  1000"


@pytest.mark.parametrize(
    ("text", "number"),
    [("4096", 4096), ("512MB", 512_000_000), ("1.5 gb", 1_500_000_000), ("2GiB", 2 * 2**30), ("7k", 7000)],
)
def test_sizes_are_read(text: str, number: int) -> None:
    assert parse_size(text) == number


@pytest.mark.parametrize("text", ["", "GB", "-1", "1e9", "0.2", "1 PB", "12 monkeys", "9" * 400, "١GB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a size"):
        parse_size(text)

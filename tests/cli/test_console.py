"""What goes to stdout and what to stderr."""

from __future__ import annotations

import json

import pytest
from sardonyx.cli.console import Console


def test_with_json_stdout_holds_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(json_wanted=True)
    console.say("for people")
    console.document({"a": None})
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"a": None}
    assert captured.err == "for people\n"


def test_without_json_stdout_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.say("for people")
    console.note("on the way")
    console.document({"a": 1})
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("for people\n", "on the way\n")


@pytest.mark.parametrize("way", ["say", "note"])
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("frozen: a\nwrote b\r\x1b[A", "frozen: a\\nwrote b\\r\\x1b[A"),
        ("x" * 1_000_000, "x" * 499 + "…" + "x" * 499),
    ],
    ids=["two lines", "a megabyte"],
)
def test_a_name_makes_no_line_of_its_own_and_none_without_end(
    capsys: pytest.CaptureFixture[str], way: str, text: str, line: str
) -> None:
    getattr(Console(), way)(text)
    assert "".join(capsys.readouterr()) == line + "\n"


def test_a_table_keeps_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    Console().show("a\x1b\nb")
    assert capsys.readouterr().out == "a\\x1b\nb\n"


@pytest.mark.parametrize(("verbose", "printed"), [(False, ""), (True, "more\n")])
def test_details_need_to_be_asked_for(
    capsys: pytest.CaptureFixture[str], verbose: bool, printed: str
) -> None:
    Console(verbose=verbose).detail("more")
    assert capsys.readouterr().out == printed


def test_a_document_cannot_hold_nan() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        Console(json_wanted=True).document({"a": float("nan")})


def test_progress_off_a_terminal_is_plain_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sardonyx.cli.console._EVERY_S", 0.0)
    with Console().progress("cut\x1b") as report:
        report(1, 2)
        report(2, 2)
    assert capsys.readouterr().err == "cut\\x1b: 1/2\ncut\\x1b: 2/2\n"


@pytest.mark.parametrize(
    ("passed_s", "line"),
    [(5.0, "cut: 1/4, 15 s left\n"), (60.0, "cut: 1/4, 3 min left\n"), (0.1, "cut: 1/4\n")],
)
def test_progress_says_how_long_is_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, passed_s: float, line: str
) -> None:
    monkeypatch.setattr("sardonyx.cli.console._EVERY_S", 0.0)
    clock = iter((100.0, 100.0 + passed_s))
    monkeypatch.setattr("sardonyx.cli.console.time.monotonic", lambda: next(clock))
    with Console().progress("cut") as report:
        report(1, 4)
    assert capsys.readouterr().err == line


def test_progress_on_a_terminal_is_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Console().progress("[red]cutting") as report:
        report(1, 2)
    assert capsys.readouterr().out == ""

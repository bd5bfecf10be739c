"""``sardonyx bench`` on the command line: sweeps, documents, CSV, and the gate."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sardonyx.cli.bench import parse_options
from sardonyx.cli.text import parse_share
from sardonyx.core.errors import UsageError
from sardonyx.runtime.pace import pace_model

Call = Callable[..., Any]
QUICK = ("--batch", "1", "--rounds", "5", "--seconds", "0.5")
ONE = (*QUICK, "--threads", "1")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with ``m.onnx``, which is the pace itself."""
    monkeypatch.chdir(tmp_path)
    pace_model().save(tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


@pytest.fixture
def baseline(call: Call, model: Path) -> dict[str, Any]:
    """A document of ``m.onnx``, in ``old.json`` too."""
    found: dict[str, Any] = call("bench", "m.onnx", *ONE, "--json").document
    Path("old.json").write_text(json.dumps(found))
    return found


def planted(document: dict[str, Any], factor: float) -> None:
    """Write a baseline in which everything was faster by this factor, and certain."""
    for row in document["providers"][0]["rows"]:
        row["pace_ratio"] = row["pace_low_ratio"] = row["pace_high_ratio"] = 1.0 / factor
    Path("old.json").write_text(json.dumps(document))


@pytest.mark.parametrize("more", [(), ("-v",), ("--memory",)])
def test_tables_fit_into_80_columns(call: Call, model: Path, more: tuple[str, ...]) -> None:
    long = "a_model_with_a_rather_long_name_for_a_terminal.onnx"
    Path(long).write_bytes(model.read_bytes())
    outcome = call("bench", "m.onnx", long, *ONE, *more)
    lines = [line for line in outcome.out.splitlines() if line.startswith(("model", "m.onnx ", "a_mod"))]
    assert outcome.code == 0
    assert len(lines) == (3 if not more else 6)
    assert max(map(len, lines)) <= 80
    assert ("load" in outcome.out) == bool(more)


def test_threads_are_swept(call: Call, model: Path) -> None:
    document = call("bench", "m.onnx", *QUICK, "--threads", "1", "--threads", "2", "--json").document
    assert document["schema"] == "sardonyx.bench/1"
    assert [p["rows"][0]["threads"] for p in document["providers"]] == [1, 2]


def test_cold_caches_are_asked_for_and_said(call: Call, model: Path) -> None:
    outcome = call("bench", "m.onnx", *ONE, "--cold")
    assert "note: cold: ahead of each timed run" in outcome.out


def test_csv_goes_to_stdout_and_words_to_stderr(call: Call, model: Path) -> None:
    outcome = call("bench", "m.onnx", *ONE, "--csv", "-")
    (row,) = csv.DictReader(io.StringIO(outcome.out))
    assert (row["model"], row["batch"]) == ("m.onnx", "1")
    assert "rounds in turns" in outcome.err


def test_csv_is_not_replaced_without_force(call: Call, model: Path) -> None:
    Path("t.csv").write_text("mine")
    assert call("bench", "m.onnx", *ONE, "--csv", "t.csv").code == 2
    assert Path("t.csv").read_text() == "mine"
    assert call("bench", "m.onnx", *ONE, "--csv", "t.csv", "--force").code == 0
    assert Path("t.csv").read_text().startswith("asked_provider,model,batch")


def test_a_gate_that_holds_is_exit_0(call: Call, baseline: dict[str, Any]) -> None:
    planted(baseline, 0.1)
    outcome = call("bench", "m.onnx", *ONE, "--baseline", "old.json", "--json")
    assert outcome.code == 0
    assert outcome.document["gate"]["rows"][0]["verdict"] == "holds"


def test_a_gate_that_fails_is_exit_1_and_the_document(call: Call, baseline: dict[str, Any]) -> None:
    planted(baseline, 10.0)
    outcome = call("bench", "m.onnx", *ONE, "--baseline", "old.json", "--max-regression", "20%", "--json")
    assert outcome.code == 1
    assert outcome.document["gate"]["rows"][0]["verdict"] == "slower"
    assert "m.onnx at batch 1, 1 thread, on cpu takes" in outcome.document["error"]["cause"]
    assert "more than 1.2" in outcome.document["error"]["cause"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--baseline", "none.json"), 3),
        (("--baseline", "m.onnx"), 3),
        (("--baseline", "old.json", "--batch", "2"), 3),
        (("--baseline", "old.json", "--cold"), 2),
        (("--baseline", "old.json", "--max-regression", "much"), 2),
        (("--max-regression", "5%"), 2),
        (("--csv", "-", "--json"), 2),
        (("--csv", "none/t.csv"), 5),
        (("--csv", "m.onnx", "--force"), 2),
        (("--ep-option", "device_id=0"), 2),
        (("--ep-option", "device_id"), 2),
        (("--rounds", "1"), 2),
        (("--threads", "1"), 2),
    ],
)
def test_refusals_come_ahead_of_the_timing(
    call: Call, baseline: dict[str, Any], words: tuple[str, ...], code: int
) -> None:
    outcome = call("bench", "m.onnx", *ONE, *words)
    assert outcome.code == code
    assert "rounds in turns" not in outcome.out + outcome.err


def test_options_of_a_provider_are_pairs() -> None:
    assert parse_options(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}
    for wrong in (["a"], ["=1"], ["a=1", "a=2"]):
        with pytest.raises(UsageError, match="--ep-option"):
            parse_options(wrong)


@pytest.mark.parametrize(
    ("text", "share"), [("5%", 0.05), ("0.05", 0.05), (".5", 0.5), ("12.5 %", 0.125), ("0", 0)]
)
def test_shares_are_read(text: str, share: float) -> None:
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "five", "-5%", "5%%", "nan", "1e3", "inf"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a share"):
        parse_share(text)

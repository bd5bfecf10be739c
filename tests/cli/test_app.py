"""The frame of the command line: help, exit codes, and errors as two lines."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sardonyx.cli import app
from sardonyx.core.errors import (
    ExpectationError,
    LimitError,
    MissingExtraError,
    ModelError,
    SardonyxError,
    UsageError,
)

VERBS = (
    "export",
    "inspect",
    "prune",
    "quantize",
    "heal",
    "distill",
    "compare",
    "bench",
    "profile",
    "optimize",
    "package",
    "verify",
    "run",
    "report",
    "data",
    "doctor",
)


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let ``doctor`` raise an error."""

    def raise_it() -> None:
        raise error

    monkeypatch.setattr("sardonyx.pipeline.doctor.diagnose", raise_it)


def test_help_names_every_verb_that_works_and_no_other(call: Callable[..., Any]) -> None:
    outcome = call("--help")
    listed = [
        line.split()[0] for line in outcome.out.split("Commands:")[1].split("\n\n")[0].strip().splitlines()
    ]
    assert outcome.code == 0
    assert tuple(listed) == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_takes_the_common_flags(call: Callable[..., Any], verb: str) -> None:
    shown = call(verb, "--help").out
    assert all(flag in shown for flag in ("--json", "--seed", "--force", "-v", "--debug"))


def test_the_version_is_that_of_the_package(call: Callable[..., Any]) -> None:
    import sardonyx

    assert call("--version").out.strip() == sardonyx.__version__


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ExpectationError("slow", remedy="wait"), 1),
        (UsageError("both", remedy="one"), 2),
        (ModelError("broken", remedy="mend"), 3),
        (LimitError("large", remedy="less"), 4),
        (MissingExtraError("torch", "torch"), 5),
    ],
)
def test_an_error_is_two_lines_and_a_code(
    call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, error: SardonyxError, code: int
) -> None:
    failing(monkeypatch, error)
    outcome = call("doctor")
    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err == f"error: {error.cause}\nhint: {error.remedy}\n"


def test_with_json_an_error_is_a_document_too(
    call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, ModelError("broken", remedy="mend"))
    assert call("doctor", "--json").document == {
        "error": {"type": "ModelError", "cause": "broken", "remedy": "mend", "exit_code": 3}
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), 130), (app.Terminated(), 143), (MemoryError(), 4), (ValueError("x"), 70)],
)
def test_what_nobody_raised_on_purpose_has_a_code_too(
    call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    failing(monkeypatch, error)
    outcome = call("doctor")
    assert outcome.code == code
    assert "Traceback" not in outcome.err


def test_debug_shows_the_traceback(call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, ValueError("deep down"))
    outcome = call("doctor", "--debug")
    assert "Traceback" in outcome.err
    assert "deep down" in outcome.err


@pytest.mark.parametrize(
    "arguments",
    [("prnue",), ("prune",), ("prune", "--colour", "red"), ("run", "r.toml"), ("doctor", "--seed", "x")],
)
def test_usage_errors_are_two_lines_and_code_2(call: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    outcome = call(*arguments)
    assert outcome.code == 2
    assert [line.split(":")[0] for line in outcome.err.splitlines()] == ["error", "hint"]


def test_names_in_errors_cannot_move_the_cursor(call: Callable[..., Any]) -> None:
    outcome = call("inspect", "\x1b[2Jnone.onnx")
    assert "\x1b" not in outcome.err


def test_sigterm_is_143_and_removes_what_was_begun(tmp_path: Path) -> None:
    source = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from sardonyx.cli.app import main\n"
        "from sardonyx.core.files import atomic_folder\n"
        "import sardonyx.pipeline.doctor as doctor\n"
        "def hang():\n"
        "    with atomic_folder(Path(sys.argv[1], 'out')):\n"
        "        print('begun', flush=True)\n"
        "        time.sleep(60)\n"
        "doctor.diagnose = hang\n"
        "main(['doctor'])\n"
    )
    child = subprocess.Popen([sys.executable, "-c", source, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "begun\n"
    child.send_signal(signal.SIGTERM)
    assert child.wait(30) == 143
    assert list(tmp_path.iterdir()) == []


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    watch = "import sys; from sardonyx.cli.app import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    watch += "heavy = {'torch', 'onnxruntime', 'onnx', 'onnx_ir', 'numpy', 'scipy', 'pydantic', 'rich', 'matplotlib'}\n"
    watch += "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", watch], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.slow
def test_help_answers_in_under_300_ms() -> None:
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "sardonyx", "--help"], capture_output=True, check=True)
        seconds.append(time.perf_counter() - start)
    assert statistics.median(seconds) < 0.3


@pytest.mark.parametrize(
    "environment",
    [{"LANG": "C", "PYTHONIOENCODING": "ascii"}, {"TERM": "dumb", "COLUMNS": "20"}, {"HOME": "/nowhere"}],
)
def test_json_is_the_same_bytes_everywhere(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "sardonyx", "inspect", "größe\u202e.onnx", "--json"]
    base = {k: v for k, v in os.environ.items() if k not in {"LANG", "LC_ALL", "HOME", "TERM"}}
    done = subprocess.run(command, capture_output=True, env={**base, **environment}, check=False)
    assert done.returncode == 3
    assert "größe" in json.loads(done.stdout)["error"]["cause"]
    assert b"Traceback" not in done.stderr

"""Commands in a process of their own: they give what they always give, and whatever ends them is said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx.parser
import pytest
from sardonyx.cli.bounded import run_apart
from sardonyx.cli.console import DocumentedError
from sardonyx.core.bounds import Bounds

MODEL = '<ir_version: 9, opset_import: ["" : 18]> g (float[N,4] x) => (float[N,4] y) { y = Relu(x) }'
METRICS = """
import os, pathlib, signal, subprocess, time

def crash(path):
    os.kill(os.getpid(), signal.SIGSEGV)

def second(path):
    return 1.0 if path.endswith("m.onnx") else crash(path)

def linger(path):
    pathlib.Path("child").write_text(str(subprocess.Popen(["sleep", "100"]).pid))
    time.sleep(100)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("m.onnx").write_bytes(onnx.parser.parse_model(MODEL).SerializeToString())
    Path("metrics.py").write_text(METRICS)
    np.savez("d.npz", x=np.ones((2, 4), np.float32))
    return tmp_path


def is_there(pid: int) -> bool:
    try:
        return b"\nState:\tZ" not in Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return False


def ends(pid: int) -> bool:
    deadline = time.monotonic() + 30
    while is_there(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_there(pid)


def measure(metric: str) -> list[str]:
    return ["compare", "m.onnx", "--data", "d.npz", "--metric", f"metrics.py:{metric}"]


def test_a_document_is_passed_on_as_it_is(place, capfd) -> None:
    for flags in ([], ["--untrusted"]):
        done = subprocess.run(
            [sys.executable, "-m", "sardonyx", "inspect", "m.onnx", "--json", *flags], check=True
        )
        assert done.returncode == 0
    plain, bounded = capfd.readouterr().out.split("}\n{")
    assert json.loads(plain + "}") == json.loads("{" + bounded)


def test_a_refusal_keeps_its_own_code_and_words(place, capfd) -> None:
    assert run_apart(["inspect", "metrics.py"], Bounds(), json_wanted=False) == 3
    lines = capfd.readouterr().err.splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["error:", "hint:"]


def test_a_crash_is_an_error_like_others(place) -> None:
    with pytest.raises(DocumentedError) as caught:
        run_apart(measure("crash"), Bounds(), json_wanted=True)
    assert (caught.value.error.exit_code, "SIGSEGV ended it" in caught.value.error.cause) == (5, True)
    assert caught.value.document["partial"]["steps"][0]["step"] == "comparing"


def test_its_time_ends(place) -> None:
    with pytest.raises(DocumentedError) as caught:
        run_apart(measure("linger"), Bounds(seconds=0.5), json_wanted=False)
    assert "its time of 0.5 s was up" in caught.value.error.cause


def test_what_came_out_before_a_crash_is_not_lost(place, capfd) -> None:
    Path("z.onnx").write_bytes(Path("m.onnx").read_bytes())
    with pytest.raises(DocumentedError) as caught:
        run_apart([*measure("second")[:2], "z.onnx", *measure("second")[2:]], Bounds(), json_wanted=True)
    known = {
        "step": "m.onnx: metrics.py:second 1",
        "model": "m.onnx",
        "metric": "metrics.py:second",
        "value": 1.0,
    }
    assert known in caught.value.document["partial"]["steps"]
    assert "until then: m.onnx: metrics.py:second 1" in capfd.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_child_ends_with_its_parent(place, number) -> None:
    command = [sys.executable, "-m", "sardonyx", *measure("linger"), "--untrusted"]
    # where the tests run in the background, the shell has them ignore interrupts
    heed = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    parent = subprocess.Popen(command, stderr=subprocess.PIPE, **heed)
    while not (place / "child").exists() or not (place / "child").read_text():
        time.sleep(0.05)
    os.kill(parent.pid, number)
    _, said = parent.communicate(timeout=60)
    assert parent.returncode == {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[number]
    assert said.decode().count("error:") == (0 if number == signal.SIGKILL else 1)
    assert ends(int((place / "child").read_text()))


def test_what_it_had_begun_to_write_is_removed(place) -> None:
    (place / "metrics.py").write_text(
        "import os, pathlib, signal\nfrom sardonyx.core.files import write_atomic\n"
        "def die(file):\n    file.write(b'half')\n    file.flush()\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "def half(path):\n    write_atomic(pathlib.Path('out.bin'), die)\n"
    )
    before = sorted(place.iterdir())
    with pytest.raises(DocumentedError, match="SIGKILL ended it"):
        run_apart(measure("half"), Bounds(), json_wanted=False)
    assert [path for path in sorted(place.iterdir()) if path.name != "__pycache__"] == before


@pytest.mark.skipif(os.name != "posix", reason="there are no such limits elsewhere")
def test_other_systems_are_told(monkeypatch) -> None:
    monkeypatch.setattr("os.name", "nt")
    from sardonyx import EnvironmentFault

    with pytest.raises(EnvironmentFault, match="POSIX"):
        run_apart(["doctor"], Bounds(), json_wanted=False)

"""Rows 68 to 72: what the machine lacks or does meanwhile, numbers that say nothing, and places to run in."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import numpy_helper
from sardonyx.cli.app import main
from sardonyx.runtime import latency
from sardonyx.runtime.timing import time_interleaved

NET = "g (float[N,8] x) => (float[N,4] y) { h = MatMul(x, w)  y = MatMul(h, v) }"


@pytest.fixture
def net(write: Any, parse: Any, samples: Any) -> None:
    """Two products, and samples with labels."""
    model = parse(NET)
    random = np.random.default_rng(0)
    for name, shape in (("w", (8, 16)), ("v", (16, 4))):
        model.graph.initializer.append(numpy_helper.from_array(random.normal(size=shape).astype("f4"), name))
    write(model)
    samples(x=random.normal(size=(16, 8)).astype("f4"), labels=np.arange(16) % 4)


NO_CUDA = pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this ONNX Runtime has CUDA"
)
ON_CUDA = {
    "bench": "bench m.onnx --ep cuda --rounds 5 --batch 1",
    "compare": "compare m.onnx --data d.npz --ep cuda --batch 1",
    "profile": "profile m.onnx --ep cuda --rounds 5",
}


@NO_CUDA
@pytest.mark.row(68)
@pytest.mark.usefixtures("net")
@pytest.mark.parametrize("command", [*ON_CUDA.values(), "OPTIMIZE"], ids=[*ON_CUDA, "optimize"])
def test_a_provider_that_is_not_here(refused: Any, command: str) -> None:
    optimize = "optimize m.onnx --calib d.npz --eval d.npz --max-drop 0.1 --ep cuda -o out"
    words = command.replace("OPTIMIZE", optimize).split()
    told = refused(*words, code=5, says="CUDAExecutionProvider was asked for")
    assert "--allow-fallback" in told or "pip install" in told


@NO_CUDA
@pytest.mark.row(68)
@pytest.mark.usefixtures("net")
@pytest.mark.parametrize("command", ON_CUDA.values(), ids=ON_CUDA)
def test_a_cpu_that_may_stand_in_is_said(accepted: Any, command: str) -> None:
    found = accepted(*command.split(), "--allow-fallback", cpu_s=60)
    assert "CUDAExecutionProvider was asked for" in found.out + found.err


@pytest.mark.row(68)
@pytest.mark.usefixtures("net")
def test_a_provider_that_nobody_knows(refused: Any) -> None:
    refused("bench", "m.onnx", "--ep", "abacus", code=2, says="abacus")


BLOCKED = """import sys
for name in NAMES:
    sys.modules[name] = None
from sardonyx.cli.app import main
main(sys.argv[1:])
"""
MISSING = {
    "torch": ("export net.py:net --input x=1x3 -o e.onnx", 'pip install "sardonyx[torch]"'),
    "safetensors": (
        "export net.py:net --weights w.safetensors --input x=1x3 -o e.onnx",
        'pip install "sardonyx[torch]"',
    ),
    "optuna": (
        "optimize m.onnx --calib d.npz --eval d.npz --max-drop 0.1 -o out",
        'pip install "sardonyx[search]"',
    ),
    "sklearn": ("quantize m.onnx --calib digits -o q.onnx", 'pip install "sardonyx[demo]"'),
    "onnxruntime": ("quantize m.onnx --calib d.npz -o q.onnx", 'pip install "sardonyx[cpu]"'),
}


def in_a_process(
    place: Path, code: str, *words: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python code with arguments in the folder, in a process that begins anew."""
    command = [sys.executable, "-c", code, *words]
    variables = {**os.environ, "SARDONYX_CACHE": str(place / "cache"), **(environment or {})}
    return subprocess.run(command, cwd=place, capture_output=True, text=True, env=variables, check=False)


@pytest.mark.row(69)
@pytest.mark.usefixtures("net")
@pytest.mark.parametrize("package", MISSING)
def test_a_package_that_is_missing(place: Path, package: str) -> None:
    command, remedy = MISSING[package]
    (place / "net.py").write_text("from torch import nn\n\n\ndef net():\n    return nn.Linear(3, 2)\n")
    (place / "w.safetensors").write_bytes(b"")
    found = in_a_process(place, BLOCKED.replace("NAMES", repr([package])), *command.split())
    assert found.returncode == 5, found.stderr
    name = {"sklearn": "scikit-learn"}.get(package, package)
    assert found.stderr.splitlines()[-2:] == [f"error: {name} is not installed", f"hint: run: {remedy}"]
    assert {path.name for path in place.iterdir()} <= {"m.onnx", "d.npz", "net.py", "w.safetensors", "cache"}


@pytest.mark.row(69)
@pytest.mark.usefixtures("net")
def test_what_needs_no_such_package_runs_without_it(place: Path) -> None:
    blocked = ["torch", "accelerate", "safetensors", "tensorboard", "optuna", "sklearn"]
    words = "quantize m.onnx --calib d.npz -o q.onnx".split()
    found = in_a_process(place, BLOCKED.replace("NAMES", repr(blocked)), *words)
    assert found.returncode == 0, found.stderr
    assert (place / "q.onnx").is_file()


@pytest.fixture
def said(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Any:
    """Run the command line in this process, whose clock and packages a test can change; returns what it printed."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("SARDONYX_CACHE", str(tmp_path / "cache"))

    def run(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(list(words))
        printed = capsys.readouterr()
        assert (left.value.code or 0) == code, printed.err
        return printed.out + printed.err

    return run


@pytest.mark.row(69)
@pytest.mark.usefixtures("net")
def test_an_onnxruntime_that_is_too_old(said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "__version__", "1.16.3")
    told = said("bench", "m.onnx", code=5)
    assert told == (
        'error: onnxruntime 1.16.3 is older than 1.22\nhint: run: pip install -U "onnxruntime>=1.22"\n'
    )


BENCH = ("bench", "m.onnx", "m.onnx", "--rounds", "5", "--batch", "1")


@pytest.mark.row(70)
@pytest.mark.usefixtures("net")
def test_a_clock_that_is_set_changes_no_time(said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    jumps = itertools.cycle([0.0, 1e9, -1e9, 3600.0])
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))
    monkeypatch.setattr(time, "time_ns", lambda: int((real() + next(jumps)) * 1e9))
    begin = time.perf_counter()
    document = json.loads(said(*BENCH, "--json").partition("\n}\n")[0] + "\n}")
    passed_ms = 1e3 * (time.perf_counter() - begin)
    for row in document["providers"][0]["rows"]:
        assert 0 < row["low_ms"] <= row["median_ms"] <= row["high_ms"] < passed_ms
        assert 0 < row["speed_low_ratio"] <= row["speed_ratio"] <= row["speed_high_ratio"]


def clock_of(steps_us: list[int]) -> Any:
    """A clock that goes on by these steps, over and over, whatever happens meanwhile."""
    moments = itertools.accumulate(itertools.cycle(steps_us))
    return lambda: 1000 * next(moments)


@pytest.fixture
def timed_by(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let commands time by another clock, and count interruptions otherwise."""

    def use(clock: Any, interruptions: Any = lambda: 0) -> None:
        def timed(candidates: Any, plan: Any, **words: Any) -> Any:
            return time_interleaved(candidates, plan, **words, clock=clock, interruptions=interruptions)

        monkeypatch.setattr(latency, "time_interleaved", timed)

    return use


UNSTEADY = [7000] * 9 + [70_000] * 4


@pytest.mark.row(70)
@pytest.mark.usefixtures("net")
@pytest.mark.parametrize(
    ("steps_us", "is_warned"), [([7000], False), (UNSTEADY, True)], ids=["steady", "unsteady"]
)
def test_times_that_spread_are_warned_about(
    said: Any, timed_by: Any, steps_us: list[int], is_warned: bool
) -> None:
    timed_by(clock_of(steps_us))
    assert ("the machine was not quiet" in said(*BENCH)) is is_warned


@pytest.mark.row(70)
@pytest.mark.usefixtures("net")
@pytest.mark.parametrize("step", [0, 1])
def test_interruptions_are_warned_about(said: Any, timed_by: Any, step: int) -> None:
    timed_by(clock_of([7000]), itertools.count(0, step).__next__ if step else lambda: 0)
    assert ("other work interrupted 100% of the samples" in said(*BENCH)) is bool(step)


@pytest.mark.row(70)
@pytest.mark.usefixtures("net")
def test_a_slower_clock_and_other_load_are_warned_about(
    said: Any, timed_by: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed_by(clock_of([7000]))
    first = latency.observe()
    fast = replace(first, state=replace(first.state, frequency_mhz=3000.0), busy_s=0.0, own_s=0.0)
    slow = replace(
        fast, state=replace(fast.state, frequency_mhz=800.0), clock_s=fast.clock_s + 10, busy_s=100.0
    )
    seen = iter([fast, slow])
    monkeypatch.setattr(latency, "observe", lambda: next(seen))
    told = said(*BENCH)
    assert "the clock went from 3000 to 800 MHz" in told
    assert "other work took 10 of" in told


HEAD = "g (float[N,4] x) => (float[N,4] y) "
ODD = {
    "plain.onnx": HEAD + "{ y = Identity(x) }",
    "broken.onnx": HEAD + "{ y = Log(x) }",
    "zero.onnx": HEAD + "<float k = {0}> { y = Mul(x, k) }",
    "same.onnx": HEAD + "<float k = {0}, float o = {1}> { z = Mul(x, k)  y = Add(z, o) }",
    "empty.onnx": "g (float[N,4] x) => (float[N,0] y) <int64[1] a = {0}, int64[1] b = {1}> { y = Slice(x, a, a, b) }",
}


@pytest.fixture
def odd(write: Any, samples: Any) -> None:
    """Models whose outputs are NaN, all alike, or none at all."""
    for name, text in ODD.items():
        write(text, name)
    x = np.random.default_rng(0).normal(size=(16, 4)).astype("f4")
    samples(x=x, labels=np.arange(16) % 4)


@pytest.mark.row(71)
@pytest.mark.usefixtures("odd")
@pytest.mark.parametrize(
    ("models", "metric", "code", "told"),
    [
        ("plain broken", "cosine", 1, "is NaN or infinite where the reference is not"),
        ("broken plain", "sqnr", 1, "is NaN or infinite where the reference is not"),
        ("plain zero", "cosine", 3, "cosine is undefined on every sample: the outputs are zero"),
        ("empty empty", "cosine", 3, "output 'y' is empty: there is nothing to compare"),
        ("empty empty", "sqnr", 3, "output 'y' is empty: there is nothing to compare"),
        ("empty", "top1", 3, "no output has rank 2 and a class"),
        ("plain empty", "agreement", 3, ""),
    ],
)
def test_outputs_that_cannot_be_compared(
    refused: Any, models: str, metric: str, code: int, told: str
) -> None:
    names = [f"{name}.onnx" for name in models.split()]
    refused("compare", *names, "--data", "d.npz", "--metric", metric, "--batch", "1", code=code, says=told)


@pytest.mark.row(71)
@pytest.mark.usefixtures("odd")
@pytest.mark.parametrize(
    ("model", "metric", "told"),
    [
        ("broken", "top1", "the outputs hold NaN or infinity on 16 of 16 samples"),
        ("broken", "cosine", "the outputs hold NaN or infinity on 16 of 16 samples"),
        ("zero", "cosine", "the outputs are the same on all 16 samples"),
        ("same", "top1", "the outputs are the same on all 16 samples"),
        ("plain", "top1", None),
    ],
)
def test_odd_outputs_are_said(accepted: Any, model: str, metric: str, told: str | None) -> None:
    words = ("--data", "d.npz", "--metric", metric, "--batch", "1")
    lines = accepted("compare", f"{model}.onnx", *words, cpu_s=60).out.splitlines()
    found = [line for line in lines if line.startswith("note: ") and "the outputs" in line]
    assert found == ([] if told is None else [f"note: {model}.onnx: {told}"])


@pytest.mark.row(71)
@pytest.mark.usefixtures("odd")
def test_where_only_one_is_broken_is_said(accepted: Any) -> None:
    words = ("--data", "d.npz", "--metric", "top1", "--batch", "1", "--drift")
    found = accepted("compare", "plain.onnx", "broken.onnx", *words, cpu_s=60)
    assert "numbers NaN or infinite in one only" in found.out


SETTLED = "import locale; locale.setlocale(locale.LC_ALL, ''); "
RUN = """from sardonyx.cli.app import main
for line in ("inspect größe.onnx --coupling --json", "quantize größe.onnx --calib d.npz -o q.onnx --json"):
    try:
        main(line.split())
    except SystemExit as left:
        assert not left.code
"""
NOBODY = """import os, pwd
def unknown(_): raise KeyError
pwd.getpwuid = pwd.getpwnam = unknown
del os.environ["HOME"]
"""


@pytest.fixture(scope="module")
def comma(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables of a locale whose numbers have a decimal comma."""
    folder = tmp_path_factory.mktemp("locales")
    tool = shutil.which("localedef")
    command = [str(tool), "-i", "de_DE", "-f", "UTF-8", str(folder / "de_DE.UTF-8")]
    if tool is None or subprocess.run(command, capture_output=True, check=False).returncode > 1:
        pytest.skip("no locale with a decimal comma can be made here")
    return {"LOCPATH": str(folder), "LC_ALL": "de_DE.UTF-8"}


def documents(place: Path, code: str, environment: dict[str, str]) -> str:
    """What `inspect --json` and `quantize --json` print there."""
    found = in_a_process(place, code, environment=environment)
    assert found.returncode == 0, found.stderr
    assert "Traceback" not in found.stderr
    (place / "q.onnx").unlink()
    return found.stdout


@pytest.fixture(scope="module")
def usual() -> list[str]:
    """What was printed in the usual place, once it is known."""
    return []


NARROW = {
    "LANG": "C",
    "LC_ALL": "C",
    "PYTHONIOENCODING": "ascii",
    "TERM": "dumb",
    "COLUMNS": "20",
    "LINES": "1",
}
NO_CACHE = {"SARDONYX_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/proc/nowhere"}


@pytest.mark.row(72)
@pytest.mark.usefixtures("net")
@pytest.mark.parametrize("kind", ["narrow", "comma", "nobody"])
def test_json_is_the_same_bytes_everywhere(
    place: Path, usual: list[str], request: pytest.FixtureRequest, kind: str
) -> None:
    (place / "m.onnx").rename(place / "größe.onnx")
    usual.extend(() if usual else [documents(place, RUN, {})])
    code, environment = RUN, NARROW
    if kind == "comma":
        code, environment = SETTLED + RUN, {**request.getfixturevalue("comma"), **NO_CACHE}
    elif kind == "nobody":
        code, environment = NOBODY + RUN, NO_CACHE
    assert [documents(place, code, environment)] == usual
    assert {path.name for path in place.iterdir()} <= {"größe.onnx", "d.npz", "cache"}

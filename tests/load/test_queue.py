"""Many commands at once on one model and one cache: each result is whole, and all that should be equal are."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from nets import Net
from sardonyx import ModelArtifact

AT_ONCE = 4
MAIN = "from sardonyx.cli.app import main; main()"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    net = Net(opset=17)
    layers = net.relu(net.conv(net.relu(net.conv(net.x, 16)), 16))
    ModelArtifact.of(net.model(net.head(layers))).save(tmp_path / "m.onnx")
    images = np.random.default_rng(0).normal(size=(64, 3, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=images)
    return tmp_path


def call(place: Path, words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SARDONYX_CACHE": str(place / "cache")}
    line = [sys.executable, "-c", MAIN, *words.split()]
    return subprocess.run(line, cwd=place, env=environment, capture_output=True, text=True, check=False)


def words_of(index: int) -> str:
    if index % 2:
        return "bench m.onnx --rounds 5 --seconds 0.5 --json"
    method = ("minmax", "percentile")[index // 2 % 2]
    return f"quantize m.onnx --calib d.npz --method {method} -o q{index}.onnx --json"


@pytest.mark.parametrize("count", [4, pytest.param(100, marks=pytest.mark.slow)])
def test_a_queue_on_one_cache(place: Path, count: int) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = list(pool.map(lambda index: call(place, words_of(index)), range(count)))
    assert [d.stderr for d in done if d.returncode] == []
    assert all(isinstance(json.loads(d.stdout), dict) for d in done)
    for first in (0, 2):
        made = {digest(place / f"q{index}.onnx") for index in range(first, count, 4)}
        assert len(made) == 1
    assert_whole(place / "cache")
    again = call(place, "quantize m.onnx --calib d.npz --method minmax -o again.onnx")
    assert "are used again" in again.stdout + again.stderr
    assert digest(place / "again.onnx") == digest(place / "q0.onnx")


def test_one_output_for_all_is_written_by_one_and_refused_to_the_others(place: Path) -> None:
    words = "quantize m.onnx --calib d.npz -o q.onnx"
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = list(pool.map(lambda _: call(place, words), range(AT_ONCE)))
    codes = sorted(d.returncode for d in done)
    assert codes[0] == 0
    assert set(codes) <= {0, 2}
    assert {p.name for p in place.iterdir()} == {"m.onnx", "d.npz", "q.onnx", "cache"}
    with pytest.raises(subprocess.CalledProcessError):
        call(place, words).check_returncode()
    assert call(place, "inspect q.onnx").returncode == 0


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def assert_whole(cache: Path) -> None:
    """Every file of a cache can be read, and none is half of one."""
    files = [path for path in cache.rglob("*") if path.is_file()]
    assert files
    for path in files:
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf8"))
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                assert all(arrays[name] is not None for name in arrays.files)
        else:
            assert path.suffix == ".lock", path

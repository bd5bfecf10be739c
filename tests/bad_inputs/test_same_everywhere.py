"""Row 73: another hash seed, another number of threads, another folder and path give the same models."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from crash_commands import write_inputs

TESTS = str(Path(__file__).parents[1])
CODE = """import sys
sys.path.insert(0, sys.argv[1])
import still_clock
from sardonyx.cli.app import main
still_clock.stop()
for line in ("run {0}{1}.toml -o {0}run", "quantize {0}model.onnx --calib {0}data.npz -o {0}q.onnx"):
    try:
        main([word.format(*sys.argv[2:]) for word in line.split()])
    except SystemExit as left:
        if left.code:
            raise
"""
PLACES = {
    "a": ("0", "1", ""),
    "b/another path/größe": ("1", "2", "../größe/"),
    "c/absolute": ("random", "2", "{work}/"),
}
"""Folders, with PYTHONHASHSEED, the number of threads of every library, and how paths are written."""

VARYING = frozenset(
    {"seconds", "load_average", "command", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}
)
"""What a report says of time, of the machine at that time, and of how the command was written."""


@pytest.fixture(scope="module", params=["recipe", pytest.param("healing", marks=pytest.mark.slow)])
def works(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> list[Path]:
    """The places of work of three processes that did the same."""
    base = tmp_path_factory.mktemp("same")
    write_inputs(base / "inputs")
    found, running = [], []
    for folder, (hash_seed, threads, there) in PLACES.items():
        work = Path(shutil.copytree(base / "inputs", base / folder))
        counts = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        variables = {"PYTHONHASHSEED": hash_seed, "SARDONYX_CACHE": str(base / folder / "cache"), **counts}
        command = [sys.executable, "-c", CODE, TESTS, there.format(work=work), request.param]
        running.append(
            subprocess.Popen(command, cwd=work, env={**os.environ, **variables}, stderr=subprocess.PIPE)
        )
        found.append(work)
    for process in running:
        assert process.communicate(timeout=200)[1].count(b"error:") + process.returncode == 0
    return found


def digests(work: Path) -> dict[str, str]:
    """SHA-256 of every model and all weights that a place of work holds."""
    paths = [path for end in ("onnx", "safetensors") for path in sorted(work.rglob(f"*.{end}"))]
    return {str(path.relative_to(work)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def timeless(document: Any) -> Any:
    """A report without what varies."""
    if isinstance(document, dict):
        return {key: timeless(value) for key, value in document.items() if key not in VARYING}
    return [timeless(item) for item in document] if isinstance(document, list) else document


@pytest.mark.row(73)
@pytest.mark.parametrize("other", [1, 2])
def test_the_models_are_the_same(works: list[Path], other: int) -> None:
    assert len(digests(works[0])) >= 6
    assert digests(works[other]) == digests(works[0])


@pytest.mark.row(73)
@pytest.mark.parametrize("other", [1, 2])
def test_the_reports_are_equal_but_for_times(works: list[Path], other: int) -> None:
    reports = [json.loads((work / "run/report.json").read_text()) for work in works]
    assert timeless(reports[other]) == timeless(reports[0])

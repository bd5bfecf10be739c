"""Inspect, prune, quantize and compare models that come from elsewhere, as a user would from the shell.

Quantization leaves in float what is not faster in integers on this machine (``--measure``).

    python benchmarks/open_models.py FOLDER/*

Each folder holds ``model.onnx``, ``calib.npz`` and, for the comparison, ``evaluate.py`` with ``evaluate(path)``.
Prints one line for every verb: its exit code, the seconds, and its last word. A refusal is an outcome; a traceback,
or a file left by a verb that failed, is a defect, and the exit code is then 1.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--params", default="0.8")
    parser.add_argument("--threads", default="2")
    arguments = parser.parse_args()
    defects = 0
    with tempfile.TemporaryDirectory() as scratch:
        for folder in arguments.folders:
            model, samples = folder / "model.onnx", folder / "calib.npz"
            pruned, int8 = (
                Path(scratch, f"{folder.name}.pruned.onnx"),
                Path(scratch, f"{folder.name}.int8.onnx"),
            )
            runs = [
                (["inspect", model, "--coupling"], None),
                (["prune", model, "--calib", samples, "--params", arguments.params, "-o", pruned], pruned),
                (["quantize", model, "--calib", samples, "--measure", "-o", int8], int8),
            ]
            for words, output in runs:
                defects += _run(folder.name, words, output)
            metric = f"{folder / 'evaluate.py'}:evaluate"
            made = [path for path in (pruned, int8) if path.exists()]
            words = [
                "compare",
                model,
                *made,
                "--data",
                samples,
                "--metric",
                metric,
                "--threads",
                arguments.threads,
            ]
            defects += _run(folder.name, words, None, whole=True)
    print(f"{defects} defects")
    return min(defects, 1)


def _run(name: str, words: list[object], output: Path | None, *, whole: bool = False) -> int:
    start = time.monotonic()
    command = [sys.executable, "-m", "sardonyx", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr if done.returncode == 0 else done.stderr).strip().splitlines() or [""]
    kept = (
        lines
        if whole
        else [line for line in lines if line.startswith(("proof", "error", "hint"))][:3] or lines[-1:]
    )
    print(f"{name} {words[0]}: exit {done.returncode}, {time.monotonic() - start:.0f} s")
    for line in kept:
        print(f"    {line}")
    sys.stdout.flush()
    broken = output is not None and output.exists() != (done.returncode == 0)
    return int("Traceback" in done.stderr or done.returncode not in {0, 1, 3, 4} or broken)


if __name__ == "__main__":
    raise SystemExit(main())

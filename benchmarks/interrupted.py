"""Kill a run in each of its steps, resume it, and compare the hashes of all models with an uninterrupted run.

    python benchmarks/interrupted.py examples/digits/recipe.toml

Every step is killed (SIGKILL) a seeded while after it began. Exit code 1 if any hash differs.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch, "whole")
        _run(arguments.recipe, whole, "--force")
        steps = json.loads((whole / "manifest.json").read_text())["steps"]
        expected = _hashes(whole)
        differing = 0
        for number, step in enumerate(steps, start=1):
            seconds = json.loads(Path(whole, step["folder"], "manifest.json").read_text()).get("seconds", 1.0)
            folder = Path(scratch, f"killed-{number}")
            after = _kill(arguments.recipe, folder, number, chance.uniform(0.05, 0.95) * seconds)
            _run(arguments.recipe, folder, "--resume")
            equal = _hashes(folder) == expected
            differing += not equal
            print(
                f"killed in step {number} ({step['name']}), {after:.2f} s into it: {'equal' if equal else 'DIFFERENT'}"
            )
            sys.stdout.flush()
    print(f"{len(expected)} models and weights, {len(steps)} kills, {differing} different")
    return min(differing, 1)


def _command(recipe: Path, folder: Path, flag: str) -> list[str]:
    return [sys.executable, "-m", "sardonyx", "run", str(recipe), "-o", str(folder), flag]


def _run(recipe: Path, folder: Path, flag: str) -> None:
    subprocess.run(_command(recipe, folder, flag), check=True, capture_output=True)


def _hashes(folder: Path) -> dict[str, str]:
    manifest = json.loads((folder / "manifest.json").read_text())
    return {**manifest["models"], **manifest["weights"]}


def _kill(recipe: Path, folder: Path, number: int, delay: float) -> float:
    """Start a run and kill it a while after a step has begun; how far into the step it was."""
    process = subprocess.Popen(
        _command(recipe, folder, "--force"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    if process.stderr is None:
        raise RuntimeError("the run has no error stream")
    for line in process.stderr:
        if f"step {number} of" in line:
            break
    start = time.monotonic()
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    return time.monotonic() - start


if __name__ == "__main__":
    raise SystemExit(main())

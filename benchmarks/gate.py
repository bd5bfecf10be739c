"""Does the gate find a planted slowdown, and stay silent where there is none?

python benchmarks/gate.py                     # 20 times
python benchmarks/gate.py --runs 5 --threads 1

Each time `sardonyx bench --json` makes a baseline, `bench --baseline` holds the same file against it, and then one of
the same name with a fifth more work in the same layers; each in a process of its own, as in a build.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from planted import USUAL, residual

MORE = USUAL * 12 // 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--threads", default="1")
    parser.add_argument("--batch", default="8")
    parser.add_argument("--seconds", default="20")
    parser.add_argument("--max-regression", default="5%")
    arguments = parser.parse_args()
    measure = ["--threads", arguments.threads, "--batch", arguments.batch, "--seconds", arguments.seconds]
    with tempfile.TemporaryDirectory() as folder:
        model, baseline = Path(folder, "model.onnx"), Path(folder, "baseline.json")
        found: dict[str, list[dict[str, Any]]] = {"none planted": [], "a fifth more work": []}
        for _ in range(arguments.runs):
            residual().save(model, force=True)
            baseline.write_text(_bench(model, *measure).stdout)
            gate = ("--baseline", str(baseline), "--max-regression", arguments.max_regression)
            for name, inner in (("none planted", USUAL), ("a fifth more work", MORE)):
                residual(inner).save(model, force=True)
                done = _bench(model, *measure, *gate)
                (row,) = json.loads(done.stdout)["gate"]["rows"]
                assert (row["verdict"] == "slower") == (done.returncode == 1)
                found[name].append(row)
    for name, rows in found.items():
        ratios = sorted(row["time_ratio"] for row in rows)
        slower = sum(row["verdict"] == "slower" for row in rows)
        print(f"{name}: exit 1 in {slower} of {len(rows)}, at {ratios[0]:.3f}x to {ratios[-1]:.3f}x")


def _bench(model: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("sardonyx")
    done = subprocess.run(
        [program, "bench", model, "--json", *words], capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1):
        sys.exit(done.stderr)
    return done


if __name__ == "__main__":
    main()

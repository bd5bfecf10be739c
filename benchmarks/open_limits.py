"""How much of given models can be cut before their own metric loses more than a point, and what that is worth in time.

    python benchmarks/open_limits.py FOLDER/*

Each folder holds ``model.onnx``, ``calib.npz`` and ``evaluate.py`` with ``evaluate(path)``, which returns a dictionary with
``value``. Every share of the parameters is cut in every setting from the calibration samples alone; the metric then
says which cut is the smallest that stays within the point. That one is timed in turns with the uncut model.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sardonyx as sx
from sardonyx.runtime import LatencyOptions, measure_latency

_SHARES = (0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
_SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "widths of 16": {"align": 16},
    "output": {"criterion": "output"},
}
_MISSES = 2
"""Shares in a row that lose too much before a setting is given up."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--points", type=float, default=0.01, help="what the metric may lose")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    for folder in arguments.folders:
        if not (folder / "model.onnx").is_file():
            sys.exit(f"{folder} holds no model.onnx")
        _report(folder, arguments.points, arguments.threads)
    return 0


def _report(folder: Path, points: float, threads: int) -> None:
    evaluate = _evaluation(folder / "evaluate.py")
    model, samples = folder / "model.onnx", sx.open_data(str(folder / "calib.npz"))
    uncut = evaluate(model)
    print(f"{folder.name}: uncut {uncut:.4f}, {len(samples)} samples to calibrate on", flush=True)
    best: tuple[float, float, str, sx.ModelArtifact] | None = None
    for setting, words in _SETTINGS.items():
        misses = 0
        for share in _SHARES:
            try:
                pruned = sx.prune(model, samples, params=share, **words)
            except sx.ExpectationError as error:
                print(f"    {setting} {share}: {error}", flush=True)
                break
            left = pruned.report.after.params / pruned.report.before.params
            value = _evaluated(evaluate, pruned)
            print(
                f"    {setting} {share}: {left:.3f} left, {value:.4f} {pruned.report.stopped or ''}",
                flush=True,
            )
            if uncut - value <= points + 1e-9:
                misses = 0
                best = min(
                    best or (1.0, uncut, "", pruned.model), (left, value, setting, pruned.model), key=_left
                )
            else:
                misses += 1
            if misses == _MISSES or pruned.report.stopped:
                break
    if best is None:
        print("    nothing can be cut within that")
        return
    left, value, setting, cut = best
    options = LatencyOptions(batches=(1, 16), threads=threads, seconds=40.0)
    times = measure_latency({"uncut": sx.open_model(model), "cut": cut}, samples, options)
    speeds = "; ".join(
        f"batch {row.batch}: {row.speed_ratio:.2f}x ({row.speed_low_ratio:.2f}..{row.speed_high_ratio:.2f}) {row.verdict}"
        for row in times.rows
        if row.model == "cut"
    )
    print(
        f"    most within {points}: {left:.3f} of the parameters, {uncut:.4f} -> {value:.4f} ({setting}); {speeds}"
    )


def _left(found: tuple[float, float, str, sx.ModelArtifact]) -> float:
    return found[0]


def _evaluated(evaluate: Callable[[Path], float], pruned: object) -> float:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "cut.onnx")
        pruned.save(path)  # type: ignore[attr-defined]
        return evaluate(path)


def _evaluation(path: Path) -> Callable[[Path], float]:
    spec = importlib.util.spec_from_file_location("evaluation", path)
    if spec is None or spec.loader is None:
        sys.exit(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda model: float(module.evaluate(str(model))["value"])


if __name__ == "__main__":
    raise SystemExit(main())

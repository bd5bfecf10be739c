"""What ``sardonyx optimize`` finds, scored on samples that the search has not seen.

    python benchmarks/optimize.py MODELS/resnet20.onnx MODELS/mbv2.onnx MODELS/vit.onnx
    python benchmarks/optimize.py --open FOLDER/*

A model file is an image classifier for Fashion-MNIST: 1,024 training images to cut and calibrate with, 2,048 others to judge, and
the test images to score. With ``--open``, each folder holds ``model.onnx``, ``calib.npz`` and ``evaluate.py`` with
``evaluate(path)``, which judges. Prints a Markdown table; models and reports stay in ``--work``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sardonyx as sx
from sardonyx.runtime import evaluate

sys.path.append(str(Path(__file__).absolute().parent / "side_by_side"))

from tables import NOTHING, markdown

HEAD = ("model", "seconds", "found", "speed (95 %)", "lost, judged", "before", "after, scored", "bytes")


@dataclass(frozen=True)
class Task:
    """One search.

    Attributes:
        name: What it is called.
        model: The file.
        words: What the command is told of samples and metric.
        test: Samples to score on; None where the metric is all there is.
    """

    name: str
    model: Path
    words: tuple[str, ...]
    test: sx.CalibrationData | None


def main() -> int:
    arguments = _parser().parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    tasks = (
        _open_tasks(arguments.models) if arguments.open else _image_tasks(arguments.models, arguments.work)
    )
    rows = []
    for task in tasks:
        rows.append(_row(task, arguments))
        print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    print(markdown(HEAD, rows))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--open", action="store_true", help="folders of models from elsewhere")
    parser.add_argument("--max-drop", type=float, default=0.01)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--time", help="time for each search, such as 10m")
    parser.add_argument("--work", type=Path, default=Path("out/optimize"))
    return parser


def _image_tasks(models: list[Path], work: Path) -> Iterator[Task]:
    train = sx.open_data("fashion-mnist:train")
    order = np.random.default_rng(0).permutation(len(train))
    parts = {"calib": order[:1024], "judge": order[1024 : 1024 + 2048]}
    for name, chosen in parts.items():
        arrays = train.source.read([train.indices[i] for i in chosen])
        assert train.labels is not None
        np.savez(work / f"{name}.npz", **arrays, labels=train.labels[chosen])
    words = ("--calib", str(work / "calib.npz"), "--eval", str(work / "judge.npz"))
    for model in models:
        yield Task(model.stem, model, words, sx.open_data("fashion-mnist:test"))


def _open_tasks(folders: list[Path]) -> Iterator[Task]:
    for folder in folders:
        samples = str(folder / "calib.npz")
        metric = f"{folder / 'evaluate.py'}:evaluate"
        words = ("--calib", samples, "--eval", samples, "--metric", metric)
        yield Task(folder.name, folder / "model.onnx", words, None)


def _row(task: Task, arguments: argparse.Namespace) -> tuple[str, ...]:
    place = arguments.work / task.name
    command = [sys.executable, "-m", "sardonyx", "optimize", str(task.model), *task.words]
    command += ["--max-drop", str(arguments.max_drop), "--threads", str(arguments.threads)]
    command += ["--batch", str(_batch(task.model, arguments.batch)), "-o", str(place), "--force", "--json"]
    command += ["--time", arguments.time] if arguments.time else []
    start = time.monotonic()
    with open(arguments.work / f"{task.name}.log", "w", encoding="utf8") as log:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, text=True, check=False)
    seconds = f"{time.monotonic() - start:.0f}"
    document: dict[str, Any] = json.loads(done.stdout) if done.stdout else {}
    if done.returncode:
        why = document.get("error", {}).get("cause", f"exit {done.returncode}")
        return task.name, seconds, why, *[NOTHING] * 5
    taken = document["taken"]
    row = next(r for r in document["comparison"]["rows"] if r["model"] == taken["name"])
    timed = row["latency"][0]
    first = document["comparison"]["rows"][0]["accuracy"]["value"]
    scores = (first, row["accuracy"]["value"])
    if task.test is not None:
        scores = tuple(
            evaluate(sx.open_model(path), task.test).value for path in (task.model, place / "model.onnx")
        )
    return (
        task.name,
        seconds,
        taken["name"],
        f"{timed['speed_ratio']:.2f}x ({timed['speed_low_ratio']:.2f}..{timed['speed_high_ratio']:.2f}) {timed['verdict']}",
        f"{taken['lost']:.4f}",
        f"{scores[0]:.4f}",
        f"{scores[1]:.4f}",
        f"{task.model.stat().st_size:,} -> {taken['size_bytes']:,}",
    )


def _batch(model: Path, wanted: int) -> int:
    """The wanted batch, or the only one that a model takes."""
    first = sx.open_model(model).inputs[0].shape[:1]
    return first[0] if first and isinstance(first[0], int) else wanted


if __name__ == "__main__":
    raise SystemExit(main())

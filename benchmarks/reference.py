"""Prune and quantize given models, and compare each with its original in one run.

    python benchmarks/reference.py prune    FOLDER/resnet20.onnx FOLDER/mbv2.onnx --params 0.5 0.35
    python benchmarks/reference.py latency  FOLDER/resnet20.onnx FOLDER/mbv2.onnx --latency 0.5
    python benchmarks/reference.py quantize FOLDER/resnet20.onnx FOLDER/mbv2.onnx FOLDER/vit.onnx

Calibrates on 1,024 training images of Fashion-MNIST, reports on its 10,000 test images. Nothing is chosen by
looking at those. Prints a Markdown table; latencies are medians of interleaved runs, ratios against the original.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import sardonyx as sx

_SETTINGS = {"prune": "params", "latency": "latency", "quantize": "method"}
"""The flag that holds what each verb is tried with."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("verb", choices=["prune", "latency", "quantize"])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--params", nargs="+", type=float, default=[0.5])
    parser.add_argument("--latency", nargs="+", type=float, default=[0.5], help="at batch 32")
    parser.add_argument("--method", nargs="+", default=["minmax"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, default=1024, help="calibration images")
    arguments = parser.parse_args()
    calibration = sx.open_data(f"fashion-mnist:train:{arguments.limit}")
    test = sx.open_data("fashion-mnist:test")
    print(
        "| model | parameters | bytes | top-1 | 95 % | seconds | batch 1 | batch 32 |\n|---|---|---|---|---|---|---|---|"
    )
    for path in arguments.models:
        models = {path.stem: sx.open_model(path)}
        seconds = {path.stem: 0.0}
        for setting in getattr(arguments, _SETTINGS[arguments.verb]):
            start = time.monotonic()
            name = f"{path.stem}, {arguments.verb} {setting}"
            if arguments.verb == "prune":
                models[name] = sx.prune(path, calibration, params=setting).model
            elif arguments.verb == "latency":
                words = {"latency": setting, "batch": 32, "threads": arguments.threads}
                models[name] = sx.prune(path, calibration, **words).model
            else:
                models[name] = sx.quantize(path, calibration, method=setting).model
            seconds[name] = time.monotonic() - start
        report = sx.compare(models, test, "top1", threads=arguments.threads)
        for row in report.rows:
            speed = " | ".join(
                f"{x.speed_ratio:.2f} ({x.speed_low_ratio:.2f}..{x.speed_high_ratio:.2f}) {x.verdict}"
                for x in row.latency
            )
            value, interval = row.accuracy.value, f"{row.accuracy.low:.4f}..{row.accuracy.high:.4f}"
            print(
                f"| {row.model} | {row.params} | {row.size_bytes} | {value:.4f} | {interval} | "
                f"{seconds[row.model]:.0f} | {speed} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

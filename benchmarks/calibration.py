"""What calibration costs on a ResNet-50 at 224: seconds beside onnxruntime's MinMax calibrator, and memory.

    python benchmarks/calibration.py time                      # 64 images, processes in turns
    python benchmarks/calibration.py memory --images 64 2048   # peak memory of a whole process

Weights are random, the batch normalizations are folded, and sample i is made from seed i when it is read, so that no set
of images lies in memory. Sardonyx collects once and chooses the ranges of all five methods; onnxruntime's calibrator
does MinMax alone, at its defaults. Each measures what it does from the file's path to the ranges, in a process of its own.
Sardonyx is measured on the values that quantization asks for (what a layer reads, and sums' inputs), and on every value of
the graph, which is what onnxruntime's calibrator visits.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import sardonyx as sx
from sardonyx.calib_data.calibration import calibrate
from sardonyx.passes.quantization.options import METHODS
from sardonyx.passes.quantization.ranges import choose_range

STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
SHAPE = (3, 224, 224)
WORKERS = ("needed values", "every value", "onnxruntime MinMax")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    timing = commands.add_parser("time", help="seconds, in turns")
    timing.add_argument("--images", type=int, default=64)
    timing.add_argument("--rounds", type=int, default=3)
    memory = commands.add_parser("memory", help="peak memory of Sardonyx")
    memory.add_argument("--images", type=int, nargs="+", default=[64, 2048])
    worker = commands.add_parser("worker")
    worker.add_argument("which", choices=WORKERS)
    worker.add_argument("model")
    worker.add_argument("images", type=int)
    arguments = parser.parse_args()
    if arguments.command == "worker":
        print(json.dumps(asdict(_work(arguments.which, arguments.model, arguments.images))))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "resnet50.onnx")
        ir.save(resnet50(), path)
        if arguments.command == "time":
            _time(path, arguments.images, arguments.rounds)
        else:
            _memory(path, arguments.images)


@dataclass(frozen=True)
class Cost:
    """What a worker took: seconds by the clock, seconds of all its threads, and its peak of memory in bytes."""

    clock: float
    threads: float
    peak: float


def _time(path: Path, images: int, rounds: int) -> None:
    costs: dict[str, list[Cost]] = {which: [] for which in WORKERS}
    for turn in range(rounds):
        for which in WORKERS[turn % 3 :] + WORKERS[: turn % 3]:
            costs[which].append(_child(which, path, images))
    for which in WORKERS:
        pairs = list(zip(costs[which], costs[WORKERS[-1]], strict=True))
        clock = statistics.median(a.clock / b.clock for a, b in pairs)
        threads = statistics.median(a.threads / b.threads for a, b in pairs)
        shown = ", ".join(f"{cost.clock:.1f}" for cost in costs[which])
        print(
            f"{which:20} {images} images in {shown} s: {clock:.2f}x of {WORKERS[-1]}, threads together {threads:.2f}x"
        )


def _memory(path: Path, images: Sequence[int]) -> None:
    costs = [_child(WORKERS[0], path, count) for count in images]
    for count, cost in zip(images, costs, strict=True):
        print(
            f"{count:5} images: {cost.peak / 1e9:.2f} GB, {cost.peak / costs[0].peak:.2f}x, {cost.clock:.0f} s"
        )


def _child(which: str, path: Path, images: int) -> Cost:
    command = [sys.executable, __file__, "worker", which, str(path), str(images)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return Cost(**json.loads(found.splitlines()[-1]))


def _work(which: str, model: str, images: int) -> Cost:
    clock, threads = time.monotonic(), time.process_time()
    if which == WORKERS[-1]:
        _minmax_of_onnxruntime(model, images)
    else:
        _all_methods(model, images, every=which == WORKERS[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
    return Cost(time.monotonic() - clock, time.process_time() - threads, peak)


class Images:
    """Sample i is made from seed i whenever it is read."""

    names = ("x",)

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def read(self, indices: Sequence[int]) -> dict[str, npt.NDArray[np.float32]]:
        """The samples at the indices."""
        return {"x": np.stack([image(index) for index in indices])}


def image(index: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(index).standard_normal(SHAPE, dtype=np.float32)


def _all_methods(path: str, images: int, *, every: bool) -> None:
    model = ir.load(path)
    data = sx.CalibrationData(Images(images), tuple(range(images)), origin="seeds")
    seen = calibrate(model, data, list(dict.fromkeys(_values(model, every=every))))
    ranges = [choose_range(s, method) for s in seen.values() for method in METHODS]
    assert np.isfinite(ranges).all()


def _values(model: ir.Model, *, every: bool) -> Iterator[str]:
    yield "x"
    for node in model.graph:
        if every:
            yield str(node.outputs[0].name)
        elif node.op_type == "Add":
            yield from (str(value.name) for value in node.inputs if value is not None)
        elif node.op_type != "Conv":
            yield str(node.outputs[0].name)


def _minmax_of_onnxruntime(path: str, images: int) -> None:
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, create_calibrator

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.feeds = ({"x": image(index)[None]} for index in range(images))

        def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
            return next(self.feeds, None)

    with tempfile.TemporaryDirectory() as folder:
        augmented = str(Path(folder, "augmented.onnx"))
        calibrator = create_calibrator(
            path, augmented_model_path=augmented, calibrate_method=CalibrationMethod.MinMax
        )
        calibrator.collect_data(Reader())
        calibrator.compute_data()


class _Net:
    """Adds layers behind one another, with weights of He's scale."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)
        x = ir.val("x", ir.DataType.FLOAT, ir.Shape(["n", *SHAPE]))
        self.graph = ir.Graph([x], [], nodes=[], opset_imports={"": 17}, name="resnet50")
        self.input = x

    def add(self, kind: str, *inputs: ir.Value, **attributes: int | Sequence[int]) -> ir.Value:
        node = ir.node(kind, list(inputs), attributes, name=f"{kind}_{len(self.graph)}")
        node.outputs[0].name = f"v{len(self.graph)}"
        self.graph.append(node)
        return node.outputs[0]

    def weight(self, *shape: int) -> ir.Value:
        scale = np.sqrt(2.0 / max(np.prod(shape[1:]), 1)) if len(shape) > 1 else 0.1
        array = (self.random.standard_normal(shape, dtype=np.float32) * scale).astype(np.float32)
        name = f"w{len(self.graph.initializers)}"
        value = ir.val(name, const_value=ir.tensor(array, name=name))
        self.graph.register_initializer(value)
        return value

    def conv(self, x: ir.Value, inside: int, out: int, size: int, stride: int = 1) -> ir.Value:
        weights = (self.weight(out, inside, size, size), self.weight(out))
        return self.add("Conv", x, *weights, strides=[stride] * 2, pads=[size // 2] * 4)

    def block(self, x: ir.Value, inside: int, width: int, stride: int) -> ir.Value:
        y = self.add("Relu", self.conv(x, inside, width, 1))
        y = self.add("Relu", self.conv(y, width, width, 3, stride))
        y = self.conv(y, width, 4 * width, 1)
        shortcut = x if inside == 4 * width else self.conv(x, inside, 4 * width, 1, stride)
        return self.add("Relu", self.add("Add", y, shortcut))


def resnet50() -> ir.Model:
    net = _Net()
    x = net.add("Relu", net.conv(net.input, 3, 64, 7, 2))
    x, width = net.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4), 64
    for stage, (inner, blocks) in enumerate(STAGES):
        for index in range(blocks):
            x = net.block(x, width, inner, 2 if stage and not index else 1)
            width = 4 * inner
    x = net.add("Flatten", net.add("GlobalAveragePool", x))
    y = net.add("Gemm", x, net.weight(1000, width), net.weight(1000), transB=1)
    y.dtype, y.shape = ir.DataType.FLOAT, ir.Shape(["n", 1000])
    net.graph.outputs.append(y)
    return ir.Model(net.graph, ir_version=9)


if __name__ == "__main__":
    main()

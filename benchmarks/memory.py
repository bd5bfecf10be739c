"""How much memory pruning takes, as a multiple of the model's size, and how long the analysis of a deep graph takes.

    python benchmarks/memory.py --blocks 30 --params 0.6

Builds a network of residual blocks of two matrix products (1024 to 4096 and back, 33.6 MB each), prunes it in a process
of its own with 256 samples, and prints the peak of that process's memory over the model's size. Then it analyses a
network of a thousand nodes.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx_ir as ir
import sardonyx as sx
from sardonyx.passes.coupling import analyze

WIDTH, HIDDEN, SAMPLES = 1024, 4096, 256
_PRUNE = """
import resource, sys, numpy as np, sardonyx as sx
from pathlib import Path
samples = np.random.default_rng(1).standard_normal((256, 1024)).astype("f4")
data = sx.CalibrationData.from_arrays({"x": samples})
pruned = sx.prune(sys.argv[1], data, params=float(sys.argv[2]), steps=int(sys.argv[3]))
pruned.save(Path(sys.argv[1]).with_name("pruned.onnx"))
report = pruned.report
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, report.after.params / report.before.params,
      report.proof.largest_difference)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--blocks", type=int, default=30)
    parser.add_argument("--params", type=float, default=0.6)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--work", type=Path, help="folder for the model (several GB)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.work) as scratch:
        path = Path(scratch, "model.onnx")
        sx.ModelArtifact.of(blocks(arguments.blocks, WIDTH, HIDDEN)).save(path)
        size = path.stat().st_size
        start = time.monotonic()
        words = [sys.executable, "-c", _PRUNE, str(path), str(arguments.params), str(arguments.steps)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr.strip().splitlines()[-1])
        peak, left, difference = map(float, done.stdout.split()[-3:])
        print(
            f"{size / 1e9:.2f} GB: peak {peak * 1024 / size:.2f} times its size, {left:.2f} of the parameters left, "
            f"largest difference {difference:.1e}, {time.monotonic() - start:.0f} s"
        )
    graph = blocks(250, 64, 256)
    start = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    found = analyze(graph)
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_utime - start
    print(
        f"{len(graph.graph)} nodes, {len(found.groups)} groups: analysed in {taken:.2f} s on {os.cpu_count()} cores"
    )


def blocks(count: int, width: int, hidden: int) -> ir.Model:
    """``x + W2 relu(W1 x)``, so many times."""
    random = np.random.default_rng(0)
    x = ir.val("x", ir.DataType.FLOAT, ["n", width])
    graph = ir.Graph([x], [], nodes=[], opset_imports={"": 17}, name="blocks")
    value = x
    for index in range(count):
        weights = [
            _weight(random, f"w{index}.{i}", *s) for i, s in enumerate([(width, hidden), (hidden, width)])
        ]
        for weight in weights:
            graph.register_initializer(weight)
        up = ir.node("MatMul", [value, weights[0]], name=f"up{index}")
        relu = ir.node("Relu", up.outputs, name=f"relu{index}")
        down = ir.node("MatMul", [relu.outputs[0], weights[1]], name=f"down{index}")
        add = ir.node("Add", [value, down.outputs[0]], name=f"add{index}")
        for node in (up, relu, down, add):
            graph.append(node)
            node.outputs[0].name = f"{node.name}.out"
            node.outputs[0].dtype = ir.DataType.FLOAT
            node.outputs[0].shape = ir.Shape(["n", hidden if node in (up, relu) else width])
        value = add.outputs[0]
    graph.outputs.append(value)
    return ir.Model(graph, ir_version=9)


def _weight(random: np.random.Generator, name: str, rows: int, columns: int) -> ir.Value:
    array = (random.standard_normal((rows, columns), dtype=np.float32) / np.sqrt(rows)).astype(np.float32)
    return ir.val(name, const_value=ir.tensor(array, name=name))


if __name__ == "__main__":
    main()

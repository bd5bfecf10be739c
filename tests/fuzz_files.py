"""What is read, as small files to change: for each reader some that are right, and how it is read."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnx.parser
import sardonyx as sx
import torch
from PIL import Image
from reports import report_named
from safetensors.torch import save
from sardonyx.calib_data.idx import read_idx
from sardonyx.calib_data.images import read_image
from sardonyx.calib_data.plain_pickles import load_plain
from sardonyx.calib_data.preprocessing import Preprocessing
from sardonyx.core.metrics import measure_graph
from sardonyx.deploy.bundle import fill_bundle
from sardonyx.deploy.manifest import read_manifest
from sardonyx.exporter.checkpoints import read_state
from sardonyx.passes.coupling import analyze
from sardonyx.pipeline.bench_output import bench_document, read_bench
from sardonyx.pipeline.bundle_words import read_labels
from sardonyx.pipeline.documents import json_bytes
from sardonyx.pipeline.plans import PLAN_SCHEMA, read_plan
from sardonyx.pipeline.recipe import read_recipe
from sardonyx.pipeline.report.reading import read_report
from small_bundle import classifier, pictures
from small_bundle import content as bundle_content

ROOT = Path(__file__).parents[1]

BODIES = {
    "branches": """g (float[N,4] x, bool c) => (float[N,4] y) {
        y = If (c) <then_branch = a () => (float[N,4] p) { p = Relu(x) }, else_branch = b () => (float[N,4] q) { q = Neg(x) }>
    }""",
    "integers": """g (float[N,4] x) => (float[N,2] y) <float s = {0.1}, uint8 z = {128}, int8[4,2] w = {1,2,3,4,5,6,7,8}, int8 o = {0}> {
        i = QuantizeLinear(x, s, z) r = DequantizeLinear(i, s, z) v = DequantizeLinear(w, s, o) y = MatMul(r, v)
    }""",
    "shapes": """g (float[N,2,3] x) => (float[A,B] y) <int64[2] t = {-1, 6}, int64[1] one = {1}> {
        n = Shape(x) f = Gather <axis = 0> (n, one) r = Reshape(x, t) k = Cast <to = 1> (f) y = Mul(r, k)
    }""",
}
FUNCTION = """<ir_version: 9, opset_import: ["" : 18, "own" : 1]>
g (float[N,4] x) => (float[N,4] y) { a = own.twice (x) y = own.twice (a) }
<domain: "own", opset_import: ["" : 18]> twice (v) => (w) { w = Add (v, v) }"""


@dataclass(frozen=True)
class Reader:
    """A way in.

    Attributes:
        name: What the file is called.
        files: Right ones.
        read: Takes the path.
        share: Of the files that are changed.
    """

    name: str
    files: Callable[[], list[bytes]]
    read: Callable[[Path], Any]
    share: float


def models() -> list[bytes]:
    """A convolutional network, branches, integers, shapes that are computed, functions."""
    texts = [f'<ir_version: 9, opset_import: ["" : 18]>\n{body}' for body in BODIES.values()]
    made = [onnx.parser.parse_model(text).SerializeToString() for text in (*texts, FUNCTION)]
    return [classifier().content, *made]


def open_model(path: Path) -> None:
    """As `inspect` does, and as pruning begins."""
    model = sx.ModelArtifact.open(path).load()
    measure_graph(model)
    analyze(model)


def archives() -> list[bytes]:
    arrays = {"x": np.arange(24, dtype=np.float32).reshape(2, 3, 4), "labels": np.array([0, 1])}
    found = []
    for write in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        write(file, **arrays)
        found.append(file.getvalue())
    return found


def open_archive(path: Path) -> None:
    data = sx.CalibrationData.from_npz(path)
    list(data.batches(2))


def recipes() -> list[bytes]:
    return [path.read_bytes() for path in sorted((ROOT / "examples").glob("*/*.toml"))]


def benches() -> list[bytes]:
    reports = sx.bench({"a": classifier()}, batches=(1,), threads=(1,), rounds=5, seconds=0.5)
    return [json_bytes(bench_document(reports))]


def plans() -> list[bytes]:
    data = sx.CalibrationData.from_arrays(pictures(8))
    report = sx.prune(classifier(), data, params=0.6, align=2).report
    return [json_bytes({"schema": PLAN_SCHEMA, **asdict(report.cuts)})]


def checkpoints() -> list[bytes]:
    file = io.BytesIO()
    torch.save(torch.nn.Linear(3, 2).state_dict(), file)
    return [file.getvalue()]


def tensors() -> list[bytes]:
    return [save(torch.nn.Linear(3, 2).state_dict())]


def pickles() -> list[bytes]:
    batch = {b"data": np.arange(32, dtype=np.uint8).reshape(2, 16), b"labels": [1, 2], b"names": [b"a", b"b"]}
    return [pickle.dumps(batch, protocol) for protocol in (2, 4)]


def images() -> list[bytes]:
    found = []
    for kind in ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP"):
        file = io.BytesIO()
        Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(file, kind)
        found.append(file.getvalue())
    return found


def arrays_of_idx() -> list[bytes]:
    return [b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (2, 3, 4)) + bytes(range(24))]


def manifests() -> list[bytes]:
    with TemporaryDirectory() as folder:
        fill_bundle(Path(folder), bundle_content())
        return [(Path(folder) / "manifest.json").read_bytes()]


READERS = {
    "model": Reader("m.onnx", models, open_model, 0.28),
    "npz": Reader("d.npz", archives, open_archive, 0.17),
    "recipe": Reader("recipe.toml", recipes, read_recipe, 0.12),
    "report": Reader("report.json", lambda: [json_bytes(report_named("n"))], read_report, 0.12),
    "bench": Reader("bench.json", benches, read_bench, 0.04),
    "plan": Reader("plan.json", plans, read_plan, 0.04),
    "manifest": Reader("manifest.json", manifests, lambda path: read_manifest(path.parent), 0.04),
    "labels": Reader("labels.txt", lambda: [b"cat\ndog\n"], lambda path: read_labels(str(path)), 0.01),
    "checkpoint": Reader("w.pt", checkpoints, read_state, 0.05),
    "safetensors": Reader("w.safetensors", tensors, read_state, 0.04),
    "pickle": Reader("batch", pickles, lambda path: load_plain(path.read_bytes(), "batch"), 0.04),
    "image": Reader("i.png", images, lambda path: read_image(path, Preprocessing(size=4)), 0.04),
    "idx": Reader("a-ubyte", arrays_of_idx, read_idx, 0.01),
}
"""Every format that is read, the model's first."""

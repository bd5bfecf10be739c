"""Small bundles made by hand, with a model of int8 weights and its float original, for the tests of clients."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from sardonyx.deploy.clients import clients_of
from sardonyx.deploy.manifest import manifest_bytes, parse_manifest, seal

SIDE, SAMPLES = 12, 6
LABELS = ("top", "bottom", "left", "right")
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "\u202egnp.exe\u2066",
    "'); alert(1); ('" + "x" * 300,
)
Array = npt.NDArray[Any]


def templates() -> Array:
    """What each of four classes looks for, shape ``(4, 144)``: light in one half of the picture."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] < SIDE // 2
    halves = np.stack([rows, ~rows, columns, ~columns]).reshape(4, -1)
    return np.where(halves, 0.125, -0.125).astype(np.float32)


def model(*, is_int8: bool, axis: int | str = "N") -> onnx.ModelProto:
    """Pictures ``(N, 1, 12, 12)`` to logits ``(N, 4)``; the int8 form rounds what goes into the product."""
    weights = templates().T + np.linspace(0, 0.01, 4, dtype=np.float32)
    stored, scale = np.rint(weights / 0.002).astype(np.int8), np.array(0.002, np.float32)
    flat = numpy_helper.from_array(np.array([0, -1], np.int64), "flat")
    nodes = [helper.make_node("Reshape", ["image", "flat"], ["pixels"])]
    initializers = [
        flat,
        numpy_helper.from_array(stored if is_int8 else weights, "stored" if is_int8 else "weights"),
    ]
    if is_int8:
        # No DequantizeLinear: on some processors ONNX Runtime would make a product of it that rounds the pixels too.
        initializers.append(numpy_helper.from_array(scale, "scale"))
        nodes.append(helper.make_node("Cast", ["stored"], ["whole"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", ["whole", "scale"], ["weights"]))
    nodes.append(helper.make_node("MatMul", ["pixels", "weights"], ["logits"]))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [axis, 1, SIDE, SIDE])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [axis, 4])
    graph = helper.make_graph(nodes, "halves", [image], [logits], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def pictures(count: int = SAMPLES) -> Array:
    """Normalised pictures with light in one half, and noise."""
    noise = np.random.default_rng(0).uniform(0, 0.4, (count, 4, SIDE * SIDE))
    light = 0.6 * (templates() > 0) * np.eye(4)[np.arange(count) % 4][..., None]
    values = (noise[:, 0] + light.sum(1)).reshape(count, 1, SIDE, SIDE)
    return ((np.rint(255 * values) / 255 - 0.25) / 0.5).astype(np.float32)


def expected(inputs: Array, *, is_int8: bool = True) -> Array:
    """What the model makes of pictures, by ONNX Runtime."""
    import onnxruntime

    content = model(is_int8=is_int8).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    logits: Array = session.run(None, {"image": inputs})[0]
    return logits


@dataclass(frozen=True)
class Case:
    """Expected outputs, changed or not, and what every client has to say of them.

    Attributes:
        change: Changes expected logits in place, from what the model gives.
        labels_agree: Share of samples that must hold the tolerance.
        passed: How many of the six samples pass.
    """

    change: Callable[[Array], object] = lambda logits: None
    labels_agree: float = 1.0
    passed: int = SAMPLES


CASES: Mapping[str, Case] = {
    "equal": Case(),
    "within the tolerance": Case(lambda logits: logits.__iadd__(5e-5)),
    "one is beyond": Case(lambda logits: logits[1].__iadd__(0.01), passed=5),
    "one may be": Case(lambda logits: logits[1].__iadd__(0.01), labels_agree=0.8),
    "two may not": Case(lambda logits: logits[1:3].__iadd__(0.01), labels_agree=0.8, passed=4),
    "another answer": Case(lambda logits: logits[1].__imul__(-1), labels_agree=0.8, passed=5),
    "none is finite": Case(lambda logits: logits.fill(np.nan), labels_agree=0.8, passed=0),
}
"""What the self-test is held to in every language."""


def write_case(
    folder: Path, name: str, clients: Sequence[str], extra: Mapping[str, bytes] | None = None
) -> tuple[Path, Case]:
    """Write the bundle of a case."""
    case = CASES[name]
    logits = expected(pictures())
    case.change(logits)
    words = {"labels_agree": case.labels_agree, "extra": extra}
    return write_bundle(folder, clients=clients, outputs=logits, **words), case


def write_bundle(
    folder: Path,
    *,
    platform: str = "linux",
    clients: Sequence[str] = ("python",),
    labels: Sequence[str] = LABELS,
    outputs: Array | None = None,
    labels_agree: float = 1.0,
    axis: int | str = "N",
    has_preprocessing: bool = True,
    extra: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a bundle by the contract.

    Args:
        folder: Where to; it is made.
        platform: What it is for.
        clients: Which clients come with it.
        labels: Names of the four classes.
        outputs: What the self-test expects, where it is not what the model gives.
        labels_agree: Share of samples that must hold the tolerance.
        axis: The batch that the model takes.
        has_preprocessing: Whether it is stated what becomes of a picture.
        extra: More files, such as a runtime.
    """
    inputs = pictures()
    wanted = expected(inputs) if outputs is None else outputs
    files = {
        "model.onnx": model(is_int8=True, axis=axis).SerializeToString(),
        "reference.onnx": model(is_int8=False, axis=axis).SerializeToString(),
        "labels.txt": ("\n".join(labels) + "\n").encode(),
        "README.md": b"# halves\n",
        "self_test/inputs.0.bin": inputs.astype("<f4").tobytes(),
        "self_test/outputs.0.bin": wanted.astype("<f4").tobytes(),
        **clients_of(clients),
        **(extra or {}),
    }
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    document = _document(files, platform, len(inputs), axis, labels_agree)
    document["preprocessing"] = document["preprocessing"] if has_preprocessing else None
    (folder / "manifest.json").write_bytes(
        manifest_bytes(seal(parse_manifest(json.dumps(document).encode())))
    )
    return folder


def _document(
    files: Mapping[str, bytes], platform: str, samples: int, axis: int | str, labels_agree: float
) -> dict[str, Any]:
    image = {"name": "image", "type": "float32"}
    logits = {"name": "logits", "type": "float32"}
    return {
        "schema": "sardonyx.bundle/1",
        "name": "halves",
        "platform": platform,
        "licence": "Apache-2.0",
        "created_with": {"sardonyx": "0.1.0", "onnxruntime": "1.32.0", "onnx": "1.23.2"},
        "model": _entry(files, "model.onnx", "model"),
        "others": [_entry(files, "reference.onnx", "reference")],
        "inputs": [
            {**image, "shape": [axis, 1, SIDE, SIDE], "meaning": "a grey picture", "low": -0.5, "high": 1.5}
        ],
        "outputs": [{**logits, "shape": [axis, 4], "meaning": "logits", "low": -9.0, "high": 9.0}],
        "preprocessing": {
            "text": "12 x 12 grey, pixels / 255, less 0.25, over 0.5",
            "mean": [0.25],
            "std": [0.5],
            "layout": "NCHW",
            "size": [SIDE, SIDE],
            "channels": 1,
        },
        "labels": "labels.txt",
        "operators": None,
        "self_test": {
            "samples": samples,
            "batch": 2,
            "inputs": [{**image, "shape": [samples, 1, SIDE, SIDE], "file": "self_test/inputs.0.bin"}],
            "outputs": [{**logits, "shape": [samples, 4], "file": "self_test/outputs.0.bin"}],
            "tolerance": {"absolute": 1e-4, "relative": 1e-4},
            "labels_agree": labels_agree,
        },
        "measured": None,
        "usability": [],
        "provenance": {"source_sha256": "0" * 64, "command": "by hand"},
        "files": [
            {"path": path, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            for path, content in sorted(files.items())
        ],
    }


def _entry(files: Mapping[str, bytes], file: str, role: str) -> dict[str, Any]:
    content = files[file]
    return {
        "file": file,
        "role": role,
        "format": "onnx",
        "style": None,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "gzip_bytes": len(content) // 2,
        "opset": {"": 17},
        "ir_version": 8,
        "params": 576,
        "macs": 576,
        "activation_bytes": 1168,
    }

"""What the execution providers of phones take of models: a Markdown table, and what stays on the CPU.

    python benchmarks/usability.py MODELS/*.onnx
    python benchmarks/usability.py FOLDER/*/model.onnx --target qnn
    python benchmarks/usability.py --zoo
    python benchmarks/usability.py --zoo --target qnn --qnn FOLDER/onnxruntime_qnn

Each model is taken as it would be shipped: cleaned up, with its free dimensions fixed. The first one of an input becomes 1; the
others must be in ``--input``, or in a ``calib.npz`` beside the model. With ``--target`` it is quantized for a target first,
from random samples: usability does not depend on the ranges. ``--as-is`` leaves out all of this. ``--qnn`` names the folder
of the package onnxruntime-qnn, unpacked: its x86 build is asked where it puts each node, and what differs is printed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import sardonyx as sx
from sardonyx.core import ModelArtifact, TensorSpec
from sardonyx.deploy.fixed_shapes import fix_shapes
from sardonyx.deploy.usability import Usability, usability
from sardonyx.passes import CleanupPass

HEAD = "| model | provider | nodes taken | work | partitions | pays off | what stays |\n|---|---|---|---|---|---|---|"
QNN_HEAD = "| model | nodes | taken here, not there | taken there, not here |\n|---|---|---|---|"
SAMPLES = 8
EDGES = frozenset({"DequantizeLinear", "QuantizeLinear"})
Shapes = Mapping[str, Sequence[int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--zoo", action="store_true", help="the small networks of the tests")
    parser.add_argument("--input", nargs="*", default=[], metavar="NAME=1x3x224x224")
    parser.add_argument("--target", help="quantize for this target first")
    parser.add_argument("--qnn", type=Path, help="folder with libQnnHtp.so")
    parser.add_argument("--as-is", action="store_true")
    parser.add_argument("--reasons", type=int, default=2, help="how many reasons to show")
    arguments = parser.parse_args()
    given = {name: shape.split("x") for name, _, shape in (word.partition("=") for word in arguments.input)}
    print(QNN_HEAD if arguments.qnn else HEAD)
    for name, model, shapes in _models(arguments.models, arguments.zoo):
        wanted = shapes | {key: [int(size) for size in sizes] for key, sizes in given.items()}
        shipped = model if arguments.as_is else _shipped(model, wanted, arguments.target)
        if arguments.qnn:
            print(_beside_qnn(name, shipped, arguments.qnn), flush=True)
            continue
        for answer in usability(shipped):
            print(_row(name, answer, arguments.reasons), flush=True)


def _models(
    paths: Sequence[Path], zoo: bool
) -> Iterator[tuple[str, ModelArtifact, dict[str, Sequence[int]]]]:
    for path in paths:
        name = path.parent.name if path.stem == "model" else path.stem
        yield name, ModelArtifact.open(path), _shapes_beside(path)
    if zoo:
        sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
        from zoo import ZOO, exported

        for name in ZOO:
            yield name, ModelArtifact.of(exported(name)[0]), {}


def _shapes_beside(path: Path) -> dict[str, Sequence[int]]:
    samples = path.with_name("calib.npz")
    if not samples.is_file():
        return {}
    with np.load(samples, allow_pickle=False) as arrays:
        return {name: (1, *arrays[name].shape[1:]) for name in arrays.files}


def _shipped(model: ModelArtifact, shapes: Shapes, target: str | None) -> ModelArtifact:
    known = {spec.name: shapes.get(spec.name) or _one_sample(spec) for spec in model.inputs}
    fixed = fix_shapes(model, {}, {name: shape for name, shape in known.items() if shape is not None})
    graph = fixed.load()
    CleanupPass()(graph)
    cleaned = ModelArtifact.of(graph)
    return _quantized(cleaned, target) if target else cleaned


def _one_sample(spec: TensorSpec) -> Sequence[int] | None:
    """The shape of one sample; None where another dimension than the first is free."""
    sizes = [
        1 if index == 0 and not isinstance(size, int) else size for index, size in enumerate(spec.shape or ())
    ]
    return (
        [size for size in sizes if isinstance(size, int)] if all(isinstance(s, int) for s in sizes) else None
    )


def _quantized(model: ModelArtifact, target: str) -> ModelArtifact:
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path, samples = Path(folder, "model.onnx"), Path(folder, "samples.npz")
        model.save(path)
        np.savez(samples, **{spec.name: _drawn(spec, random) for spec in model.inputs})
        return sx.quantize(path, sx.open_data(str(samples)), target=target).model


def _drawn(spec: TensorSpec, random: np.random.Generator) -> np.ndarray:
    shape = (SAMPLES, *[size for size in (spec.shape or ())[1:] if isinstance(size, int)])
    if spec.dtype.kind in "iu":
        return random.integers(0, 8, shape).astype(spec.dtype)
    return random.standard_normal(shape).astype(spec.dtype)


def _row(name: str, answer: Usability, reasons: int) -> str:
    work = "?" if answer.macs_ratio is None else f"{answer.macs_ratio:.0%}"
    left = _counted(answer)
    shown = "; ".join(f"{count} {op}: {reason}" for (op, reason), count in left[:reasons])
    more = f"; {len(left) - reasons} more" if len(left) > reasons else ""
    cells = (
        name,
        answer.provider,
        f"{answer.taken} of {answer.nodes}",
        work,
        str(answer.partitions),
        answer.verdict.split(":")[0],
        shown + more,
    )
    return f"| {' | '.join(cells)} |"


def _beside_qnn(name: str, model: ModelArtifact, folder: Path) -> str:
    """A row on where the QNN provider itself puts the nodes; those that it renames are left out."""
    import onnxruntime

    answer = next(answer for answer in usability(model) if answer.provider == "QNN")
    if "QNN" not in {device.ep_name for device in onnxruntime.get_ep_devices()}:
        library = folder.absolute() / "libonnxruntime_providers_qnn.so"
        onnxruntime.register_execution_provider_library("QNN", str(library))
    devices = [device for device in onnxruntime.get_ep_devices() if device.ep_name == "QNN"]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    backend = {"backend_path": str(folder.absolute() / "libQnnHtp.so"), "offload_graph_io_quantization": "0"}
    options.add_provider_for_devices(devices[:1], backend)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "model.onnx")
        model.save(path)
        try:
            session = onnxruntime.InferenceSession(str(path), options)
        except onnxruntime.capi.onnxruntime_pybind11_state.EPFail as error:
            return f"| {name} | {answer.nodes} | not compiled: {str(error).splitlines()[0][-90:]} | |"
    pieces = session.get_provider_graph_assignment_info()
    there = {node.name: piece.ep_name == "QNN" for piece in pieces for node in piece.get_nodes()}
    both = [place for place in answer.places if place.node in there]
    here_only = Counter(p.op for p in both if p.partition is not None and not there[p.node])
    there_only = Counter(f"{p.op}: {_plain(p.reason)}" for p in both if p.partition is None and there[p.node])
    cells = (
        "; ".join(f"{count} {what}" for what, count in found.items()) for found in (here_only, there_only)
    )
    return f"| {name} | {answer.nodes} | {' | '.join(cells)} |"


def _counted(answer: Usability) -> list[tuple[tuple[str, str], int]]:
    """Operators and reasons, the most frequent first; Q/DQ nodes that share the reason of their group are left out."""
    counts = Counter((node.op, _plain(node.reason)) for node in answer.left)
    shared = {reason for op, reason in counts if op not in EDGES}
    return [(key, n) for key, n in counts.most_common() if key[0] not in EDGES or key[1] not in shared]


def _plain(reason: str) -> str:
    """A reason without names, so that equal ones count together."""
    words = reason.split()
    if "input" in words[:-1]:
        del words[words.index("input") + 1]
        return " ".join(words).replace("of input ", "").replace("at input ", "at ").replace("input ", "")
    return reason.split(" constant:")[0] + (" constant" if " constant:" in reason else "")


if __name__ == "__main__":
    main()

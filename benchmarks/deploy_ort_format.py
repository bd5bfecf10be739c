"""Models in ORT format: what conversion makes of them, and whether the list of operators beside them is complete.

    python benchmarks/deploy_ort_format.py FOLDER/*/model.onnx FOLDER/resnet20.onnx

Each model is converted in both styles for both kinds of processor, run under ONNX Runtime, and compared with the .onnx
file on the first samples of the ``calib.npz`` beside it, or else on seeded random ones. ``complete`` says whether the
configuration of a reduced build holds every operator that the file states, that the session ends up with, and that
runs; it is the exit code as well. ``from .onnx`` counts the operators that a list made from the .onnx file would lack.
Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import sardonyx as sx
from sardonyx.calib_data.runner import OrtRunner
from sardonyx.core import ModelArtifact, SardonyxError
from sardonyx.core.tensors import Array, Feed
from sardonyx.deploy.operators import OperatorSet, check_operators, missing_operators, read_config
from sardonyx.deploy.ort_format import OrtModel, convert_to_ort

_HEAD = "| model | style | platform | nodes .onnx | nodes .ort | operators | from .onnx | largest difference | complete |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--open-size", type=int, default=64, help="of open dimensions but the first")
    arguments = parser.parse_args()
    print(_HEAD + "\n|---|---|---|---|---|---|---|---|---|")
    failures = 0
    for path in arguments.models:
        model = sx.open_model(path)
        feed = _feed(model, path.with_name("calib.npz"), arguments.samples, arguments.open_size)
        names = [spec.name for spec in model.outputs]
        expected = next(OrtRunner(threads=1).run(model.load(), [feed], names))
        for style in ("fixed", "runtime"):
            for platform in ("arm", "amd64"):
                with tempfile.TemporaryDirectory() as folder:
                    made = convert_to_ort(model, Path(folder), style=style, platform=platform)  # type: ignore[arg-type]
                    session = _session(made)
                    got = dict(zip(names, session.run(None, feed), strict=True))
                    complete = _is_complete(made, feed)
                    nodes = _nodes(made.file, Path(folder, "held.onnx"))
                failures += complete != "yes"
                cells = (
                    path.parent.name if path.name == "model.onnx" else path.stem,
                    style,
                    platform,
                    sum(1 for _ in ir.traversal.RecursiveGraphIterator(model.load().graph)),
                    nodes,
                    sum(map(len, made.operators.required.values())),
                    len(missing_operators(made.operators, _listed(model))),
                    f"{_difference(expected, got):.1e}",
                    complete,
                )
                print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    return min(failures, 1)


def _feed(model: ModelArtifact, beside: Path, samples: int, open_size: int) -> Feed:
    if beside.is_file():
        with np.load(beside, allow_pickle=False) as stored:
            return {spec.name: stored[spec.name][:samples] for spec in model.inputs}
    random = np.random.default_rng(0)
    feed: Feed = {}
    for spec in model.inputs:
        dims = [
            d if isinstance(d, int) else open_size if i else samples for i, d in enumerate(spec.shape or ())
        ]
        feed[spec.name] = random.standard_normal(dims).astype(spec.dtype)
    return feed


def _session(made: OrtModel) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.enable_saved_runtime_optimizations", "1")
    return onnxruntime.InferenceSession(str(made.file), options, providers=["CPUExecutionProvider"])


def _is_complete(made: OrtModel, feed: Feed) -> str:
    try:
        check_operators(made.file, read_config(made.config), [feed], replay=True)
    except SardonyxError as error:
        return f"no: {error.cause}"
    return "yes"


def _listed(model: ModelArtifact) -> OperatorSet:
    """The operators that the .onnx file states, under the opset that it states."""
    graph = model.load()
    required: dict[str, set[str]] = {}
    for node in ir.traversal.RecursiveGraphIterator(graph.graph):
        version = graph.opset_imports.get(node.domain, 1)
        required.setdefault(f"{node.domain or 'ai.onnx'};{version}", set()).add(node.op_type)
    return OperatorSet({key: tuple(sorted(names)) for key, names in required.items()}, ())


def _nodes(file: Path, written: Path) -> int:
    """Nodes of a file in ORT format, inner graphs included: ONNX Runtime writes it as .onnx to be counted."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(written)
    onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    graph = ir.from_proto(onnx.load(str(written))).graph
    return sum(1 for _ in ir.traversal.RecursiveGraphIterator(graph))


def _difference(expected: dict[str, Array], got: dict[str, Array]) -> float:
    return max(float(np.abs(expected[n] - got[n].astype(np.float64)).max(initial=0.0)) for n in expected)


if __name__ == "__main__":
    raise SystemExit(main())

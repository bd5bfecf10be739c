"""The nine well-known networks whose files the onnx wheel holds without weights, with seeded weights, as a user takes them on.

The wheel makes each weight by a ConstantOfShape: all neurons are alike, and nothing could be told from a cut.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx_ir.passes.common import RemoveUnusedNodesPass
from sardonyx import ModelArtifact
from sardonyx.cli.app import main

FOLDER = Path(onnx.__file__).parent / "backend/test/data/light"
NETWORKS = tuple(sorted(path.stem.removeprefix("light_") for path in FOLDER.glob("*.onnx")))
SMALL = ("squeezenet", "shufflenet")
"""Those that take the fewest seconds."""

SAMPLES = 4
_IR_VERSION = 8
"""One whose weights need not be inputs."""

_PATCH = 32
_BIAS, _VARIANCE = 0.05, 0.3
_NORMALIZATION_SCALE, _NORMALIZATION_VARIANCE = 1, 4


def network(name: str) -> ir.Model:
    """A network with random weights, up to its logits.

    Args:
        name: One of ``NETWORKS``.
    """
    model = ir.load(FOLDER / f"light_{name}.onnx")
    fed = [value for value in model.graph.inputs if not value.is_initializer()]
    model.graph.inputs.clear()
    model.graph.inputs.extend(fed)
    model.ir_version = _IR_VERSION
    random = np.random.default_rng(NETWORKS.index(name))
    for node in [node for node in model.graph if node.op_type == "ConstantOfShape"]:
        (made,) = node.outputs
        weight = ir.tensor(_weight(made, _sizes(node), random), name=f"{made.name}.weight")
        stored = ir.Value(name=weight.name, const_value=weight, type=ir.TensorType(weight.dtype))
        stored.shape = weight.shape
        model.graph.register_initializer(stored)
        ir.convenience.replace_all_uses_with(made, stored)
    _end_at_logits(model.graph)
    RemoveUnusedNodesPass()(model)
    return model


def _sizes(node: ir.Node) -> list[int]:
    (source,) = node.inputs
    tensor = source.const_value or source.producer().attributes["value"].as_tensor()
    return [int(size) for size in tensor.numpy()]


def _weight(made: ir.Value, sizes: list[int], random: np.random.Generator) -> np.ndarray:
    """Weights that keep the spread of what passes a ReLU; scales and variances about one; small biases and means."""
    uses = {(use.node.op_type, use.idx) for use in made.uses()}
    if len(sizes) > 1:
        return (random.standard_normal(sizes) * math.sqrt(2 / math.prod(sizes[1:]))).astype(np.float32)
    positive = {("BatchNormalization", i) for i in (_NORMALIZATION_SCALE, _NORMALIZATION_VARIANCE)}
    if uses & positive:
        return random.uniform(1 - _VARIANCE, 1 + _VARIANCE, sizes).astype(np.float32)
    return (_BIAS * random.standard_normal(sizes)).astype(np.float32)


def _end_at_logits(graph: ir.Graph) -> None:
    """Random logits lie close together, and a Softmax of a thousand makes them all a thousandth."""
    (last,) = graph.outputs
    softmax = last.producer()
    if softmax.op_type == "Softmax":
        (logits,) = softmax.inputs
        logits.shape, logits.type = last.shape, last.type
        graph.outputs[0] = logits
        graph.remove(softmax, safe=True)


@dataclass
class Journey:
    """What became of a network.

    Attributes:
        name: Its name.
        folder: Where its files are: ``float``, ``pruned``, ``healed`` and ``int8`` ``.onnx``, ``bundle``.
        documents: What each command printed as JSON, by its name.
        seconds: How long each took.
        failures: What a command said that did not exit with 0, by its name.
    """

    name: str
    folder: Path
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def call(self, *words: object) -> None:
        """Run a command of the command line in this process, from the folder."""
        verb, printed, start = str(words[0]), StringIO(), time.monotonic()
        try:
            with redirect_stdout(printed):
                main([*map(str, words), "--json"])
        except SystemExit as left:
            if left.code:
                self.failures[verb] = f"exit code {left.code}: {printed.getvalue()[-300:]}"
                return
        finally:
            self.seconds[verb] = time.monotonic() - start
        self.documents[verb] = json.loads(printed.getvalue())

    def size(self, stage: str) -> int:
        """Bytes of a model, with the weights that lie beside it where they are many."""
        return sum(path.stat().st_size for path in self.folder.glob(f"{stage}.onnx*"))

    def outputs(self, stage: str) -> np.ndarray:
        """What a file gives for the samples, without optimisations."""
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        session = ort.InferenceSession(self.folder / f"{stage}.onnx", options)
        ((name, samples),) = np.load(self.folder / "samples.npz").items()
        return np.concatenate([session.run(None, {name: sample[None]})[0] for sample in samples])


def take(name: str, folder: Path, *, repair: bool = False) -> Journey:
    """Prune a network to half of its parameters, heal, quantize and package it.

    Neurons of the large ones are ranked by magnitude: their widest layer reads 25,088 numbers, and the default ranking
    factors matrices of that size, of 5 GB each.

    Args:
        name: One of ``NETWORKS``.
        folder: An empty folder.
        repair: Whether what is left by the cut is repaired by regression, which takes most of the time.
    """
    journey = Journey(name, folder)
    model = network(name)
    (image,) = model.graph.inputs
    np.savez(folder / "samples.npz", **{image.name: _images(image.shape.numpy()[1:])})
    ModelArtifact.of(model).save(folder / "float.onnx")
    criterion = "second-order" if name in SMALL else "magnitude"
    for words in _commands(folder, criterion, "--compensate" if repair else "--no-compensate"):
        if not journey.failures:
            journey.call(*words)
    return journey


def _images(sizes: Sequence[int]) -> np.ndarray:
    """Patches of random colours; noise of single pixels would look the same to a network in every image."""
    channels, height, width = sizes
    patches = (SAMPLES, channels, height // _PATCH, width // _PATCH)
    return np.random.default_rng(0).random(patches, np.float32).repeat(_PATCH, 2).repeat(_PATCH, 3)


def _commands(folder: Path, criterion: str, repair: str) -> Iterator[tuple[object, ...]]:
    stages = ("float", "pruned", "healed", "int8")
    whole, pruned, healed, int8 = (folder / f"{stage}.onnx" for stage in stages)
    samples = folder / "samples.npz"
    cut = ("--params", 0.5, "--steps", 1, "--criterion", criterion, repair)
    yield "prune", whole, "--calib", samples, *cut, "-o", pruned
    rate = ("--epochs", 1, "--batch", 1, "--learning-rate", 1e-4)
    yield "heal", pruned, "--teacher", whole, "--data", samples, "--eval", samples, *rate, "-o", healed
    yield "quantize", healed, "--calib", samples, "-o", int8
    test = ("--data", samples, "--samples", 2, "--no-latency")
    yield "package", int8, "--for", "linux", *test, "-o", folder / "bundle"
    yield "verify", folder / "bundle"

"""A small bundle: a classifier of pictures with three classes, its reference, its labels, in ORT format too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir
from nets import Net
from sardonyx import ModelArtifact
from sardonyx.core.tensors import Feed
from sardonyx.deploy import Allowance, BundleContent, Tolerance, get_platform, open_on_cpu

FILES = (
    "README.md",
    "client/python/client.py",
    "labels.txt",
    "manifest.json",
    "model.onnx",
    "model.ort",
    "operators.config",
    "reference.onnx",
    "self_test/inputs.0.bin",
    "self_test/outputs.0.bin",
)
"""All of it."""

CLASSES = 3


def classifier(seed: int = 0) -> ModelArtifact:
    """A convolution and a linear layer: ``x``, shape ``(N, 3, 8, 8)``, to ``(N, 3)``."""
    net = Net(opset=17, seed=seed)
    scores = net.head(net.relu(net.conv(net.x, 8)), CLASSES)
    scores.name = "scores"
    return ModelArtifact.of(net.model(scores))


def pictures(count: int) -> Feed:
    random = np.random.default_rng(0)
    return {"x": random.normal(size=(count, 3, 8, 8)).astype(np.float32)}


def content(**changed: Any) -> BundleContent:
    """What the bundle is made of; any part of it replaced."""
    model, inputs = classifier(), pictures(4)
    given: dict[str, Any] = {
        "name": "small",
        "platform": replace(get_platform("linux"), clients=("python",)),
        "model": model,
        "reference": model,
        "inputs": inputs,
        "outputs": open_on_cpu(model)(inputs),
        "samples": 4,
        "batch": 2,
        "allowance": Allowance(Tolerance(absolute=1e-4, relative=1e-4), 1.0),
        "source_sha256": model.sha256,
        "labels": ("cat", "dog", "owl"),
    }
    return BundleContent(**{**given, **changed})


def renamed(model: ModelArtifact, name: str) -> ModelArtifact:
    """The model with another name for its input."""
    graph: ir.Model = model.load()
    graph.graph.inputs[0].name = name
    return ModelArtifact.of(graph)

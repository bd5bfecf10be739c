"""Small graphs to ask providers about, and groups of Q/DQ nodes in them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
from nets import Net
from sardonyx.core import ModelArtifact
from sardonyx.core.shapes import infer_shapes
from sardonyx.deploy.usability import Usability, usability

Build = Callable[["Graph"], ir.Value]


class Graph(Net):
    """A net of one sample, with quantization; ``q`` and ``dq`` take the integer type and one scale or several."""

    def __init__(self, *shape: int | str, opset: int = 17, dtype: ir.DataType = ir.DataType.FLOAT) -> None:
        super().__init__(shape or (1, 4, 8, 8), opset, dtype=dtype)

    def model(self, *outputs: ir.Value) -> ir.Model:
        """The model; outputs have whatever type they turn out to have."""
        graph = ir.Graph(
            [self.x],
            list(outputs),
            nodes=self.nodes,
            initializers=self.weights,
            opset_imports={"": self.opset, "com.microsoft": 1},
            name="net",
        )
        model = ir.Model(graph, ir_version=9)
        infer_shapes(model)
        return model

    def q(self, x: ir.Value, kind: str = "uint8", scale: float = 0.1, zero: int = 0) -> ir.Value:
        parameters = self.const(np.float32(scale)), self.const(np.array(zero, kind))
        return self.op("QuantizeLinear", x, *parameters)

    def dq(self, x: ir.Value, kind: str = "uint8", scale: float = 0.1, zero: int = 0) -> ir.Value:
        parameters = self.const(np.float32(scale)), self.const(np.array(zero, kind))
        return self.op("DequantizeLinear", x, *parameters)

    def qdq(self, x: ir.Value, kind: str = "uint8", scale: float = 0.1, zero: int = 0) -> ir.Value:
        return self.dq(self.q(x, kind, scale, zero), kind, scale, zero)

    def stored(self, *shape: int, kind: str = "int8", channels: int = 1, axis: int = 0) -> ir.Value:
        """Quantized weights behind a DequantizeLinear, with one scale or one for each channel."""
        several = () if channels == 1 else (channels,)
        parameters = self.const(np.full(several, 0.1, np.float32)), self.const(np.zeros(several, kind))
        return self.op("DequantizeLinear", self.const(np.ones(shape, kind)), *parameters, axis=axis)


def ask(graph: Graph, *outputs: ir.Value) -> dict[str, Usability]:
    """What each provider says of a graph."""
    return {answer.provider: answer for answer in usability(ModelArtifact.of(graph.model(*outputs)))}


def reason(provider: str, build: Build, graph: Graph | None = None) -> str:
    """Why a provider leaves the last node that a function builds; nothing where it takes it."""
    graph = graph or Graph()
    return ask(graph, build(graph))[provider].places[-1].reason


def group_reason(provider: str, build: Build, kind: str = "uint8", graph: Graph | None = None) -> str:
    """The same for a group: input and output are quantized, and the operator in the middle is built."""
    graph = graph or Graph()
    fed = graph.qdq(graph.x, kind)
    graph.widths[fed.name] = 4
    made = build_on(graph, fed, build)
    answer = ask(graph, graph.qdq(made, kind))[provider]
    kinds = {made.producer().name}
    return next(place.reason for place in answer.places if place.node in kinds)


def build_on(graph: Graph, fed: ir.Value, build: Build) -> ir.Value:
    """Let a function build on another value than the graph's input."""
    given, graph.x = graph.x, fed
    made = build(graph)
    graph.x = given
    return made

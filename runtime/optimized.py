"""ONNX Runtime's optimised graph, read back: which nodes really run in integer kernels, and why others do not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import onnx
import onnx_ir as ir

from ..core import ModelArtifact
from ..core.errors import ModelError
from ..core.files import temporary_folder
from .sessions import open_session

INTEGER_OPS = frozenset(
    {
        "ConvInteger",
        "DynamicQuantizeLSTM",
        "DynamicQuantizeMatMul",
        "MatMulInteger",
        "MatMulInteger16",
        "MatMulIntegerToFloat",
        "MatMulNBits",
        "NhwcMaxPool",
        "QAttention",
        "QEmbedLayerNormalization",
        "QGemm",
        "QLinearAdd",
        "QLinearAveragePool",
        "QLinearConcat",
        "QLinearConv",
        "QLinearConvTranspose",
        "QLinearGlobalAveragePool",
        "QLinearLeakyRelu",
        "QLinearMatMul",
        "QLinearMul",
        "QLinearReduceMean",
        "QLinearSigmoid",
        "QLinearSoftmax",
        "QLinearWhere",
        "QMoE",
        "QOrderedAttention",
        "QOrderedGelu",
        "QOrderedLayerNormalization",
        "QOrderedMatMul",
    }
)
"""Operators of the optimised graph that compute on integers."""

CONVERSION_OPS = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
"""Operators that go from float to integers or back."""

_MOVING_OPS = frozenset(
    {
        "Concat",
        "DepthToSpace",
        "Expand",
        "Flatten",
        "Gather",
        "Identity",
        "MaxPool",
        "Pad",
        "Reshape",
        "Resize",
        "Slice",
        "SpaceToDepth",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    }
)
"""Operators that move values and run on integers when they are fed integers."""

_LAYOUT_OPS = frozenset({"ReorderInput", "ReorderOutput"})
"""Operators that ONNX Runtime adds around blocked convolutions."""

_WEIGHTED_OPS = frozenset(
    {"Conv", "ConvTranspose", "FusedConv", "FusedGemm", "FusedMatMul", "Gemm", "MatMul"}
)

_INTEGER_TYPES = frozenset(
    {
        onnx.TensorProto.INT4,
        onnx.TensorProto.INT8,
        onnx.TensorProto.UINT4,
        onnx.TensorProto.UINT8,
        onnx.TensorProto.INT16,
        onnx.TensorProto.UINT16,
    }
)


_TOKEN = re.compile(r"_token_[0-9]+$")
"""What ONNX Runtime's layout optimiser appends to the names of nodes it makes anew."""


class OptimizedNode(NamedTuple):
    """A node of the optimised graph.

    Attributes:
        node: Its name, which is that of one of the nodes it was fused from.
        op_type: Its operator.
        domain: The operator's domain.
    """

    node: str
    op_type: str
    domain: str


@dataclass(frozen=True)
class NodePlacement:
    """Whether a node of the optimised graph computes on integers.

    Attributes:
        node: The name, in the model, of the node that it stands for or was fused into; nodes that ONNX Runtime
            added carry the name that it gave them.
        op_type: Its operator in the optimised graph.
        is_integer: Whether its kernel takes integers.
        reason: Why, in a few words.
    """

    node: str
    op_type: str
    is_integer: bool
    reason: str


def optimized_nodes(model: ModelArtifact, provider: str = "cpu") -> tuple[OptimizedNode, ...]:
    """The nodes that ONNX Runtime makes of a model, in order, subgraphs included.

    Args:
        model: The model.
        provider: The provider it is optimised for.

    Raises:
        ModelError: ONNX Runtime refuses the model.
        ProviderError: The provider is not there.
    """
    return tuple(OptimizedNode(n.name, n.op_type, n.domain) for n, _ in _nodes(_optimize(model, provider)))


def source_names(model: ModelArtifact, provider: str = "cpu") -> dict[str, str]:
    """For each node that ONNX Runtime makes of a model, the node of the model that it stands for.

    Args:
        model: The model.
        provider: The provider it is optimised for.

    Returns:
        Names by names; a node that ONNX Runtime added stands for itself.

    Raises:
        ModelError: ONNX Runtime refuses the model.
        ProviderError: The provider is not there.
    """
    names = _SourceNames(model)
    return {node.name: names.of(node) for node, _ in _nodes(_optimize(model, provider))}


def integer_placement(model: ModelArtifact, provider: str = "cpu") -> list[NodePlacement]:
    """Which nodes compute on integers when the model runs, and why the others do not.

    Args:
        model: The model, as it would be deployed.
        provider: The provider it is to run on.

    Returns:
        One entry for each node of ONNX Runtime's optimised graph, in order.

    Raises:
        ModelError: ONNX Runtime refuses the model.
        ProviderError: The provider is not there.
    """
    names = _SourceNames(model)
    return [
        replace(_judge(node, tables), node=names.of(node))
        for node, tables in _nodes(_optimize(model, provider))
    ]


class _SourceNames:
    """From a node of the optimised graph to the node of the model that it stands for.

    Layout changes rename nodes (``conv_token_3``, ``output_nchwc``); fusions keep the last node's outputs.
    """

    def __init__(self, model: ModelArtifact) -> None:
        nodes = list(ir.traversal.RecursiveGraphIterator(model.load().graph))
        self.names = {n.name for n in nodes if n.name}
        self.producers = {v.name: n.name for n in nodes for v in n.outputs if v.name and n.name}

    def of(self, node: onnx.NodeProto) -> str:
        """The name in the model, or the node's own where it stands for none."""
        plain = _TOKEN.sub("", node.name)
        if plain in self.names:
            return plain
        if node.op_type in _LAYOUT_OPS | CONVERSION_OPS:
            return node.name
        values = (node.name.removesuffix("_nchwc"), *node.output)
        return next((self.producers[v] for v in values if v in self.producers), None) or node.name


class _Tables(NamedTuple):
    """What is known of the values of one graph and the graphs around it."""

    producers: dict[str, onnx.NodeProto]
    constants: dict[str, int]


def _optimize(model: ModelArtifact, provider: str) -> onnx.GraphProto:
    with temporary_folder() as folder:
        path = folder / "optimized.onnx"
        open_session(model, provider, optimized_path=path)
        if not path.is_file():
            raise ModelError(
                "ONNX Runtime wrote no optimised graph", remedy=f"{provider} compiles nodes; ask for --ep cpu"
            )
        # ONNX Runtime wrote this file itself, a moment ago; its weights are not needed
        return onnx.load(str(path), load_external_data=False).graph


def _nodes(graph: onnx.GraphProto, outer: _Tables | None = None) -> Iterator[tuple[onnx.NodeProto, _Tables]]:
    """Every node with the tables of its graph; inner graphs see the values of the outer ones."""
    tables = _Tables(dict(outer.producers), dict(outer.constants)) if outer else _Tables({}, {})
    tables.constants.update({t.name: t.data_type for t in graph.initializer})
    tables.producers.update({name: node for node in graph.node for name in node.output})
    for node in graph.node:
        yield node, tables
        for attribute in node.attribute:
            for child in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _nodes(child, tables)


def _judge(node: onnx.NodeProto, tables: _Tables) -> NodePlacement:
    if node.op_type in INTEGER_OPS:
        return NodePlacement(node.name, node.op_type, True, "an integer kernel")
    if node.op_type in CONVERSION_OPS:
        return NodePlacement(node.name, node.op_type, False, "converts between float and integers")
    if node.op_type in _MOVING_OPS and _is_integer_value(node.input[0], tables):
        return NodePlacement(node.name, node.op_type, True, "moves integers")
    return NodePlacement(node.name, node.op_type, False, _float_reason(node, tables))


def _is_integer_value(name: str, tables: _Tables) -> bool:
    """Whether a value holds 4- to 16-bit integers, followed back through nodes that only move values."""
    while name in tables.producers:
        node = tables.producers[name]
        if node.op_type in {"QuantizeLinear", "DynamicQuantizeLinear", "NhwcMaxPool"}:
            return True
        if node.op_type in INTEGER_OPS:
            return node.op_type.startswith("QLinear") or (node.op_type == "QGemm" and len(node.input) > 7)
        if node.op_type not in _MOVING_OPS:
            return False
        name = node.input[0]
    return tables.constants.get(name) in _INTEGER_TYPES


def _float_reason(node: onnx.NodeProto, tables: _Tables) -> str:
    """Why a node computes in float: what its inputs come from."""
    if node.op_type in _LAYOUT_OPS:
        return "changes the layout for a blocked float kernel"
    dequantized = [_from_dequantize(name, tables) for name in node.input if name]
    if not any(dequantized):
        return "its inputs are not quantized"
    if node.op_type not in _WEIGHTED_OPS:
        return f"the provider has no integer kernel for {node.op_type} with these inputs"
    if not dequantized[0]:
        return "its weight is quantized and its input is not"
    if len(dequantized) > 1 and not dequantized[1]:
        return "its input is quantized and its weight is not"
    return "its inputs are quantized and its output is not, or the types have no integer kernel"


def _from_dequantize(name: str, tables: _Tables) -> bool:
    producer = tables.producers.get(name)
    while producer is not None and producer.op_type in _LAYOUT_OPS:
        producer = tables.producers.get(producer.input[0])
    return producer is not None and producer.op_type == "DequantizeLinear"

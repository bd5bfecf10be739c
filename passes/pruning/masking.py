"""The masked original: the uncut graph with zeros where neurons go, which a cut must reproduce exactly.

Every sum leaves the cut neurons out, through a mask of zeros and ones. Where approximate cuts are allowed, every mean
over an axis becomes the mean over what stays, so that the cut is proven there too: what is approximate is that the
statistics are others than before, not how they are taken.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ..constants import add_constant
from ..coupling import Contraction, Coupling, Kept

_SMALLEST_EPSILON = 1e-5

_ZERO_POINT_BEHIND = dict.fromkeys(("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"), 2)
"""How far behind a quantized input its zero-point stands."""


def masked(model: ir.Model, coupling: Coupling, kept: Kept) -> ir.Model:
    """A copy of a graph in which every sum and every mean leaves the cut neurons out.

    Args:
        model: The graph before the cut.
        coupling: Its analysis.
        kept: What stays.
    """
    copy = model.clone()
    twins = _Twins(model.graph, copy.graph)
    for index, contraction in enumerate(coupling.contractions):
        mask = kept.mask(contraction.value, contraction.axis)
        if mask is None or contraction.value in contraction.node.outputs:
            continue  # a recurrent layer reads its own states, through a weight that has a mask of its own
        rank = len(coupling.space.dims(contraction.value) or ())
        _Masking(twins, contraction.node, f"sardonyx.masked.{index}").apply(contraction, mask, rank)
    return copy


class _Twins:
    """What each node and value of a graph is in its copy, subgraphs included.

    Attributes:
        opset: The version of the standard operators.
        nodes: The copy of each node.
        values: For each value what its users in the copy read, which is another after a mean was written out.
        fed: For a node and a value that it reads, what it reads instead since a mask was put before it.
    """

    def __init__(self, graph: ir.Graph, copy: ir.Graph) -> None:
        self.opset = copy.opset_imports.get("") or 1
        pairs = zip(*(ir.traversal.RecursiveGraphIterator(g) for g in (graph, copy)), strict=True)
        self.nodes = dict(pairs)
        self.values: dict[ir.Value, ir.Value] = {}
        self.fed: dict[tuple[ir.Node, ir.Value], ir.Value] = {}
        for node, twin in self.nodes.items():
            for mine, its in ((node.inputs, twin.inputs), (node.outputs, twin.outputs)):
                for value, other in zip(mine, its, strict=True):
                    if value is not None and other is not None:
                        self.values[value] = other


class _Masking:
    """Puts one mask into a copy, before one node, in the graph or body where that node stands.

    Args:
        twins: What was copied; what is replaced is noted there.
        original: The node that sums or takes means.
        stem: What new names begin with.
    """

    def __init__(self, twins: _Twins, original: ir.Node, stem: str) -> None:
        node = twins.nodes[original]
        if not isinstance(node.graph, ir.Graph):
            raise TypeError("functions are inlined before a graph is analysed")
        self.graph, self.node = node.graph, node
        self.twins, self.original, self.stem = twins, original, stem
        self.count = 0

    def apply(self, contraction: Contraction, mask: npt.NDArray[np.bool_], rank: int) -> None:
        value = contraction.value
        source = self.twins.fed.get((self.original, value), self.twins.values[value])
        shape = [1] * rank
        shape[contraction.axis] = len(mask)
        if source.dtype is not None and not source.dtype.is_floating_point():
            self._feed(value, source, self._zeroed(source, mask.reshape(shape)))
            return
        ones = self._constant(source, mask.reshape(shape))
        product = self._before("Mul", source, ones)
        share = float(mask.mean())
        if contraction.is_mean and self.node.op_type != "ReduceMean":
            self._normalize(product, ones, share)
            return
        self._feed(value, source, product)
        if contraction.is_mean:
            self._replace(self._after("Div", self.node.outputs[0], self._constant(source, share)))

    def _feed(self, original: ir.Value, source: ir.Value, product: ir.Value) -> None:
        """Let the node read one value instead of another."""
        places = [position for position, value in enumerate(self.node.inputs) if value is source]
        if not places:
            raise ValueError(f"{self.node.name} does not read {original.name}")
        self.twins.fed[(self.original, original)] = product
        for position in places:
            self.node.replace_input_with(position, product)

    def _zeroed(self, source: ir.Value, mask: npt.NDArray[np.bool_]) -> ir.Value:
        """A quantized tensor with its zero-point where neurons go."""
        chosen = add_constant(self.graph, self._name(), mask)
        place = _ZERO_POINT_BEHIND.get(self.node.op_type, 0)
        index = list(self.node.inputs).index(source) + place
        zero = self.node.inputs[index] if place and index < len(self.node.inputs) else None
        result = self._before("Where", chosen, source, zero or self._constant(source, 0.0))
        result.type = source.type
        return result

    def _normalize(self, product: ir.Value, ones: ir.Value, share: float) -> None:
        """LayerNormalization or RMSNormalization over the last axis, written out over what stays."""
        kept = self._constant(product, share)
        centred = product
        if self.node.op_type == "LayerNormalization":
            mean = self._before("Div", self._mean(product), kept)
            centred = self._before("Mul", self._before("Sub", product, mean), ones)
        variance = self._before("Div", self._mean(self._before("Mul", centred, centred)), kept)
        epsilon = self._constant(product, self.node.attributes.get_float("epsilon", _SMALLEST_EPSILON))
        result = self._before("Div", centred, self._before("Sqrt", self._before("Add", variance, epsilon)))
        for kind, parameter in zip(("Mul", "Add"), self.node.inputs[1:], strict=False):
            if parameter is not None:
                result = self._before(kind, result, parameter)
        self._replace(result)

    def _mean(self, value: ir.Value) -> ir.Value:
        """Over the last axis; the axes are an attribute before opset 18 and an input since."""
        if self.twins.opset < 18:
            return self._before("ReduceMean", value, axes=[-1], keepdims=1)
        axes = add_constant(self.graph, self._name(), np.asarray([-1], np.int64))
        return self._before("ReduceMean", value, axes, keepdims=1)

    def _constant(self, like: ir.Value, content: float | npt.NDArray[np.bool_]) -> ir.Value:
        dtype = like.dtype or ir.DataType.FLOAT
        return add_constant(self.graph, self._name(), np.asarray(content).astype(dtype.numpy()), dtype)

    def _before(self, kind: str, *inputs: ir.Value, **attributes: int | list[int]) -> ir.Value:
        node = ir.node(kind, list(inputs), attributes, name=self._name())
        node.outputs[0].name, node.outputs[0].type = self._name(), inputs[0].type
        self.graph.insert_before(self.node, node)
        return node.outputs[0]

    def _after(self, kind: str, *inputs: ir.Value) -> ir.Value:
        node = ir.node(kind, list(inputs), name=self._name())
        node.outputs[0].name, node.outputs[0].type = self._name(), inputs[0].type
        self.graph.insert_after(self.node, node)
        return node.outputs[0]

    def _replace(self, result: ir.Value) -> None:
        """Let whoever reads the node's output read this instead."""
        output = self.node.outputs[0]
        if self.twins.values[self.original.outputs[0]] is output:
            self.twins.values[self.original.outputs[0]] = result
        for use in list(output.uses()):
            if use.node is not result.producer():
                use.node.replace_input_with(use.idx, result)
        for position, value in enumerate(self.graph.outputs):
            if value is output:
                result.name, output.name = output.name, self._name()
                result.shape, result.type = output.shape, output.type
                self.graph.outputs[position] = result

    def _name(self) -> str:
        self.count += 1
        return f"{self.stem}.{self.count}"

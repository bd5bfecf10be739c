"""A network whose work is set by one number, so that a known difference can be planted."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import sardonyx as sx

USUAL = 80
"""Inner width of the network as it is; 88 is a tenth more work in the same layers, 96 a fifth."""

_OUTER, _BLOCKS, _SIDE = 32, 4, 16


def residual(inner: int = USUAL) -> sx.ModelArtifact:
    """Four residual blocks of two 3 x 3 convolutions, on images of 3 x 16 x 16.

    Args:
        inner: Channels between both convolutions of a block. Work grows with it, but for a first convolution of
            less than a hundredth of it all.
    """
    random = np.random.default_rng(0)
    nodes: list[ir.Node] = []
    weights: list[ir.Value] = []

    def convolve(value: ir.Value, inputs: int, outputs: int) -> ir.Value:
        name = f"conv{len(weights)}"
        array = random.normal(0, (9 * inputs) ** -0.5, (outputs, inputs, 3, 3)).astype(np.float32)
        weights.append(ir.Value(name=f"{name}_weight", const_value=ir.tensor(array, name=f"{name}_weight")))
        nodes.append(ir.node("Conv", [value, weights[-1]], {"pads": [1, 1, 1, 1]}, name=name))
        return nodes[-1].outputs[0]

    def apply(operator: str, *values: ir.Value) -> ir.Value:
        nodes.append(ir.node(operator, values, name=f"{operator.lower()}{len(nodes)}"))
        return nodes[-1].outputs[0]

    x = ir.val("x", ir.DataType.FLOAT, ["N", 3, _SIDE, _SIDE])
    value = apply("Relu", convolve(x, 3, _OUTER))
    for _ in range(_BLOCKS):
        branch = convolve(apply("Relu", convolve(value, _OUTER, inner)), inner, _OUTER)
        value = apply("Relu", apply("Add", value, branch))
    value = apply("GlobalAveragePool", value)
    value.name, value.shape, value.dtype = "y", ir.Shape(["N", _OUTER, 1, 1]), ir.DataType.FLOAT
    graph = ir.Graph([x], [value], nodes=nodes, initializers=weights, opset_imports={"": 17}, name="residual")
    return sx.ModelArtifact.of(ir.Model(graph, ir_version=8))

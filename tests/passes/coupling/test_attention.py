"""Fused attention: whole heads go, and the rest computes what the masked original does."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from nets import Net
from sardonyx.calib_data import CalibrationData, OrtRunner
from sardonyx.core.shapes import infer_shapes
from sardonyx.passes.coupling import Kept, analyze, cut_classes
from sardonyx.passes.pruning.masking import masked

HEADS, LANES, WIDTH = 4, 3, 8
X = np.random.default_rng(0).standard_normal((2, 5, WIDTH)).astype("f4")


def fused(n: Net, kind: str, *inputs: ir.Value | None, **attributes: object) -> ir.Value:
    node = ir.node(kind, list(inputs), attributes, domain="com.microsoft", name=f"n{len(n.nodes)}")
    node.outputs[0].name = f"v{len(n.nodes)}"
    node.outputs[0].dtype, node.outputs[0].shape = ir.DataType.FLOAT, ir.Shape(["N", 5, HEADS * LANES])
    n.nodes.append(node)
    return node.outputs[0]


def network(kind: str, **attributes: object) -> ir.Model:
    n = Net(("N", 5, WIDTH))
    inner = HEADS * LANES
    if kind == "Attention":
        made = fused(n, kind, n.x, n.rand(WIDTH, 3 * inner), n.rand(3 * inner), num_heads=HEADS, **attributes)
    else:
        parts = [n.op("MatMul", n.x, n.rand(WIDTH, inner)) for _ in range(3)]
        made = fused(n, kind, *parts, n.rand(3 * inner), num_heads=HEADS, **attributes)
    y = n.op("MatMul", made, n.rand(inner, 3))
    y.dtype, y.shape = ir.DataType.FLOAT, ir.Shape(["N", 5, 3])
    imports = {"": 18, "com.microsoft": 1}
    graph = ir.Graph([n.x], [y], nodes=n.nodes, initializers=n.weights, opset_imports=imports, name="net")
    return ir.Model(graph, ir_version=9)


def shapes(model: ir.Model) -> dict[str, tuple[object, ...]]:
    """What inference cannot find behind an operator of another domain."""
    return {
        v.name: tuple(d if isinstance(d, int) else "N" for d in v.shape)
        for n in model.graph
        for v in n.outputs
        if v.shape
    }


def run(model: ir.Model) -> np.ndarray:
    data, name = CalibrationData.from_arrays({"x": X}), model.graph.outputs[0].name
    return next(iter(OrtRunner(threads=1).run(model, data.batches(2), [name])))[name]


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [("Attention", {}), ("Attention", {"qkv_hidden_sizes": [12, 12, 12]}), ("MultiHeadAttention", {})],
)
def test_whole_heads_go(kind: str, attributes: dict[str, object]) -> None:
    model = network(kind, **attributes)
    fallback = shapes(model)
    infer_shapes(model)
    coupling = analyze(model, fallback)
    (group,) = coupling.groups
    assert group.size == HEADS
    labels = group.classes[[0, 2]]
    expected = run(masked(model, coupling, Kept(coupling, labels)))
    smaller = model.clone()
    cut_classes(smaller, analyze(smaller, fallback), labels)
    np.testing.assert_allclose(run(smaller), expected, rtol=1e-5, atol=1e-6)
    (node,) = [n for n in smaller.graph if n.domain]
    assert node.attributes["num_heads"].as_int() == 2


def test_inputs_that_are_not_followed_freeze_by_name() -> None:
    model = network("MultiHeadAttention")
    (node,) = [n for n in model.graph if n.domain]
    bias = ir.Value(name="bias", const_value=ir.tensor(np.zeros((1, HEADS, 5, 5), "f4"), name="bias"))
    model.graph.register_initializer(bias)
    node.resize_inputs(6)
    node.replace_input_with(5, bias)
    coupling = analyze(model, shapes(model))
    assert not coupling.groups
    assert "attention_bias" in " ".join(g.frozen.text for g in coupling.frozen)

"""What a model holds."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import sardonyx as sx


def test_the_figures_are_those_of_the_graph(model: sx.ModelArtifact) -> None:
    found = sx.inspect(model)
    assert found.operators["Conv"] == 2
    assert found.size.params == 32 * 3 * 9 + 32 * 32 * 9 + 4 * 32 + 4
    assert found.inputs == ("image: float32 batchx3x8x8",)
    assert found.groups is None


def test_coupling_gives_a_reason_for_each_frozen_group(model: sx.ModelArtifact) -> None:
    found = sx.inspect(model, coupling=True)
    frozen = [group for group in found.groups if group.reason]
    assert [group.neurons for group in found.groups if not group.reason] == [32, 32]
    assert [(group.neurons, group.code) for group in frozen] == [(3, "graph-input"), (4, "graph-output")]
    assert found.cuttable_ratio == pytest.approx(1.0, abs=0.01)


def test_what_is_no_model_is_refused(tmp_path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(sx.ModelError):
        sx.inspect(tmp_path / "model.onnx")


def test_the_cleanup_finds_the_cost_of_shapes_that_are_computed() -> None:
    found = [sx.inspect(padded(), coupling=coupling).size.macs for coupling in (False, True)]
    assert found == [None, 2 * 3 * 9 * 8 * 8]


def padded() -> sx.ModelArtifact:
    """A convolution behind a Pad whose sizes come out of a Transpose."""
    image = ir.val("image", ir.DataType.FLOAT, ["batch", 3, 8, 8])
    weights = [
        ir.val("ends", const_value=ir.tensor([[0, 0], [0, 0], [1, 1], [1, 1]], name="ends")),
        ir.val("flat", const_value=ir.tensor([-1], name="flat")),
        ir.val("weight", const_value=ir.tensor(np.ones((2, 3, 3, 3), np.float32), name="weight")),
    ]
    turned = ir.node("Transpose", [weights[0]], {"perm": [1, 0]})
    sizes = ir.node("Reshape", [*turned.outputs, weights[1]])
    pad = ir.node("Pad", [image, *sizes.outputs])
    conv = ir.node("Conv", [*pad.outputs, weights[2]])
    result = conv.outputs[0]
    result.name, result.dtype, result.shape = "y", ir.DataType.FLOAT, ir.Shape(["batch", 2, None, None])
    graph = ir.Graph(
        [image],
        [result],
        nodes=[turned, sizes, pad, conv],
        initializers=weights,
        opset_imports={"": 17},
        name="padded",
    )
    return sx.ModelArtifact.of(ir.Model(graph, ir_version=9))

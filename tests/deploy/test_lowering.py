from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnx.reference
import onnx_ir as ir
import pytest
from nets import Net
from onnx import TensorProto, helper, numpy_helper
from sardonyx.calib_data.runner import OrtRunner
from sardonyx.core import ExpectationError, ModelArtifact, UsageError
from sardonyx.deploy import lowering
from sardonyx.deploy.lowering import lower

X = np.random.default_rng(0).standard_normal((2, 4)).astype(np.float32)
IMAGE = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)


def parse(text: str, opset: int = 24, ir_version: int = 13) -> ModelArtifact:
    head = f'<ir_version: {ir_version}, opset_import: ["" : {opset}, "com.microsoft" : 1, "l" : 1]>\n'
    return ModelArtifact.of(ir.from_proto(onnx.parser.parse_model(head + text)))


def outputs(model: ModelArtifact, x: np.ndarray) -> list[np.ndarray]:
    names = [spec.name for spec in model.outputs]
    return list(next(OrtRunner(1).run(model.load(), [{"x": x}], names)).values())


def versions(model: ModelArtifact) -> tuple[int, int]:
    graph = model.load()
    return graph.opset_imports[""], graph.ir_version


def cnn(opset: int) -> ModelArtifact:
    net = Net(opset=opset)
    x = net.act("GlobalMaxPool", net.act("HardSwish", net.conv(net.x, 40)))
    model = net.model(net.op("Gemm", net.op("Flatten", x), net.rand(5, 40), net.rand(5), transB=1))
    model.ir_version = 12
    return ModelArtifact.of(model)


@pytest.mark.parametrize(("opset", "ir_version"), [(26, 12), (22, 10), (21, 10), (18, 8), (17, 8)])
def test_a_network_computes_the_same(opset, ir_version):
    model = cnn(26)
    lowered, notes = lower(model, opset=opset, ir_version=ir_version, feeds=[{"x": IMAGE}])
    assert versions(lowered) == (opset, ir_version)
    assert np.abs(outputs(model, IMAGE)[0] - outputs(lowered, IMAGE)[0]).max() < 1e-6
    assert bool(notes) == ((opset, ir_version) != (26, 12))
    onnx.checker.check_model(onnx.load_from_string(lowered.content), full_check=True)


@pytest.mark.parametrize(("opset", "ir_version"), [(26, 12), (28, 14)])
def test_it_never_raises_a_version(opset, ir_version):
    model = cnn(26)
    assert lower(model, opset=opset, ir_version=ir_version) == (model, ())


def test_it_says_what_it_did():
    model = parse("g (float[N,4] x) => (float[N,4] y) { a = com.microsoft.FastGelu(x) y = Relu(a) }", 22, 11)
    lowered, notes = lower(model, opset=21, ir_version=10, feeds=[{"x": X}])
    assert notes == (
        "opset 22 is lowered to 21",
        "operators of com.microsoft are left as they are",
        "version 11 of the format is lowered to 10",
    )
    assert [n.op_type for n in lowered.load().graph] == ["FastGelu", "Relu"]


@pytest.mark.parametrize(
    ("nodes", "opset"),
    [
        ("y = Gelu(x)", 19),
        ('y = Gelu <approximate = "tanh"> (x)', 13),
        ("y = Swish <alpha = 0.5> (x)", 22),
        ("y = RMSNormalization(x, s)", 22),
    ],
)
def test_an_operator_that_is_not_there_is_written_out(nodes, opset):
    model = parse(f"g (float[N,4] x) => (float[N,4] y) <float[4] s = {{1, 2, 3, 4}}> {{ {nodes} }}", 24)
    lowered, notes = lower(model, opset=opset, ir_version=8)
    kind = nodes.split("= ")[1].split(" ")[0].split("(")[0]
    assert any(f"{kind} is written out, opset {opset} does not have it" in note for note in notes)
    graph = onnx.load_from_string(model.content)
    expected = onnx.reference.ReferenceEvaluator(graph).run(None, {"x": X})[0]
    assert np.abs(outputs(lowered, X)[0] - expected).max() < 1e-6


def test_it_is_written_out_in_inner_graphs_too():
    text = """g (float[2,4] x) => (float[2,4] y) { s = ReduceSum <keepdims = 0> (x) z = Constant <value_float = 0.0> ()
        c = Greater(s, z) y = If (c) <then_branch = t () => (float[2,4] a) { a = Gelu(x) },
                                       else_branch = e () => (float[2,4] b) { b = Neg(x) }> }"""
    model = parse(text, 20, 9)
    lowered, _ = lower(model, opset=18, ir_version=8, feeds=[{"x": X}, {"x": -X}])
    kinds = {n.op_type for n in ir.traversal.RecursiveGraphIterator(lowered.load().graph)}
    assert "Gelu" not in kinds
    assert {"If", "Erf", "Neg"} <= kinds


def test_functions_are_replaced_by_what_they_hold():
    text = """g (float[N,4] x) => (float[N,4] y) { y = l.f(x) }
        <domain: "l", opset_import: ["" : 24]> f (x) => (y) { a = Relu(x) y = HardSwish(a) }"""
    model = parse(text)
    lowered, notes = lower(model, opset=17, ir_version=8, feeds=[{"x": X}])
    assert notes[0] == "calls of 1 functions are replaced by what they hold"
    assert [n.op_type for n in lowered.load().graph] == ["Relu", "HardSwish"]


def test_names_metadata_and_large_weights_stay():
    weight = np.random.default_rng(0).standard_normal((100, 64)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], "first"),
        helper.make_node("Elu", ["h"], ["y"], "second"),
    ]
    nodes[0].metadata_props.add(key="block", value="1")
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 100])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 64])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    model.metadata_props.add(key="author", value="me")
    lowered = lower(ModelArtifact.of(ir.from_proto(model)), opset=21, ir_version=10)[0].load()
    assert [n.name for n in lowered.graph] == ["first", "second"]
    assert next(iter(lowered.graph)).metadata_props == {"block": "1"}
    assert lowered.metadata_props == {"author": "me"}
    assert np.array_equal(lowered.graph.initializers["w"].const_value.numpy(), weight)


@pytest.mark.parametrize(
    ("text", "opset", "words"),
    [
        (
            "g (float[N,4] x, int64 a) => (float[N,4] y) { [cumulate] y = CumProd(x, a) }",
            22,
            "node 'cumulate': CumProd cannot be written in opset 22: it came with opset 26",
        ),
        (
            "g (float[N,4] x, int64[1] axes) => (float[N,1] y) { r = Relu(x) [mean] y = ReduceMean(r, axes) }",
            17,
            "node 'mean': ReduceMean cannot be written in opset 17: .*initializer or constant",
        ),
        (
            "g (bfloat16[N,3,8,8] x, bfloat16[4,3,3,3] w) => (bfloat16[N,4,6,6] y) { [conv] y = Conv(x, w) }",
            21,
            "node name: conv.* unsupported type: tensor.bfloat16",
        ),
    ],
)
def test_a_node_that_cannot_be_written_is_named(text, opset, words):
    with pytest.raises(ExpectationError, match=words) as caught:
        lower(parse(text, 26), opset=opset, ir_version=10)
    assert "/" not in caught.value.cause


@pytest.mark.parametrize(
    ("kind", "ir_version", "needed"), [("int4", 9, 10), ("uint2", 12, 13), ("float8e4m3fn", 8, 9)]
)
def test_a_type_that_came_later_is_named(kind, ir_version, needed):
    model = parse(
        f"g ({kind}[N,4] x, float s) => (float[N,4] y) {{ d = DequantizeLinear(x, s) y = Relu(d) }}", 25
    )
    with pytest.raises(
        ExpectationError, match=f"value 'x' is of type {kind}, which came with version {needed}"
    ):
        lower(model, opset=25, ir_version=ir_version)


def test_a_type_inside_is_found():
    text = "g (float[N,4] x) => (float[N,4] y) <float s = {0.5}> { q = QuantizeLinear <output_dtype = 22> (x, s) y = DequantizeLinear(q, s) }"
    with pytest.raises(ExpectationError, match="value 'q' is of type int4"):
        lower(parse(text, 21), opset=21, ir_version=9)


def test_outputs_that_differ_are_refused(monkeypatch):
    def broken(graph: ir.Model, opset: int) -> tuple[ir.Model, list[str]]:
        next(iter(graph.graph)).op_type = "Neg"
        graph.graph.opset_imports[""] = opset
        return graph, []

    monkeypatch.setattr(lowering, "convert_opset", broken)
    model = parse("g (float[N,4] x) => (float[N,4] y) { y = Relu(x) }")
    with pytest.raises(ExpectationError, match="changes its output 'y'"):
        lower(model, opset=21, ir_version=10, feeds=[{"x": X}])


@pytest.mark.parametrize(("opset", "ir_version"), [(12, 8), (17, 6)])
def test_versions_that_are_too_old_are_refused(opset, ir_version):
    with pytest.raises(UsageError, match=f"cannot be lowered to opset {opset} and version {ir_version}"):
        lower(cnn(22), opset=opset, ir_version=ir_version)

from __future__ import annotations

import logging
from pathlib import Path

import onnx
import onnx.parser
import onnxruntime
import pytest
from sardonyx.core import ModelError
from sardonyx.deploy.ort_file import Operator, read_ort_file, same_log_handlers

HEAD = '<ir_version: 10, opset_import: ["" : 21]>\n'


def save(text: str, path: Path) -> Path:
    """Write a graph in ORT format as it is, nothing fused."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.optimized_model_filepath = str(path)
    content = onnx.parser.parse_model(HEAD + text).SerializeToString()
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return path


def test_operators_types_and_type_lists(tmp_path):
    found = read_ort_file(
        save("g (float[N] x) => (int64[N] y) { a = Relu(x) y = Cast <to = 7> (a) }", tmp_path / "m.ort")
    )
    assert found.nodes == {Operator("ai.onnx", 14, "Relu"), Operator("ai.onnx", 21, "Cast")}
    assert found.types == {"float", "int64"}
    assert found.type_lists["ai.onnx:Cast"] == '{"inputs": {"0": ["float"]}, "outputs": {"0": ["int64_t"]}}'
    assert found.replayed == set()


def test_inner_graphs_are_read(tmp_path):
    text = """g (float[N] x, bool c) => (float[N] y) { y = If (c) <
        then_branch = t () => (float[N] a) { a = Sin(x) },
        else_branch = e () => (float[N] d) { d = If (c) <
            then_branch = t2 () => (float[N] f) { f = Cos(x) },
            else_branch = e2 () => (float[N] h) { h = Neg(x) }> }> }"""
    found = read_ort_file(save(text, tmp_path / "m.ort"))
    assert {o.name for o in found.nodes} == {"If", "Sin", "Cos", "Neg"}
    assert found.types == {"float", "bool"}


def test_sequences_hold_their_elements(tmp_path):
    text = "g (double[N] x) => (int64 y) { s = SequenceConstruct(x, x) y = SequenceLength(s) }"
    assert read_ort_file(save(text, tmp_path / "m.ort")).types == {"double", "int64"}


def test_four_bits_have_a_name_and_no_type_list(tmp_path):
    text = "g (int4[N] x, float s) => (float[N] y) { y = DequantizeLinear(x, s) }"
    found = read_ort_file(save(text, tmp_path / "m.ort"))
    assert found.types == {"float", "int4"}
    assert found.type_lists == {}


@pytest.mark.parametrize(
    "content", [b"", b"1234", b"\x08\x07\x12\x04onnx", b"\xff" * 400, b"\x10\0\0\0ORTM" + b"\xff" * 40]
)
def test_what_is_not_in_ort_format_is_refused(tmp_path, content):
    (tmp_path / "m.ort").write_bytes(content)
    with pytest.raises(ModelError, match=r"m\.ort cannot be read as an ORT format file"):
        read_ort_file(tmp_path / "m.ort")


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_a_cut_file_is_refused_or_read(tmp_path, share):
    path = save("g (float[N] x) => (float[N] y) { a = Relu(x) y = Neg(a) }", tmp_path / "m.ort")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError):
        read_ort_file(path)


def test_log_handlers_are_those_of_before():
    before = list(logging.getLogger().handlers)
    with same_log_handlers():
        logging.getLogger().addHandler(logging.NullHandler())
    assert logging.getLogger().handlers == before

from __future__ import annotations

import functools
import logging
from pathlib import Path

import numpy as np
import onnx.parser
import onnx_ir as ir
import onnxruntime
import pytest
from nets import Net
from sardonyx.calib_data.runner import OrtRunner
from sardonyx.core import ExpectationError, ModelArtifact, ModelError, UsageError
from sardonyx.deploy import ort_format
from sardonyx.deploy.operators import check_operators, operators_of, read_config
from sardonyx.deploy.ort_format import OrtModel, convert_to_ort
from zoo import ZOO, exported

HEAD = '<ir_version: 10, opset_import: ["" : 21]>\n'
QDQ = """g (float[N,4,6,6] x) => (float[N,4,6,6] y) <float s = {0.05}, KIND z = {ZERO}, float ws = {0.01}, int8 wz = {0}> {
    q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) wd = DequantizeLinear(w, ws, wz)
    c = Conv(d, wd) q2 = QuantizeLinear(c, s, z) y = DequantizeLinear(q2, s, z) }"""
LOOP = """g (float[4] x, int64 trips, bool go) => (float[4] y) { y = Loop (trips, go, x) <
    body = b (int64 i, bool c, float[4] s) => (bool k, float[4] z) { k = Identity(c) e = Erf(s) z = Sin(e) }> }"""


def parse(text: str, **weights: np.ndarray) -> ModelArtifact:
    proto = onnx.parser.parse_model(HEAD + text)
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(a, name) for name, a in weights.items())
    return ModelArtifact.of(ir.from_proto(proto))


def net() -> ModelArtifact:
    made = Net()
    return ModelArtifact.of(made.model(made.head(made.relu(made.conv(made.x, 8)))))


def run_file(made: OrtModel, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.enable_saved_runtime_optimizations", "1")
    return onnxruntime.InferenceSession(str(made.file), options, providers=["CPUExecutionProvider"]).run(
        None, feed
    )


@functools.cache
def zoo_model(name: str) -> tuple[ModelArtifact, np.ndarray]:
    graph, samples = exported(name)
    return ModelArtifact.of(graph), samples


FORMS = [("fixed", "arm"), ("runtime", "arm"), ("fixed", "amd64"), ("runtime", "amd64")]


@pytest.mark.parametrize(
    ("name", "style", "platform"),
    [
        pytest.param(name, *form, marks=[] if form == FORMS[0] else pytest.mark.slow)
        for form in FORMS
        for name in ZOO
    ],
)
def test_the_zoo_gives_the_same_outputs(tmp_path, name, style, platform):
    model, samples = zoo_model(name)
    made = convert_to_ort(model, tmp_path, style=style, platform=platform)
    feed, names = {"x": samples}, [spec.name for spec in model.outputs]
    expected = next(OrtRunner(1).run(model.load(), [feed], names))
    for key, got in zip(names, run_file(made, feed), strict=True):
        assert np.abs(got - expected[key]).max() <= 2e-5 * max(1.0, np.abs(expected[key]).max())
    unused = check_operators(made.file, read_config(made.config), [feed], replay=True)
    assert unused == () or style == "runtime"


def test_the_configuration_holds_what_the_file_does(tmp_path):
    made = convert_to_ort(net(), tmp_path)
    assert read_config(made.config).required == operators_of(made.file).required == made.operators.required
    assert made.operators.names == {"Flatten", "FusedConv", "Gemm", "GlobalAveragePool"}
    assert made.operators.types == ("float",)


def test_no_path_is_written_and_nothing_is_said(tmp_path, capfd):
    made = convert_to_ort(net(), tmp_path)
    assert "/" not in made.config.read_text(encoding="utf8")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.ort", "operators.config"]
    assert capfd.readouterr() == ("", "")
    assert not any(type(h) is logging.StreamHandler for h in logging.getLogger().handlers)


def test_the_same_model_gives_the_same_configuration(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        convert_to_ort(net(), tmp_path / name)
    first, second = (tmp_path / name / "operators.config" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("kind", "zero", "platform", "kept"),
    [("int8", 0, "arm", "int8"), ("int8", 0, "amd64", "uint8"), ("uint8", 128, "arm", "uint8")],
)
def test_integers_follow_the_processor_and_layout_changes_are_listed(tmp_path, kind, zero, platform, kept):
    weight = np.random.default_rng(0).integers(-100, 100, (4, 4, 1, 1)).astype(np.int8)
    model = parse(QDQ.replace("KIND", kind).replace("ZERO", str(zero)), w=weight)
    operators = convert_to_ort(model, tmp_path, platform=platform).operators
    assert {"QLinearConv", "Transpose"} <= operators.names
    assert operators.accepted["ai.onnx:QuantizeLinear"] == {"outputs 0": (kept,)}


@pytest.mark.parametrize("platform", ["arm", "amd64"])
def test_no_kernel_depends_on_the_machine_that_converts(tmp_path, platform):
    required = convert_to_ort(net(), tmp_path, platform=platform).operators.required
    assert not any("nchwc" in key for key in required)


@pytest.mark.parametrize("style", ["fixed", "runtime"])
def test_inner_graphs_are_listed(tmp_path, style):
    made = convert_to_ort(parse(LOOP), tmp_path, style=style)
    assert {"Loop", "Erf", "Sin"} <= made.operators.names
    feed = {"x": np.ones(4, np.float32), "trips": np.array(3), "go": np.array(True)}
    assert check_operators(made.file, read_config(made.config), [feed]) == ()


def test_four_bit_weights_are_listed_without_types(tmp_path):
    text = "g (int4[N] x) => (float[N] y) <float s = {0.5}> { d = DequantizeLinear(x, s) y = Cos(d) }"
    made = convert_to_ort(parse(text), tmp_path)
    assert "int4" in made.operators.types
    assert made.operators.accepted == {}
    assert {"DequantizeLinear", "Cos"} <= made.operators.names


@pytest.mark.parametrize(
    ("words", "message"),
    [({"style": "loose"}, "unknown style 'loose'"), ({"platform": "riscv"}, "unknown platform 'riscv'")],
)
def test_what_is_unknown_is_refused(tmp_path, words, message):
    with pytest.raises(UsageError, match=message):
        convert_to_ort(net(), tmp_path, **words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["model.ort", "operators.config"])
def test_a_file_that_is_there_is_kept(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match=f"{name} exists"):
        convert_to_ort(net(), tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_a_model_that_cannot_be_converted_is_refused(tmp_path):
    proto = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 21, "mine" : 1]> g (float[4] x) => (float[4] y) { y = mine.Op(x) }'
    )
    with pytest.raises(ModelError, match="cannot convert the model to ORT format"):
        convert_to_ort(ModelArtifact.of(ir.from_proto(proto)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_configuration_that_falls_short_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(ort_format, "_config_text", lambda listed, found: "ai.onnx;11;Conv\n")
    with pytest.raises(ExpectationError, match=r"does not hold what the ORT format file does: .*FusedConv"):
        convert_to_ort(net(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_the_converter_does_not_list_is_added():
    found = ort_format.OperatorSet(
        {"ai.onnx;13": ("Gemm",), "com.microsoft;1": ("FusedConv", "QuickGelu")}, ()
    )
    text = ort_format._config_text(
        "# - /home/me/model.ort\nai.onnx;13;Gemm\ncom.microsoft;1;FusedConv\n", found
    )
    assert text.splitlines()[2:] == [
        "ai.onnx;13;Gemm",
        "com.microsoft;1;FusedConv",
        "com.microsoft;1;QuickGelu",
    ]


def test_files_are_in_the_folder_that_was_given(tmp_path: Path) -> None:
    made = convert_to_ort(net(), tmp_path, style="runtime")
    assert (made.file, made.config, made.style) == (
        tmp_path / "model.ort",
        tmp_path / "operators.config",
        "runtime",
    )

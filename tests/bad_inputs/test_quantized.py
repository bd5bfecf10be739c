"""Rows 49 and 50: scales without meaning, and models that are quantized already."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

QDQ = """g (float[N,4] x) => (float[N,4] y) <float s = {1}, float t = {1}, uint8 z = {0}> {
    q = QuantizeLinear(x, s, z)  y = DequantizeLinear(q, t, z)
}"""
INNER = """g (float[4] x, bool c) => (float[4] y) <float s = {1}, uint8 z = {0}> {
    y = If (c) <then_branch = a () => (float[4] t) { q = QuantizeLinear(x, s, z)  t = DequantizeLinear(q, s, z) },
                else_branch = b () => (float[4] e) { e = Identity(x) }>
}"""
COUNTED = """g (float[N,4] x) => (float[N,4] y) <uint8 z = {0}> {
    s = Constant <value_float = 1.0> ()  q = QuantizeLinear(x, s, z)  y = DequantizeLinear(q, s, z)
}"""
CHANNELS = """g (float[N,4] x) => (float[N,4] y) <float[4] s = {1,1,1,1}, uint8[4] z = {0,0,0,0}> {
    q = QuantizeLinear <axis = 1> (x, s, z)  y = DequantizeLinear <axis = 1> (q, s, z)
}"""
FLOAT = """g (float[N,8] x) => (float[N,4] y) { h = MatMul(x, w)  y = MatMul(h, v) }"""


def with_scale(model: onnx.ModelProto, scale: float, name: str = "s") -> onnx.ModelProto:
    """The model with the last number of a scale replaced."""
    for tensor in model.graph.initializer:
        if tensor.name == name:
            numbers = numpy_helper.to_array(tensor).copy()
            numbers.reshape(-1)[-1] = scale
            tensor.CopyFrom(numpy_helper.from_array(numbers, name))
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "value_float":
                attribute.f = scale
    return model


@pytest.mark.row(49)
@pytest.mark.parametrize("scale", [0.0, -0.0, -1.0, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("text", [QDQ, CHANNELS], ids=["one", "by channel"])
def test_a_scale_without_meaning(refused: Any, write: Any, parse: Any, text: str, scale: float) -> None:
    write(with_scale(parse(text), scale))
    refused("inspect", "m.onnx", says="zero, negative or not finite")


@pytest.mark.row(49)
@pytest.mark.parametrize("text", [INNER, COUNTED], ids=["in a branch", "in a node"])
def test_a_scale_is_found_wherever_it_is(refused: Any, write: Any, parse: Any, text: str) -> None:
    write(with_scale(parse(text), 0.0))
    refused("inspect", "m.onnx", says="zero, negative or not finite")


@pytest.mark.row(49)
@pytest.mark.parametrize(
    "command",
    [
        "prune m.onnx --calib d.npz --params 0.5 -o p.onnx",
        "quantize m.onnx --calib d.npz -o q.onnx",
        "quantize m.onnx --calib d.npz --force -o q.onnx",
        "compare good.onnx m.onnx --data d.npz --metric cosine",
        "bench good.onnx m.onnx",
        "profile m.onnx",
        "optimize m.onnx --calib d.npz --eval d.npz --metric cosine --max-drop 0.1 -o out",
        "package m.onnx --for linux --data d.npz -o out",
    ],
    ids=lambda command: " ".join(command.split()[:1] + [word for word in command.split() if "force" in word]),
)
def test_no_command_takes_a_scale_without_meaning(
    refused: Any, write: Any, parse: Any, samples: Any, command: str
) -> None:
    write(with_scale(parse(QDQ), np.nan, "t"))
    write(QDQ, "good.onnx")
    samples(x=np.ones((4, 4), np.float32))
    refused(*command.split(), says="zero, negative or not finite")


def scales_of(model: onnx.ModelProto) -> list[Any]:
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = [n for n in model.graph.node if n.op_type in {"QuantizeLinear", "DequantizeLinear"}]
    return [stored[n.input[1]] for n in nodes]


@pytest.fixture
def net(write: Any, parse: Any, samples: Any) -> None:
    """A float model and samples for it."""
    model = parse(FLOAT)
    weight = np.random.default_rng(0).normal(size=(8, 4)).astype("f4")
    weight[:, 2] = 0
    for name, array in (("w", weight), ("v", weight[:4])):
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    for node in model.graph.node:
        node.name = f"makes {node.output[0]}"
    write(model)
    samples(x=np.random.default_rng(1).normal(size=(8, 8)).astype("f4"))


@pytest.mark.row(49)
@pytest.mark.usefixtures("net")
@pytest.mark.parametrize("level", [0.0, 1e-45, 1e-38, 3e37], ids=str)
def test_no_scale_without_meaning_is_written(accepted: Any, place: Any, samples: Any, level: float) -> None:
    samples(x=np.full((4, 8), level, np.float32))
    accepted("quantize", "m.onnx", "--calib", "d.npz", "-o", "q.onnx")
    found = scales_of(onnx.load(place / "q.onnx"))
    assert found
    assert all(np.isfinite(scale).all() and (scale > 0).all() for scale in found)
    accepted("inspect", "q.onnx")


WAYS = {
    "static": ["--calib", "d.npz"],
    "dynamic": ["--precision", "dynamic"],
    "weights": ["--weight-only", "int8", "--block", "16"],
}


@pytest.mark.row(50)
@pytest.mark.usefixtures("net")
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_quantized_model_is_not_quantized_again(
    accepted: Any, refused: Any, place: Any, way: list[str]
) -> None:
    accepted("quantize", "m.onnx", *way, "-o", "q.onnx")
    for again in WAYS.values():
        told = refused("quantize", "q.onnx", *again, "-o", "twice.onnx", says="quantized already")
        assert "--force" in told


@pytest.mark.row(50)
@pytest.mark.usefixtures("net")
def test_a_quantized_model_is_quantized_again_where_that_is_forced(accepted: Any, place: Any) -> None:
    accepted("quantize", "m.onnx", *WAYS["static"], "--exclude", "makes h", "-o", "q.onnx")
    accepted("quantize", "q.onnx", *WAYS["static"], "--force", "-o", "twice.onnx")
    once, twice = (scales_of(onnx.load(place / name)) for name in ("q.onnx", "twice.onnx"))
    assert 0 < len(once) < len(twice)


@pytest.mark.row(50)
@pytest.mark.usefixtures("net")
def test_training_does_not_quantize_again_either(accepted: Any, refused: Any) -> None:
    accepted("quantize", "m.onnx", *WAYS["static"], "-o", "q.onnx")
    words = ("--teacher", "m.onnx", "--data", "d.npz", "-o", "h.onnx", "--qat")
    refused("heal", "q.onnx", *words, cpu_s=30, says="quantized already")

"""Rows 18 to 21 and 23 to 25: weights and inputs that declare what they do not hold, or hold what no weight is."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

BENCH = ("bench", "m.onnx", "--batch", "1", "--rounds", "5")
NET = """g (float[N,8] x) => (float[N,4] y) {
    [m1] h = MatMul(x, w1)  [a1] k = Add(h, b1)  [r1] l = Relu(k)  [m2] s = MatMul(l, w2)  %s
}"""
CONSTANT = "g (float[4] x) => (float[4] y) { w = Constant <value = float[4] {0, 1, 2, 3}> ()  y = Add(x, w) }"
PRUNE = ("prune", "m.onnx", "-o", "o.onnx", "--ratio", "0.5")
QUANTIZE = ("quantize", "m.onnx", "-o", "o.onnx")


@pytest.fixture
def weight(write, parse):
    """Write a model with other dimensions, type or bytes of its weight; returns the file's name."""

    def write_weight(text=None, **fields):
        made = parse() if text is None else parse(text)
        tensor = made.graph.initializer[0] if text is None else made.graph.node[0].attribute[0].t
        tensor.ClearField("float_data")
        given = {"dims": (4,), "data_type": 1, "raw_data": bytes(16), **fields}
        tensor.CopyFrom(onnx.TensorProto(name=tensor.name, **given))
        return write(made).name

    return write_weight


@pytest.mark.row(18)
@pytest.mark.parametrize(
    "dims", [(2**31, 2**31), (2**62, 2**62), (2**62, 4), (0, 2**62, 2**62), (2**61, 2), (2**16,) * 4]
)
def test_dimensions_that_overflow(refused, weight, dims):
    refused(
        "inspect", weight(dims=dims), says="initializer 'w' declares dimensions whose bytes overflow 64 bits"
    )


@pytest.mark.row(18)
@pytest.mark.parametrize("dims", [(2**20, 2**20), (2**34 + 1,)])
def test_more_elements_than_are_admitted(refused, weight, dims):
    told = refused("inspect", weight(dims=dims), code=4, says="elements of initializer 'w'")
    assert "--admit tensor_elements=NUMBER" in told


@pytest.mark.row(19)
@pytest.mark.parametrize("dims", [(-4,), (-1,), (-2, -2), (4, -1), (-(2**63),)])
@pytest.mark.parametrize("text", [None, CONSTANT])
def test_a_negative_dimension(refused, weight, dims, text):
    refused("inspect", weight(text, dims=dims), says="declares a negative dimension")


@pytest.mark.row(20)
@pytest.mark.parametrize(
    "fields",
    [
        {"dims": (8,)},
        {"dims": (3,)},
        {"raw_data": bytes(15)},
        {"raw_data": bytes(17)},
        {"raw_data": b""},
        {"dims": (0,)},
        {"dims": ()},
        {"data_type": onnx.TensorProto.DOUBLE},
        {"data_type": onnx.TensorProto.INT4},
        {"raw_data": b"", "float_data": [1, 2, 3]},
        {"raw_data": b"", "int32_data": [1, 2, 3, 4]},
        {"float_data": [1, 2, 3, 4]},
    ],
)
@pytest.mark.parametrize("text", [None, CONSTANT])
def test_other_bytes_than_declared(refused, weight, fields, text):
    place = "initializer 'w'" if text is None else "attribute 'value' of Constant node that makes w"
    refused("inspect", weight(text, **fields), says=f"{place} holds")


@pytest.mark.row(21)
@pytest.mark.parametrize("code", [99, 0, -1, 2**31 - 1])
@pytest.mark.parametrize("verb", ["inspect", "bench"])
def test_an_unknown_element_type(refused, weight, verb, code):
    refused(verb, weight(data_type=code), says=f"initializer 'w' has the unknown element type {code}")


@pytest.mark.row(21)
@pytest.mark.parametrize("code", [99, 0, -1])
def test_an_input_of_an_unknown_type(refused, write, parse, code):
    made = parse()
    made.graph.input[0].type.tensor_type.elem_type = code
    refused("inspect", write(made).name, says="type")


@pytest.mark.row(23)
@pytest.mark.parametrize(
    ("dims", "code", "words"),
    [
        (f"{2**40},{2**20}", 3, "value 'x' declares dimensions whose bytes overflow 64 bits"),
        (f"{2**34},2", 4, "elements of value 'x': 34,359,738,368, the limit is"),
    ],
)
def test_a_declared_input_without_bounds(refused, write, dims, code, words):
    write(f"g (float[{dims}] x) => (float[{dims}] y) {{ y = Relu(x) }}")
    for command in (("inspect", "m.onnx"), BENCH):
        refused(*command, code=code, says=words)


@pytest.mark.row(23)
@pytest.mark.parametrize(("dims", "batch"), [(2**33, 1), (2**20, 10**6), (4, 10**12)])
@pytest.mark.parametrize("data", [(), ("--data", "d.npz")])
def test_a_batch_without_bounds(refused, write, samples, dims, batch, data):
    if data and dims > 2**20:
        pytest.skip("no samples of 32 GiB")
    samples(x=np.zeros((1, min(dims, 2**20)), np.float32))
    write(f"g (float[N,{dims}] x) => (float[N,{dims}] y) {{ y = Relu(x) }}")
    told = refused(
        "bench", "m.onnx", "--batch", batch, "--rounds", "5", *data, code=4, says="bytes of a batch: "
    )
    assert "--admit array_bytes=NUMBER" in told


@pytest.mark.row(24)
@pytest.mark.parametrize("dims", ["0,3", "3,0", "N,0"])
def test_a_dimension_of_size_zero(accepted, write, dims):
    write(f"g (float[{dims}] x) => (float[{dims}] y) {{ y = Relu(x) }}")
    shown = json.loads(accepted("inspect", "m.onnx", "--json").out)
    assert shown["inputs"] == [f"x: float32 {dims.replace(',', 'x')}"]


@pytest.mark.row(24)
@pytest.mark.parametrize("command", [BENCH, ("profile", "m.onnx")])
def test_nothing_to_measure(refused, write, command):
    write("g (float[0,3] x) => (float[0,3] y) { y = Relu(x) }")
    refused(*command, says="m.onnx takes batches of no samples: there is nothing to measure")


@pytest.mark.row(24)
def test_samples_without_elements_are_run(accepted, write):
    write("g (float[N,0] x) => (float[N,0] y) { y = Relu(x) }")
    accepted(*BENCH, cpu_s=30)


@pytest.fixture
def net(write, parse, samples):
    """Write a small network with something else in place of one of its weights, and samples for it."""

    def write_net(end="[e] y = Identity(s)", **arrays):
        random = np.random.default_rng(0)
        shapes = {"w1": (8, 16), "b1": (16,), "w2": (16, 4)}
        made = parse(NET % end)
        sound = {name: random.standard_normal(shape) for name, shape in shapes.items()}
        for name, array in {**sound, **arrays}.items():
            made.graph.initializer.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
        write(made)
        samples(x=random.standard_normal((32, 8)).astype(np.float32))
        return sound

    return write_net


WITHOUT_SAMPLES = ("--criterion", "magnitude", "--no-compensate")
VERBS = {
    "prune": (*PRUNE, "--calib", "d.npz"),
    "prune by magnitude": (*PRUNE, *WITHOUT_SAMPLES),
    "prune single weights": (*PRUNE, "--granularity", "unstructured", *WITHOUT_SAMPLES),
    "prune, the plan only": ("prune", "m.onnx", "--explain", "--ratio", "0.5", "--calib", "d.npz"),
    "quantize": (*QUANTIZE, "--calib", "d.npz"),
    "quantize, dynamic": (*QUANTIZE, "--precision", "dynamic"),
    "quantize, weights only": (*QUANTIZE, "--weight-only", "int4", "--block", "16"),
}


@pytest.mark.row(25)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize("verb", VERBS)
def test_weights_that_are_not_finite(refused, net, verb, bad):
    sound = net()
    sound["w2"][3, 1] = bad
    net(w2=sound["w2"])
    told = refused(*VERBS[verb], cpu_s=20)
    assert "holds NaN or infinity" in told
    assert "w2" in told


@pytest.mark.row(25)
@pytest.mark.parametrize("verb", ["prune", "quantize"])
def test_a_bias_that_is_not_finite(refused, net, verb):
    sound = net()
    net(b1=np.where(np.arange(16) == 3, np.nan, sound["b1"]))
    assert "b1" in refused(*VERBS[verb], says="holds NaN or infinity", cpu_s=20)


@pytest.mark.row(25)
def test_float16_refuses_nan(refused, net):
    net(w1=np.full((8, 16), np.nan))
    refused(*QUANTIZE, "--precision", "float16", says="initializer 'w1' holds NaN")


@pytest.mark.row(25)
def test_infinities_that_are_meant(accepted, write, parse, samples):
    """A mask hides by them, and what it makes is finite."""
    text = """g (float[N,4] x) => (float[N,4] y) <bool[4] hidden = {1, 0, 0, 0}, float[4,4] w> {
        s = MatMul(x, w) t = Where(hidden, least, s) y = Softmax <axis = -1> (t) }"""
    made = parse(text)
    weights = {"least": np.array(-np.inf), "w": np.random.default_rng(0).standard_normal((4, 4))}
    for name, array in weights.items():
        made.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    write(made)
    samples(x=np.random.default_rng(1).standard_normal((32, 4)).astype(np.float32))
    accepted("inspect", "m.onnx")
    accepted("quantize", "m.onnx", "--calib", "d.npz", "-o", "q.onnx", cpu_s=20)

"""What ``sardonyx quantize`` does with bad models and bad samples: an exit code, a cause, a remedy, and nothing else."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import numpy_helper

Call = Callable[..., Any]
Array = npt.NDArray[Any]

CNN = """g (float[N,3,8,8] image) => (float[N,4] logits) {
    a = Conv <pads = [1,1,1,1]> (image, w1)  r = Relu(a)  b = Conv(r, w2)
    p = GlobalAveragePool(b)  f = Flatten(p)  logits = MatMul(f, w3)
}"""
TWO_INPUTS = """g (float[N,8] left, float[N,8] right) => (float[N,4] logits) {
    s = Concat <axis = 1> (left, right)  h = MatMul(s, w4)  r = Relu(h)  logits = MatMul(r, w3)
}"""
QDQ = """g (float[4] x) => (float[4] y) <float s = {1}, float t = {1}, uint8 z = {0}> {
    q = QuantizeLinear(x, s, z)  y = DequantizeLinear(q, t, z)
}"""
SHAPES = {"w1": (32, 3, 3, 3), "w2": (32, 32, 3, 3), "w3": (32, 4), "w4": (16, 32)}


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def write_model(path: Path, text: str, opset: int = 17) -> onnx.ModelProto:
    """Write a network given as text; its weights are seeded."""
    model = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : {opset}]>\n{text}')
    for name, shape in SHAPES.items():
        if name in text:
            weight = 0.2 * normal(*shape, seed=len(shape))
            model.graph.initializer.append(numpy_helper.from_array(weight, name))
    for index, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{index}"
    path.write_bytes(model.SerializeToString())
    return model


def held(folder: Path) -> dict[Path, bytes]:
    """Every file of a folder and what is in it."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


Refused = Callable[..., str]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a model of one input, one of two, and samples for the first."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("SARDONYX_CACHE", str(tmp_path / "cache"))
    write_model(Path("m.onnx"), CNN)
    write_model(Path("two.onnx"), TWO_INPUTS)
    np.savez("d.npz", image=normal(12, 3, 8, 8), labels=np.arange(12) % 4)
    return tmp_path / "work"


@pytest.fixture
def refused(call: Call, place: Path) -> Refused:
    """Check that a command is refused in two lines, and leaves everything as it was; returns both lines."""

    def check(*arguments: object, code: int = 3) -> str:
        before = held(place)
        outcome = call("quantize", *arguments, "-o", "q.onnx")
        lines = outcome.err.splitlines()
        assert (outcome.code, outcome.out) == (code, "")
        assert [line.partition(" ")[0] for line in lines[-2:]] == ["error:", "hint:"]
        assert not any(line.startswith(("error:", "hint:", "Traceback")) for line in lines[:-2])
        assert held(place) == before
        return "\n".join(lines[-2:])

    return check


@pytest.fixture
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes a session fails."""

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a model was run")

    monkeypatch.setattr("onnxruntime.InferenceSession", fail)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("name", ["s", "t"])
def test_a_scale_without_meaning_is_refused_on_reading(refused: Refused, scale: float, name: str) -> None:
    model = write_model(Path("bad.onnx"), QDQ)
    index = [tensor.name for tensor in model.graph.initializer].index(name)
    model.graph.initializer[index].CopyFrom(numpy_helper.from_array(np.float32(scale), name))
    Path("bad.onnx").write_bytes(model.SerializeToString())
    np.savez("x.npz", x=normal(3, 4))
    for more in ([], ["--force"]):
        assert "zero, negative or not finite" in refused("bad.onnx", "--calib", "x.npz", *more)


@pytest.mark.parametrize("method", ["minmax", "moving-average", "percentile", "entropy", "mse"])
@pytest.mark.parametrize("level", [0.0, 1.0, -3.0, 1e-38, 1e30], ids=str)
def test_every_scale_that_is_written_is_finite_and_above_zero(
    call: Call, place: Path, method: str, level: float
) -> None:
    np.savez("flat.npz", image=np.full((8, 3, 8, 8), level, np.float32))
    outcome = call("quantize", "m.onnx", "--calib", "flat.npz", "--method", method, "-o", "q.onnx", "--json")
    assert outcome.code == 0, outcome.err
    graph = onnx.load("q.onnx").graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    used = [stored[n.input[1]] for n in graph.node if n.op_type in {"QuantizeLinear", "DequantizeLinear"}]
    assert len(used) > 4
    assert all(np.isfinite(scale).all() and (scale > 0).all() for scale in used)


@pytest.mark.parametrize("level", [0.0, 1e-30])
def test_values_that_are_always_zero_get_the_stated_scale_and_are_listed(
    call: Call, place: Path, level: float
) -> None:
    np.savez("flat.npz", image=np.full((8, 3, 8, 8), level, np.float32))
    words = ("--calib", "flat.npz", "--target", "cpu-x86", "-o", "q.onnx", "--json")
    document = call("quantize", "m.onnx", *words).document
    listed = document["report"]["details"]["constant_tensors"]
    assert "r" in listed
    tensors = {tensor["value"]: tensor for tensor in document["report"]["tensors"]}
    assert [name for name, tensor in tensors.items() if tensor["constant"]] == listed
    assert {tensors[name]["scale"] for name in listed} == {float(np.float32(1 / 255))}


@pytest.mark.parametrize(
    "words",
    [["--calib", "d.npz"], ["--precision", "dynamic"], ["--weight-only", "int8", "--block", "16"]],
    ids=["static", "dynamic", "weights"],
)
@pytest.mark.parametrize(
    "again",
    [
        ["--calib", "d.npz"],
        ["--calib", "d.npz", "--measure"],
        ["--precision", "dynamic"],
        ["--precision", "float16"],
        ["--weight-only", "int8"],
    ],
    ids=["static", "measured", "dynamic", "half", "weights"],
)
def test_a_quantized_model_is_refused_unless_forced(
    call: Call, refused: Refused, words: list[str], again: list[str]
) -> None:
    assert call("quantize", "m.onnx", *words, "-o", "once.onnx").code == 0
    told = refused("once.onnx", *again)
    assert "quantized already" in told
    assert "--force" in told


PAIR = "q = QuantizeLinear(x, s, z)  {} = DequantizeLinear(q, s, z)"
BRANCHES = """y = If (c) <then_branch = g1 () => (float[4] t) {{ {} }},
    else_branch = g2 () => (float[4] e) {{ e = Identity(x) }}>"""


@pytest.mark.parametrize(
    "body", [PAIR.format("y"), BRANCHES.format(PAIR.format("t"))], ids=["main", "branch"]
)
def test_a_quantized_operator_is_found_wherever_it_is(refused: Refused, body: str) -> None:
    text = "g (float[4] x, bool c) => (float[4] y) <float s = {1}, uint8 z = {0}> {" + body + "}"
    write_model(Path("bad.onnx"), text)
    np.savez("x.npz", x=normal(3, 4), c=np.ones(3, bool))
    assert "quantized already (QuantizeLinear" in refused("bad.onnx", "--calib", "x.npz")


@pytest.mark.parametrize("batch", ["N", "", "?", "batch size"])
def test_a_free_batch_may_have_any_name_or_none(call: Call, place: Path, batch: str) -> None:
    model = write_model(Path("m.onnx"), CNN)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = batch
    Path("m.onnx").write_bytes(model.SerializeToString())
    outcome = call("quantize", "m.onnx", "--calib", "d.npz", "-o", "q.onnx")
    assert outcome.code == 0, outcome.err
    dim = onnx.load("q.onnx").graph.input[0].type.tensor_type.shape.dim[0]
    assert not dim.HasField("dim_value")


@pytest.mark.parametrize("dims", ["N,3,N,8", "N,3,side,side", "N,3,N,N"])
def test_one_name_for_dimensions_that_differ_is_no_obstacle(call: Call, place: Path, dims: str) -> None:
    write_model(Path("m.onnx"), CNN.replace("N,3,8,8", dims))
    np.savez("wide.npz", image=normal(6, 3, 5, 8))
    assert call("quantize", "m.onnx", "--calib", "wide.npz", "-o", "q.onnx").code == 0
    found = onnx.load("q.onnx").graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in found] == [
        int(d) if d.isdigit() else d for d in dims.split(",")
    ]


def test_values_for_free_dimensions_come_from_the_samples(call: Call, place: Path) -> None:
    write_model(Path("free.onnx"), CNN.replace("float[N,3,8,8]", "float[N,3,height,width]"))
    np.savez("wide.npz", image=normal(6, 3, 5, 9))
    outcome = call("quantize", "free.onnx", "--calib", "wide.npz", "-o", "q.onnx")
    assert outcome.code == 0, outcome.err


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"image": normal(8, 3, 8)}, ["takes image: float32 Nx3x8x8", "each sample is 3x8"]),
        ({"image": normal(8, 8, 8, 3)}, ["takes image: float32 Nx3x8x8", "each sample is 8x8x3"]),
        ({"image": np.zeros((8, 3, 8, 8), np.uint8)}, ["'image' takes float32", "uint8 is given"]),
        ({"image": np.zeros((8, 3, 8, 8), np.complex64)}, ["'image' takes float32", "complex64 is given"]),
        ({"image": np.full((8, 3, 8, 8), 0.1)}, ["'image' takes float32", "float64 is given"]),
        ({"image": normal(8, 3, 8, 8), "mask": normal(8, 1)}, ["takes 'image'", "extra 'mask'"]),
        ({"image": normal(0, 3, 8, 8)}, ["holds no samples"]),
        ({"labels": np.arange(4)}, ["holds no array"]),
        ({"image": normal(8, 3, 8, 8), "labels": np.arange(3)}, ["differ in length: image 8, labels 3"]),
    ],
)
def test_samples_that_do_not_fit_are_refused_before_anything_runs(
    refused: Refused, nothing_runs: None, arrays: Mapping[str, Array], words: list[str]
) -> None:
    np.savez("bad.npz", **arrays)  # type: ignore[arg-type]
    told = refused("m.onnx", "--calib", "bad.npz")
    assert all(word in told for word in words)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("left", "wright"), "missing 'right'; extra 'wright'"),
        (("left",), "missing 'right'"),
        (("left", "right", "middle"), "extra 'middle'"),
        (("Left", "Right"), "takes 'left', 'right', the samples hold 'Left', 'Right'"),
    ],
)
def test_names_that_do_not_fit_are_refused_before_anything_runs(
    refused: Refused, nothing_runs: None, names: tuple[str, ...], words: str
) -> None:
    np.savez("bad.npz", **{name: normal(6, 8) for name in names})  # type: ignore[arg-type]
    assert words in refused("two.onnx", "--calib", "bad.npz")


@pytest.mark.parametrize(
    ("words", "code", "cause"),
    [
        ([], 2, "needs samples"),
        (["--calib", "none.npz"], 3, "none.npz"),
        (["--calib", "d.npz:0"], 2, "leaves none"),
        (["--calib", "pictures"], 2, "without preprocessing"),
        (["--calib", "m.onnx"], 3, "not a kind of data"),
    ],
)
def test_no_samples_at_all(
    refused: Refused, nothing_runs: None, words: list[str], code: int, cause: str
) -> None:
    Path("pictures").mkdir()
    assert cause in refused("m.onnx", *words, code=code)


@pytest.mark.parametrize("method", ["minmax", "entropy"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_batch_that_is_not_finite_is_named(refused: Refused, bad: float, method: str) -> None:
    images = normal(80, 3, 8, 8)
    images[70, 1, 2, 3] = bad
    np.savez("bad.npz", image=images)
    told = refused("m.onnx", "--calib", "bad.npz", "--method", method)
    assert "batch 2: input 'image' holds NaN or infinity" in told


def test_a_value_that_overflows_in_the_model_is_named(refused: Refused) -> None:
    images = normal(40, 3, 8, 8)
    images[33] = 3e38
    np.savez("bad.npz", image=images)
    told = refused("m.onnx", "--calib", "bad.npz")
    assert "batch 1: " in told
    assert "'image'" not in told


FEEDS = {
    "fresh": "yield from ({'image': x[i : i + 3]} for i in range(0, 9, 3))",
    "the same array": """
    held = np.empty((3, 3, 8, 8), np.float32)
    for i in range(0, 9, 3):
        held[:] = x[i : i + 3]
        yield {'image': held}""",
    "the same feed": """
    held = {}
    for i in range(0, 9, 3):
        held['image'] = x[i : i + 3]
        yield held""",
    "exhausted at once": "return iter([{'image': x[:9]}])",
    "single samples": "yield from ({'image': x[i : i + 1]} for i in range(9))",
    "a ragged end": "yield {'image': x[:7]}\n    yield {'image': x[7:9]}",
}


@pytest.mark.parametrize("body", FEEDS.values(), ids=FEEDS)
def test_the_same_samples_give_the_same_model_however_they_come(call: Call, place: Path, body: str) -> None:
    np.savez("nine.npz", image=normal(12, 3, 8, 8)[:9])
    Path("user.py").write_text(
        f"import numpy as np\n\n\ndef feeds():\n    x = np.load('d.npz', allow_pickle=False)['image']\n    {body}\n"
    )
    found = []
    for index, data in enumerate(("nine.npz", "user.py:feeds")):
        outcome = call("quantize", "m.onnx", "--calib", data, "-o", f"q{index}.onnx", "--json")
        assert outcome.code == 0, outcome.err
        found.append(outcome.document["sha256"])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("batch", "given", "used"), [("1", 1, 1), ("1", 5, 5), ("4", 10, 8), ("N", 33, 33), ("N", 1, 1)]
)
def test_batches_of_any_size(call: Call, place: Path, batch: str, given: int, used: int) -> None:
    write_model(Path("m.onnx"), CNN.replace("[N,", f"[{batch},"))
    np.savez("some.npz", image=normal(given, 3, 8, 8))
    outcome = call("quantize", "m.onnx", "--calib", "some.npz", "-o", "q.onnx", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.document["report"]["samples"] == used


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return []", "gives no batch"),
        (
            "yield {'image': np.zeros((2, 3, 8, 8))}; yield {'image': np.zeros((2, 3, 8, 9))}",
            "different shapes",
        ),
        ("yield {'image': np.zeros((2, 3, 8, 8))}; yield {}", "not a feed"),
        ("yield {'image': np.full((2, 3, 8, 8), np.nan, 'f4')}", "holds NaN or infinity"),
        ("raise OSError('the camera is gone')", "the camera is gone"),
    ],
)
def test_functions_that_give_no_samples(refused: Refused, body: str, words: str) -> None:
    Path("user.py").write_text(f"import numpy as np\n\n\ndef feeds():\n    {body}\n")
    assert words in refused("m.onnx", "--calib", "user.py:feeds")


def test_too_few_samples_for_the_batch_of_the_model(refused: Refused, nothing_runs: None) -> None:
    write_model(Path("m.onnx"), CNN.replace("[N,", "[16,"))
    assert "takes batches of 16, 12 samples are given" in refused("m.onnx", "--calib", "d.npz")


def npy(shape: tuple[int, ...], descr: str = "|u1", content: bytes = b"") -> bytes:
    """An array file that declares a shape, whatever follows."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + content


def write_bomb(path: Path, arrays: int) -> None:
    """An archive of a kilobyte that declares four gigabytes for each array, in its directory and in the headers."""
    declared = 2**32 - 2
    header = npy((declared - 128,))
    assert len(header) == 128
    with zipfile.ZipFile(path, "w") as file:
        for index in range(arrays):
            file.writestr(f"image{index}.npy", header)
    content = path.read_bytes()
    small, large = struct.pack("<II", 128, 128), struct.pack("<II", 128, declared)
    assert content.count(small) == 2 * arrays
    path.write_bytes(content.replace(small, large))


def test_a_bomb_is_refused_by_what_it_declares(refused: Refused, nothing_runs: None) -> None:
    write_bomb(Path("bomb.npz"), 3)
    told = refused("m.onnx", "--calib", "bomb.npz", code=4)
    assert "take 12.9 GB, the limit is 8.6 GB" in told


class Hostile:
    """Leaves a file behind where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("unpickled"),)


@pytest.mark.parametrize("name", ["image", "labels"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (npy((2**60,)), "declares 1,152,921,504,606,846,976 bytes and holds 0"),
        (npy((1,), "|O", pickle.dumps(Hostile())), "array of objects"),
        (pickle.dumps(Hostile()), "magic string"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535, "is not a whole .npz file"),
    ],
    ids=["exbibyte", "objects", "pickle", "nested"],
)
def test_arrays_of_strangers_are_refused(
    refused: Refused, nothing_runs: None, content: bytes, words: str, name: str
) -> None:
    with zipfile.ZipFile("bad.npz", "w") as file:
        file.writestr(f"{name}.npy", content)
    assert words in refused("m.onnx", "--calib", "bad.npz")
    assert not Path("unpickled").exists()

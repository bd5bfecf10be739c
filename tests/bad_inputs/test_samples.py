"""Rows 52 to 57: samples that do not fit, are not finite, are all alike, come oddly, or want to harm."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

NET = """g (float[N,3,8,8] x) => (float[N,4] y) {
    a = Conv <pads = [1,1,1,1]> (x, w1)  b = Relu(a)  c = Conv(b, w2)  p = GlobalAveragePool(c)  y = Flatten(p)
}"""
PAIR = "g (float[N,8] left, float[N,8] right) => (float[N,8] y) { s = Add(left, right)  y = MatMul(s, w3) }"
SHAPES = {"w1": (16, 3, 3, 3), "w2": (4, 16, 1, 1), "w3": (8, 8)}
COMMANDS = {
    "quantize": "quantize MODEL --calib d.npz -o q.onnx",
    "prune": "prune MODEL --calib d.npz --ratio 0.5 --align 1 -o p.onnx",
    "compare": "compare MODEL --data d.npz --metric cosine --batch 1",
    "bench": "bench MODEL --data d.npz --rounds 5 --batch 1",
    "profile": "profile MODEL --data d.npz --rounds 5",
    "optimize": "optimize MODEL --calib d.npz --eval d.npz --metric cosine --max-drop 0.1 -o out",
}
every_command = pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def words(command: str, model: str = "m.onnx") -> list[str]:
    return command.replace("MODEL", model).split()


@pytest.fixture(autouse=True)
def nets(write: Any, parse: Any) -> None:
    """Models of one input and of two."""
    for text, name in ((NET, "m.onnx"), (PAIR, "pair.onnx")):
        model = parse(text)
        used = {name for node in model.graph.node for name in node.input}
        for key in sorted(used & set(SHAPES)):
            model.graph.initializer.append(numpy_helper.from_array(normal(*SHAPES[key]), key))
        write(model, name)


@pytest.mark.row(52)
@every_command
@pytest.mark.parametrize(
    ("array", "told"),
    [
        (normal(4, 8, 8, 3), "takes x: float32 Nx3x8x8, each sample is 8x8x3 of float32"),
        (np.zeros((4, 3, 8, 8), np.uint8), "'x' takes float32, uint8 is given"),
        (normal(0, 3, 8, 8), "holds no samples"),
    ],
    ids=["shape", "type", "none"],
)
def test_one_array_that_does_not_fit(refused: Any, samples: Any, command: str, array: Any, told: str) -> None:
    samples(x=array)
    refused(*words(command), says=told)


@pytest.mark.row(52)
@pytest.mark.parametrize(
    ("names", "told"),
    [
        (
            ("left", "wright"),
            "takes 'left', 'right', the samples hold 'left', 'wright'; missing 'right'; extra 'wright'",
        ),
        (("left",), "missing 'right'"),
        (("left", "right", "middle"), "extra 'middle'"),
    ],
)
@every_command
def test_names_that_do_not_fit(
    refused: Any, samples: Any, command: str, names: tuple[str, ...], told: str
) -> None:
    samples(**{name: normal(4, 8) for name in names})
    refused(*words(command, "pair.onnx"), says=told)


@pytest.mark.row(52)
@pytest.mark.parametrize(
    ("data", "code", "told"),
    [
        (None, 2, "needs samples"),
        ("none.npz", 3, "none.npz"),
        ("d.npz:0", 2, "leaves none"),
        ("pictures", 2, "without preprocessing"),
        ("m.onnx", 3, "not a kind of data"),
        ("user.py:missing", 3, "user.py"),
        ("nonsense", 2, "nonsense"),
    ],
)
def test_no_samples_at_all(
    refused: Any, samples: Any, place: Path, data: str | None, code: int, told: str
) -> None:
    (place / "pictures").mkdir()
    samples(x=normal(4, 3, 8, 8))
    given = [] if data is None else ["--calib", data]
    refused("quantize", "m.onnx", *given, "-o", "q.onnx", code=code, says=told)


@pytest.mark.row(53)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize("verb", ["quantize", "prune", "optimize"])
def test_a_batch_that_is_not_finite(refused: Any, samples: Any, verb: str, bad: float) -> None:
    images = normal(80, 3, 8, 8)
    images[70, 1, 2, 3] = bad
    samples(x=images)
    told = refused(*words(COMMANDS[verb]), says="input 'x' holds NaN or infinity in sample 70")
    assert "batch " in told


@pytest.mark.row(53)
@pytest.mark.parametrize("verb", ["quantize", "prune"])
def test_a_value_that_overflows_on_the_way(refused: Any, samples: Any, verb: str) -> None:
    images = normal(40, 3, 8, 8)
    images[33] = 3e38
    samples(x=images)
    told = refused(*words(COMMANDS[verb]), says="holds NaN or infinity")
    assert ("batch 1: " if verb == "quantize" else "in sample 33") in told


@pytest.mark.row(54)
@pytest.mark.parametrize("level", [0.0, 1.0, -3.0], ids=str)
@pytest.mark.parametrize("verb", ["quantize", "prune"])
def test_samples_that_are_all_alike(
    accepted: Any, samples: Any, place: Path, verb: str, level: float
) -> None:
    samples(x=np.full((8, 3, 8, 8), level, np.float32))
    accepted(*words(COMMANDS[verb]), cpu_s=20)
    for tensor in onnx.load(next(place.glob("[pq].onnx"))).graph.initializer:
        array = numpy_helper.to_array(tensor)
        assert np.isfinite(array).all()
        assert "scale" not in tensor.name or (array > 0).all()


FEEDS = {
    "one array filled again": "h = np.empty((3, 3, 8, 8), 'f4')\n    for i in (0, 3, 6):\n"
    "        h[:] = x[i : i + 3]\n        yield {'x': h}",
    "one feed filled again": "h = {}\n    for i in (0, 3, 6):\n        h['x'] = x[i : i + 3]\n        yield h",
    "an exhausted iterator": "return iter([{'x': x}])",
    "one by one": "yield from ({'x': x[i : i + 1]} for i in range(9))",
    "a ragged end": "yield {'x': x[:7]}\n    yield {'x': x[7:]}",
}


@pytest.fixture
def user(place: Path) -> Callable[[str], str]:
    """Write a function that gives samples; returns how it is named as data."""

    def write_function(body: str) -> str:
        text = f"import numpy as np\n\n\ndef feeds():\n    x = np.load('d.npz', allow_pickle=False)['x']\n    {body}\n"
        (place / "user.py").write_text(text)
        return "user.py:feeds"

    return write_function


@pytest.mark.row(55)
@pytest.mark.parametrize("verb", ["quantize", "prune"])
def test_however_samples_come_the_result_is_the_same(
    accepted: Any, samples: Any, place: Path, user: Any, verb: str
) -> None:
    samples(x=normal(9, 3, 8, 8))
    made = next(word for word in words(COMMANDS[verb]) if word in {"q.onnx", "p.onnx"})
    found = set()
    for data in ("d.npz", *FEEDS.values()):
        given = data if data == "d.npz" else user(data)
        command = [given if word == "d.npz" else word for word in words(COMMANDS[verb])]
        accepted(*command, "--force", cpu_s=20)
        found.add((place / made).read_bytes())
    assert len(found) == 1


@pytest.mark.row(55)
@pytest.mark.parametrize("count", [1, 33])
def test_one_sample_and_a_ragged_last_batch(accepted: Any, samples: Any, count: int) -> None:
    samples(x=normal(count, 3, 8, 8))
    accepted(*words(COMMANDS["quantize"]))
    accepted(*words(COMMANDS["bench"]), "--batch", "4")


@pytest.mark.row(55)
@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return []", "gives no batch"),
        ("yield {'x': x[:2]}; yield {'x': x[:2, :, :4]}", "different shapes"),
        ("yield {'x': x[:2]}; yield {}", "not a feed"),
        ("raise OSError('the camera is gone')", "the camera is gone"),
        ("raise SystemExit(0)", "SystemExit"),
    ],
)
def test_a_function_that_gives_no_samples(
    refused: Any, samples: Any, user: Any, body: str, told: str
) -> None:
    samples(x=normal(9, 3, 8, 8))
    refused("quantize", "m.onnx", "--calib", user(body), "-o", "q.onnx", says=told)


def npy(shape: tuple[int, ...], descr: str = "<f4", content: bytes = b"") -> bytes:
    """An array file that declares a shape, whatever follows."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + content


class Bomb:
    """Unpickled, it would make a folder."""

    def __reduce__(self) -> Any:
        return Path.mkdir, (Path("unpickled"),)


HOSTILE = {
    "exbibyte": (npy((2**58,)), 3, "declares 1,152,921,504,606,846,976 bytes and holds 0"),
    "more than is there": (npy((4 << 10, 1 << 20), content=bytes(1 << 20)), 3, "and holds 1,048,576"),
    "objects": (npy((1,), "|O", pickle.dumps(Bomb())), 3, "array of objects"),
    "pickle": (pickle.dumps(Bomb()), 3, "is not a whole .npz file"),
}


@pytest.mark.row(56)
@pytest.mark.parametrize(("content", "code", "told"), HOSTILE.values(), ids=HOSTILE)
@every_command
def test_arrays_that_want_to_harm(
    refused: Any, place: Path, command: str, content: bytes, code: int, told: str
) -> None:
    with zipfile.ZipFile(place / "d.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x.npy", content)
    refused(*words(command), code=code, says=told)


@pytest.mark.row(56)
def test_a_bomb(refused: Any, place: Path) -> None:
    """The archive agrees with the array, as one that really unpacks to 64 GiB would; nothing of it is read."""
    held = npy((16 << 10, 1 << 20), content=bytes(1 << 20))
    with zipfile.ZipFile(place / "d.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x.npy", held)
        file.infolist()[0].file_size = len(held) - (1 << 20) + (64 << 30)
    refused(*words(COMMANDS["quantize"]), code=4, says="take 68.7 GB, the limit is")


def png_of(width: int, height: int) -> bytes:
    """A PNG that declares this many pixels and holds none."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.fixture
def images(place: Path) -> Path:
    """Four good images."""
    (place / "set").mkdir()
    for index in range(4):
        pixels = np.random.default_rng(index).integers(0, 255, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / "set" / f"good{index}.png")
    return place / "set"


def on_images(verb: str) -> list[str]:
    """A command on the folder of images."""
    given = [word.replace("d.npz", "set") for word in words(COMMANDS[verb])]
    return [*given, "--preprocess", "size=8"]


@pytest.mark.row(57)
@pytest.mark.parametrize("verb", ["quantize", "prune", "compare"])
def test_what_is_no_image_is_counted_and_named(accepted: Any, images: Path, verb: str) -> None:
    (images / "bomb.png").write_bytes(png_of(60_000, 60_000))
    (images / "empty.jpg").touch()
    (images / "page.png").write_text("<html>")
    found = accepted(*on_images(verb), cpu_s=60)
    told = next(line for line in (found.out + found.err).splitlines() if "3 files were skipped" in line)
    assert all(name in told for name in ("bomb.png", "empty.jpg", "page.png"))


@pytest.mark.row(57)
@pytest.mark.parametrize("verb", ["quantize", "prune"])
def test_an_image_that_is_cut_off(refused: Any, images: Path, verb: str) -> None:
    Image.effect_noise((64, 64), 50).convert("RGB").save(images / "cut.jpg")
    (images / "cut.jpg").write_bytes((images / "cut.jpg").read_bytes()[:1500])
    refused(*on_images(verb), says="set/cut.jpg cannot be decoded")


@pytest.mark.row(57)
def test_every_kind_of_image(accepted: Any, images: Path, place: Path) -> None:
    Image.fromarray(np.full((9, 9), 50_000, np.uint16)).save(images / "sixteen.png")
    Image.new("CMYK", (9, 9), (9, 99, 0, 30)).save(images / "cmyk.jpg")
    Image.new("RGB", (1, 1)).save(images / "one.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (5, 9)).save(images / "turned.jpg", exif=exif)
    found = accepted(*on_images("quantize"))
    assert "skipped" not in found.err
    assert (place / "q.onnx").is_file()


@pytest.mark.row(57)
def test_a_folder_without_an_image(refused: Any, place: Path) -> None:
    (place / "set").mkdir()
    (place / "set" / "bomb.png").write_bytes(png_of(60_000, 60_000))
    refused(*on_images("quantize"), says="set holds no readable image")

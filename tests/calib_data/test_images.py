from __future__ import annotations

import errno
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from sardonyx.calib_data import Preprocessing, open_data
from sardonyx.core import DataError, UsageError
from sardonyx.core.errors import EnvironmentFault

RAMP = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def _raw(**options):
    return Preprocessing(scale=1.0, **options)


@pytest.fixture
def folder(tmp_path):
    """Two classes of two images."""
    for index, name in enumerate(["dog/b.png", "dog/a.png", "cat/z.png", "cat/y.jpg"]):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8 + index, 8), (10 * index, 0, 0)).save(path)
    return tmp_path / "set"


def _bomb(path, side=60_000):
    """A PNG that declares very many pixels."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    )


def test_folders_are_labels_and_order_is_sorted(folder):
    data = open_data(str(folder), preprocess="size=4,scale=1")
    assert data.labels.tolist() == [0, 0, 1, 1]
    assert [feed["image"][0, 0, 0, 0] for feed in data] == pytest.approx([30, 20, 10, 0], abs=1)
    assert "labels: 0=cat, 1=dog" in data.notes


def test_a_limit_keeps_labels_and_images_together(folder):
    data = open_data(f"{folder}:2", preprocess="size=4,scale=1")
    assert len(data) == len(data.labels) == 2


def test_loose_images_have_no_labels(folder):
    data = open_data(str(folder / "dog"), preprocess="size=4")
    assert (len(data), data.labels) == (2, None)


def test_values_are_scaled_and_normalised():
    made = Preprocessing.parse("mean=0.5/0.25/0,std=0.5/0.5/2").apply(Image.fromarray(RAMP))
    want = (RAMP / 255 - [0.5, 0.25, 0]) / [0.5, 0.5, 2]
    assert made.shape == (3, 4, 6)
    assert made.dtype == np.float32
    assert np.allclose(made, want.transpose(2, 0, 1), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "want"),
    [
        ({"layout": "nhwc"}, RAMP),
        ({"channels": "bgr", "layout": "nhwc"}, RAMP[..., ::-1]),
        ({"dtype": "uint8", "layout": "nhwc"}, RAMP),
        ({"size": 2, "resize": 4, "layout": "nhwc"}, RAMP[1:3, 2:4]),
    ],
)
def test_layout_channels_and_crop(options, want):
    assert np.array_equal(_raw(**options).apply(Image.fromarray(RAMP)), want)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"size": "2x5"}, (3, 2, 5)),
        ({"size": 3}, (3, 3, 3)),
        ({"channels": "gray"}, (1, 4, 6)),
        ({"size": (3, 4), "resize": 7}, (3, 3, 4)),
        ({}, (3, 4, 6)),
    ],
)
def test_sizes(options, shape):
    assert _raw(**options).apply(Image.fromarray(RAMP)).shape == shape


def test_exif_orientation_is_followed(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RAMP).save(tmp_path / "a.png", exif=exif)
    turned = next(iter(open_data(str(tmp_path), preprocess="scale=1,layout=nhwc")))["image"][0]
    assert np.array_equal(turned, np.rot90(RAMP, -1))


@pytest.mark.parametrize(
    ("image", "want"),
    [
        (Image.fromarray(np.full((2, 2), 65535, np.uint16)), 255),
        (Image.fromarray(np.full((2, 2), 257 * 9, np.uint16)), 9),
        (Image.new("CMYK", (2, 2), (0, 0, 0, 0)), 255),
        (Image.new("L", (2, 2), 7), 7),
        (Image.new("RGBA", (2, 2), (9, 9, 9, 0)), 9),
        (Image.new("1", (1, 1), 1), 255),
        (Image.new("P", (2, 2), 0), 0),
    ],
    ids=["16-bit white", "16-bit", "CMYK", "grey", "transparent", "one pixel", "palette"],
)
def test_every_kind_of_pixel_becomes_eight_bit(image, want):
    assert set(_raw().apply(image).ravel().tolist()) == {float(want)}


def test_what_cannot_be_read_is_counted_and_named(folder):
    (folder / "cat" / "text.png").write_text("not an image")
    (folder / "cat" / "empty.jpg").touch()
    _bomb(folder / "dog" / "bomb.png")
    data = open_data(str(folder), preprocess="size=4")
    assert len(data) == 4
    assert data.notes[0].startswith("3 files were skipped: cat/empty.jpg")
    assert "dog/bomb.png" in data.notes[0]


def test_a_large_image_is_skipped_by_its_header(folder):
    data = open_data(str(folder), preprocess="size=4,max_pixels=64")
    assert len(data) == 1
    assert "72 pixels" in data.notes[0]


def test_a_truncated_image_is_named_when_it_is_read(folder):
    path = folder / "dog" / "a.png"
    Image.effect_noise((64, 64), 50).convert("RGB").save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"dog/a\.png cannot be decoded"):
        list(open_data(str(folder), preprocess="size=4"))


@pytest.mark.parametrize("names", [(), ("notes.txt",), ("bad.png",)])
def test_a_folder_without_images(tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("x")
    with pytest.raises(DataError, match="holds no readable image"):
        open_data(str(tmp_path), preprocess="size=4")


def test_images_beside_classes(folder):
    Image.new("RGB", (4, 4)).save(folder / "loose.png")
    with pytest.raises(DataError, match="beside sub-folders"):
        open_data(str(folder), preprocess="size=4")


def test_images_of_different_sizes_do_not_stack(folder):
    with pytest.raises(DataError, match="differ in size"):
        next(open_data(str(folder), preprocess="scale=1").batches(2))


def test_a_folder_needs_preprocessing(folder):
    with pytest.raises(UsageError, match="without preprocessing"):
        open_data(str(folder))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour=rgb", "colour"),
        ("size=0", "size"),
        ("size=a", "size"),
        ("size=1/2/3", "one number or two"),
        ("scale=0", "scale"),
        ("scale=nan", "scale"),
        ("std=0", "above zero"),
        ("mean=1/2", "one number or 3"),
        ("mean=inf", "finite"),
        ("channels=gray,std=1/1/1", "one number or 1"),
        ("resize=4", "resize needs a size"),
        ("size=8,resize=4", "no larger"),
        ("size", "key=value"),
        ("size=4,size=5", "key=value"),
        ("none.toml", "cannot read"),
    ],
)
def test_refuses_preprocessing_that_means_nothing(text, words):
    with pytest.raises(UsageError, match=words):
        Preprocessing.parse(text)


def test_preprocessing_from_toml(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text('size = [224, 192]\nmean = [0.485, 0.456, 0.406]\nchannels = "bgr"\n')
    made = Preprocessing.parse(str(path))
    assert (made.size, made.mean[0], made.channels) == ((224, 192), 0.485, "bgr")


@pytest.mark.parametrize("read", [True, False])
def test_an_image_is_not_left_out_because_others_are_open(folder, monkeypatch, read):
    data = open_data(str(folder), preprocess="size=8")

    def full(*_, **__):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Image, "open", full)
    with pytest.raises(EnvironmentFault, match="too many files"):
        next(data.batches(1)) if read else open_data(str(folder), preprocess="size=8")

from __future__ import annotations

import os
import socket
import zipfile

import pytest
from sardonyx.core import LimitError, Limits, ModelArtifact, ModelError

HEADS = {
    "an HTML page": b"<!DOCTYPE html><p>404</p>",
    "a zip archive": b"PK\x03\x04" + b"\0" * 64,
    "a JSON document": b'{"layers": []}',
    "a text file": b"weights go here\n",
    "an HDF5 file": b"\x89HDF\r\n\x1a\n" + b"\0" * 32,
    "a Python pickle": b"\x80\x02}q\x00.",
    "a safetensors file": (40).to_bytes(8, "little") + b'{"w":{"dtype":"F32"}}' + b" " * 19,
    "ONNX Runtime's own format": b"\x18\0\0\0ORTM" + b"\0" * 32,
    "TensorFlow Lite": b"\x1c\0\0\0TFL3" + b"\0" * 32,
    "Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\n",
    "gzip": b"\x1f\x8b\x08\0",
}


@pytest.mark.parametrize("kind", HEADS)
def test_says_what_the_file_looks_like(write, assert_refused, kind):
    assert_refused(write(HEADS[kind]), "m.onnx looks like", kind, kind=ModelError)


def test_names_a_torch_checkpoint(tmp_path, assert_refused):
    with zipfile.ZipFile(tmp_path / "m.onnx", "w") as archive:
        archive.writestr("model/data.pkl", b"\x80\x02}q\x00.")
    assert_refused(tmp_path / "m.onnx", "a PyTorch checkpoint", kind=ModelError)


def test_empty_file(write, assert_refused):
    assert_refused(write(b""), "empty model", kind=ModelError)


def test_truncated(write, model, assert_refused):
    content = model().SerializeToString()
    assert_refused(
        write(content[: len(content) // 2]), "corrupt", f"{len(content) // 2} bytes", kind=ModelError
    )


def test_random_bytes(write, assert_refused):
    assert_refused(write(b"\x08\x09" + bytes(range(255, 0, -1)) * 16), "corrupt", kind=ModelError)


@pytest.mark.parametrize("old", [b"Add", b"\x01x", b"\x01y"])
def test_a_flipped_bit_in_a_name_is_corruption(write, model, assert_refused, old):
    damaged = model().SerializeToString().replace(old, old[:-1] + b"\xff")
    assert_refused(write(damaged), "corrupt", kind=ModelError)


def test_folder(tmp_path, assert_refused):
    assert_refused(tmp_path, "is a folder", kind=ModelError)


def test_named_pipe(tmp_path, assert_refused):
    os.mkfifo(tmp_path / "m.onnx")
    assert_refused(tmp_path / "m.onnx", "is a named pipe", kind=ModelError)


def test_socket(tmp_path, assert_refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("m.onnx")
        assert_refused(tmp_path / "m.onnx", "is a socket", kind=ModelError)


def test_device_and_missing():
    for path, words in {"/dev/zero": "is a device", "no/such.onnx": "No such file"}.items():
        with pytest.raises(ModelError, match=words):
            ModelArtifact.open(path)


@pytest.mark.parametrize(
    "name", ["with space.onnx", "ünïcödé.onnx", "-dash.onnx", "new\nline.onnx", "x" * 250 + ".onnx"]
)
def test_accepts_any_file_name(write, name):
    assert ModelArtifact.open(write(name=name)).name == name


def test_link_to_a_file_is_followed(write, tmp_path):
    (tmp_path / "link.onnx").symlink_to(write())
    assert ModelArtifact.open(tmp_path / "link.onnx").size_bytes > 0


def test_size_limit(write, assert_refused):
    assert_refused(write(), "the limit is 10", kind=LimitError, limits=Limits(file_bytes=10))

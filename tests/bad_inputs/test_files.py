"""Rows 1 to 6: what is no model file at all."""

from __future__ import annotations

import io
import os
import socket
import zipfile

import numpy as np
import pytest

NAMED = """g (float[4] input_name) => (float[4] output_name) <float[4] weight_name = {0, 1, 2, 3}>
{ [node_name] output_name = Add(input_name, weight_name) }"""


def _archive(*names: str) -> bytes:
    with zipfile.ZipFile(held := io.BytesIO(), "w") as archive:
        for name in names:
            archive.writestr(name, b"\x80\x02}q\x00.")
    return held.getvalue()


LOOKS = {
    "an HTML page": b"<!DOCTYPE html><title>404</title>",
    "a text file": b"the model is at another place\n",
    "a zip archive": _archive("model.onnx"),
    "a PyTorch checkpoint": _archive("model/data.pkl", "model/data/0"),
    "a Python pickle": b"\x80\x02}q\x00.",
    "a safetensors file": (40).to_bytes(8, "little") + b'{"w":{"dtype":"F32"}}' + b" " * 19,
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n",
    "gzip-compressed data": b"\x1f\x8b\x08\0" + b"\0" * 60,
}
VERBS = {
    "prune": ("-o", "o.onnx", "--ratio", "0.5", "--criterion", "magnitude", "--no-compensate"),
    "quantize": ("-o", "o.onnx", "--precision", "dynamic"),
    "bench": (),
    "compare": ("--data", "d.npz", "--metric", "cosine"),
    "profile": (),
    "package": ("-o", "bundle", "--for", "linux"),
    "optimize": ("-o", "found", "--calib", "d.npz", "--eval", "d.npz", "--max-drop", "0.01"),
    "heal": ("-o", "o.onnx", "--teacher", "m.onnx", "--data", "d.npz"),
}


@pytest.mark.row(1)
def test_an_empty_file(refused, write):
    assert "an empty model" in refused("inspect", write(b"").name)


@pytest.mark.row(2)
def test_a_model_cut_off(refused, write, parse):
    half = parse().SerializeToString()[: parse().ByteSize() // 2]
    refused("inspect", write(half).name, says=f"m.onnx is corrupt: {len(half)} bytes")


@pytest.mark.row(2)
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_refuses_a_damaged_model(refused, write, samples, parse, verb):
    write(parse().SerializeToString()[:60])
    samples(x=np.zeros((4, 4), np.float32))
    refused(verb, "m.onnx", *VERBS[verb], says="m.onnx is corrupt: 60 bytes")


@pytest.mark.row(3)
@pytest.mark.parametrize("seed", range(3))
def test_noise(refused, write, seed):
    refused("inspect", write(np.random.default_rng(seed).bytes(4096)).name, says="corrupt: 4,096 bytes")


@pytest.mark.row(4)
@pytest.mark.parametrize("looks", LOOKS)
def test_another_kind_of_file(refused, write, looks):
    refused("inspect", write(LOOKS[looks]).name, says=f"m.onnx looks like {looks}")


@pytest.mark.row(5)
@pytest.mark.parametrize("name", ["input_name", "output_name", "weight_name", "node_name", "Add"])
def test_a_flipped_bit_in_a_name(refused, write, parse, name):
    whole = parse(NAMED).SerializeToString()
    damaged = whole.replace(name.encode(), bytes([ord(name[0]) ^ 0x80]) + name[1:].encode())
    refused("inspect", write(damaged).name, says="m.onnx is corrupt")


@pytest.mark.row(6)
@pytest.mark.parametrize("verb", ["inspect", "bench"])
@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda path: path.mkdir(), "a folder"),
        (os.mkfifo, "a named pipe"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
        (lambda path: path.symlink_to("."), "a folder"),
    ],
)
def test_no_regular_file(refused, place, verb, make, kind):
    make(place / "m.onnx")
    refused(verb, "m.onnx", says=f"m.onnx is {kind}, not a model file")


@pytest.mark.row(6)
def test_a_socket(refused, place, monkeypatch):
    monkeypatch.chdir(place)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("m.onnx")
        refused("inspect", "m.onnx", says="m.onnx is a socket")


@pytest.mark.row(6)
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/full"])
def test_a_device(refused, device):
    refused("inspect", device, says=f"{device} is a device")

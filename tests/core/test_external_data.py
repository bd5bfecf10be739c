from __future__ import annotations

import hashlib
import os

import numpy as np
import onnx
import pytest
from sardonyx.core import LimitError, Limits, ModelArtifact, ModelError

WEIGHT = np.arange(4, dtype=np.float32)


@pytest.fixture
def external(model, write, tmp_path):
    """Write a model whose weight lies outside; the keys replace those of a good one, None leaves one out."""
    (tmp_path / "w.bin").write_bytes(b"\0" * 8 + WEIGHT.tobytes())

    def write_external(**keys):
        made = model()
        weight = made.graph.initializer[0]
        for field in ("float_data", "raw_data"):
            weight.ClearField(field)
        weight.data_location = onnx.TensorProto.EXTERNAL
        for key, value in {"location": "w.bin", "offset": "8", "length": "16", **keys}.items():
            if value is not None:
                weight.external_data.add(key=key, value=value)
        return write(made)

    return write_external


def test_reads_the_region(external):
    artifact = ModelArtifact.open(external())
    assert np.array_equal(artifact.load().graph.initializers["w"].const_value.numpy(), WEIGHT)
    assert artifact.size_bytes == artifact.path.stat().st_size + 24


def test_content_has_the_weights_embedded(external):
    content = ModelArtifact.open(external()).content
    assert onnx.ModelProto.FromString(content).graph.initializer[0].raw_data == WEIGHT.tobytes()


def test_reads_from_a_folder_inside(external, tmp_path):
    (tmp_path / "sub").mkdir()
    os.rename(tmp_path / "w.bin", tmp_path / "sub" / "w.bin")
    (tmp_path / "w.bin").unlink(missing_ok=True)
    path = external(location="sub/w.bin")
    assert ModelArtifact.open(path).inputs[0].name == "x"


@pytest.mark.parametrize(
    "location",
    [
        "../w.bin",
        "/etc/hostname",
        "a/../../w.bin",
        "a/../w.bin",
        "..",
        ".",
        "",
        "C:\\w.bin",
        "a\\w.bin",
        "a\0b",
    ],
)
def test_refuses_locations_outside(external, assert_refused, location):
    assert_refused(external(location=location), "'w'", "not inside the model's folder", kind=ModelError)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"offset": "-8"}, "offset '-8'"),
        ({"offset": str(2**63)}, "offset"),
        ({"offset": "16"}, "ends at byte 32"),
        ({"length": "abc"}, "length 'abc'"),
        ({"length": "８"}, "length"),
        ({"length": str(2**62)}, "its dimensions want 16"),
        ({"length": "8"}, "its dimensions want 16"),
        ({"basepath": "/"}, "key 'basepath'"),
        ({"__class__": "x"}, "key '__class__'"),
        ({"checksum": "0" * 40}, "SHA-1"),
        ({"location": "none.bin"}, "No such file"),
        ({"location": None}, "not inside"),
    ],
)
def test_refuses_bad_entries(external, assert_refused, keys, words):
    assert_refused(external(**keys), "'w'", words, kind=ModelError)


def test_accepts_the_right_checksum(external, tmp_path):
    digest = hashlib.sha1((tmp_path / "w.bin").read_bytes()).hexdigest()
    assert ModelArtifact.open(external(checksum=digest)).notes == ()


def test_length_may_be_left_out(external):
    assert ModelArtifact.open(external(length=None)).sha256 == ModelArtifact.open(external()).sha256


def _symlink(folder):
    (folder / "s.bin").symlink_to("w.bin")
    return "s.bin", "symbolic link"


def _parent_symlink(folder):
    (folder / "s").symlink_to(folder)
    return "s/w.bin", "symbolic link"


def _hard_link(folder):
    os.link(folder / "w.bin", folder / "h.bin")
    return "h.bin", "hard link"


def _pipe(folder):
    os.mkfifo(folder / "p.bin")
    return "p.bin", "not a regular file"


def _folder(folder):
    (folder / "d.bin").mkdir()
    return "d.bin", "not a regular file"


@pytest.mark.parametrize("make", [_symlink, _parent_symlink, _hard_link, _pipe, _folder])
def test_refuses_what_is_not_a_plain_file(external, assert_refused, tmp_path, make):
    location, words = make(tmp_path)
    assert_refused(external(location=location), words, kind=ModelError)


def test_the_file_that_was_checked_is_the_file_that_is_read(external, tmp_path, monkeypatch):
    """A file swapped for a link between the check and the opening is not followed."""
    path = external()
    real = os.open

    def swap(name, flags, *args, **kwargs):
        if name == "w.bin":
            os.rename(tmp_path / "w.bin", tmp_path / "old.bin")
            (tmp_path / "w.bin").symlink_to("old.bin")
        return real(name, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", swap)
    monkeypatch.setattr(os, "supports_dir_fd", {*os.supports_dir_fd, swap})
    with pytest.raises(ModelError, match="cannot read"):
        ModelArtifact.open(path)


def test_limit_counts_every_tensor(external, assert_refused):
    assert_refused(external(), "external data", kind=LimitError, limits=Limits(external_bytes=15))


def test_one_tensor_with_data_twice(external, assert_refused):
    path = external()
    made = onnx.ModelProto.FromString(path.read_bytes())
    made.graph.initializer[0].raw_data = WEIGHT.tobytes()
    path.write_bytes(made.SerializeToString())
    assert_refused(path, "both external and embedded", kind=ModelError)

"""The manifest: one form on disk, a seal, and nothing in it that a stranger could harm with."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sardonyx.core.errors import InputError, LimitError
from sardonyx.core.limits import Limits
from sardonyx.deploy.manifest import (
    Manifest,
    manifest_bytes,
    parse_manifest,
    read_manifest,
    seal,
    seal_of,
)

Document = dict[str, Any]
HASH = "0" * 64


def document() -> Document:
    """A manifest of a model with one input and one output, as plain data."""
    files = {"model.onnx": 10, "self_test/inputs.0.bin": 32, "self_test/outputs.0.bin": 16}
    stored = {"type": "float32"}
    return {
        "schema": "sardonyx.bundle/1",
        "name": "small",
        "platform": "linux",
        "licence": None,
        "created_with": {"sardonyx": "0.1.0", "onnxruntime": "1.32.0", "onnx": "1.23.2"},
        "model": {
            "file": "model.onnx",
            "role": "model",
            "format": "onnx",
            "style": None,
            "sha256": HASH,
            "bytes": 10,
            "gzip_bytes": 8,
            "opset": {"": 17},
            "ir_version": 8,
            "params": 4,
            "macs": None,
            "activation_bytes": None,
        },
        "others": [],
        "inputs": [
            {"name": "x", "type": "float32", "shape": ["N", 2], "meaning": "", "low": -1.0, "high": 1.5}
        ],
        "outputs": [
            {"name": "y", "type": "float32", "shape": [None, 1], "meaning": "", "low": 0.0, "high": 1e-05}
        ],
        "preprocessing": None,
        "labels": None,
        "operators": None,
        "self_test": {
            "samples": 4,
            "batch": 2,
            "inputs": [{**stored, "name": "x", "shape": [4, 2], "file": "self_test/inputs.0.bin"}],
            "outputs": [{**stored, "name": "y", "shape": [4, 1], "file": "self_test/outputs.0.bin"}],
            "tolerance": {"absolute": 1e-4, "relative": 1e-4},
            "labels_agree": 1.0,
        },
        "measured": None,
        "usability": [],
        "provenance": {"source_sha256": HASH, "command": ""},
        "files": [{"path": path, "sha256": HASH, "bytes": size} for path, size in files.items()],
        "sha256": "",
    }


def parsed(found: Document) -> Manifest:
    return parse_manifest(json.dumps(found).encode())


def put(found: Document, place: str, value: object) -> Document:
    """The document with another value at a place such as ``files.0.path``."""
    *parents, last = place.split(".")
    inner: Any = found
    for part in parents:
        inner = inner[int(part)] if isinstance(inner, list) else inner[part]
    inner[int(last) if isinstance(inner, list) else last] = value
    return found


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    manifest = seal(parsed(document()))
    (tmp_path / "manifest.json").write_bytes(manifest_bytes(manifest))
    again = read_manifest(tmp_path)
    assert again == manifest
    assert manifest_bytes(again) == (tmp_path / "manifest.json").read_bytes()
    assert again.self_test.runs == 2


def test_the_seal_covers_everything_but_itself() -> None:
    manifest = parsed(document())
    assert seal_of(manifest) == seal_of(seal(manifest)) == seal(manifest).sha256
    changed = parsed(put(document(), "outputs.0.high", 1.1e-05))
    assert seal_of(changed) != seal_of(manifest)


@pytest.mark.parametrize(
    "path",
    [
        "../model.onnx",
        "/etc/passwd",
        "a/../b",
        "a//b",
        "a/./b",
        "C:/model.onnx",
        "a\\b",
        ".hidden",
        "a/.hidden",
        "",
        "manifest.json",
        "MANIFEST.json",
        "a b",
        "a\nb",
        "a\u202eb",
        "-rf",
        "x" * 101,
        "/".join("x" * 9),
    ],
)
@pytest.mark.parametrize("place", ["files.0.path", "model.file", "labels", "self_test.inputs.0.file"])
def test_a_path_that_leaves_the_bundle_or_is_not_plain_is_refused(place: str, path: str) -> None:
    with pytest.raises(InputError, match="not a plain path inside the bundle"):
        parsed(put(document(), place, path))


@pytest.mark.parametrize(
    ("place", "value", "cause"),
    [
        ("schema", "sardonyx.bundle/2", "schema"),
        ("surprise", 1, "surprise: extra inputs are not permitted"),
        ("model.surprise", 1, "model.surprise"),
        ("platform", "abacus", "platform"),
        ("model.bytes", 10**30, "model.bytes"),
        ("model.bytes", -1, "model.bytes"),
        ("model.bytes", "10", "model.bytes"),
        ("model.bytes", True, "model.bytes"),
        ("model.sha256", "xyz", "model.sha256"),
        ("model.bytes", 11, "not that of its file"),
        ("model.file", "other.onnx", "not among the files"),
        ("labels", "labels.txt", "not among the files"),
        ("inputs.0.low", "NaN", "inputs.0.low"),
        ("inputs.0.type", "object", "inputs.0.type"),
        ("self_test.samples", 0, "self_test.samples"),
        ("self_test.batch", 3, "batch does not divide samples"),
        ("self_test.inputs.0.shape", [3, 2], "does not divide into runs"),
        ("self_test.inputs.0.shape", [4, 3], "another size than its file"),
        ("self_test.inputs.0.shape", [4, 10**12], "larger than"),
        ("self_test.inputs.0.shape", [4] + [2**53] * 31, "larger than"),
        ("self_test.inputs.0.shape", [], "self_test.inputs.0.shape"),
        ("self_test.tolerance.absolute", -1.0, "absolute"),
        ("self_test.labels_agree", 1.5, "labels_agree"),
        ("files.0.path", "z", "sorted"),
        ("files.1.path", "MODEL.onnx", "sorted"),
        ("name", "x" * 1001, "name"),
    ],
)
def test_what_no_manifest_says_is_refused_with_its_place(place: str, value: object, cause: str) -> None:
    with pytest.raises(InputError) as refusal:
        parsed(put(document(), place, value))
    assert cause in refusal.value.cause
    assert refusal.value.remedy


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "JSON"),
        (b"[" * 100_000, "JSON"),
        (b'{"a":' * 100_000, "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"1e999", "object"),
        (b"null", "object"),
        (b"9" * 5000, ""),
        (json.dumps({**document(), "name": "x"}).replace("1.5", "NaN").encode(), "high"),
        (json.dumps({**document(), "name": "x"}).replace("1.5", "1e999").encode(), "high"),
        (json.dumps(document()).replace("small", "\\ud800").encode(), "JSON"),
    ],
)
def test_bytes_that_are_no_manifest_are_refused(content: bytes, cause: str) -> None:
    with pytest.raises(InputError) as refusal:
        parse_manifest(content)
    assert cause in refusal.value.cause
    assert "\n" not in refusal.value.cause


def missing(path: Path) -> None:
    """Leave no file."""


def link(path: Path) -> None:
    path.with_name("elsewhere").write_text("{}")
    path.symlink_to(path.with_name("elsewhere"))


def too_long(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(Limits().manifest_bytes + 1)


@pytest.mark.parametrize("make", [missing, link, os.mkfifo, Path.mkdir, too_long])
def test_a_manifest_that_is_no_plain_file_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "manifest.json")
    with pytest.raises((InputError, LimitError), match=r"manifest\.json"):
        read_manifest(tmp_path)


def test_the_bundles_inside_a_folder_are_named(tmp_path: Path) -> None:
    for name in ("web", "linux"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").touch()
    with pytest.raises(InputError) as refusal:
        read_manifest(tmp_path)
    assert "linux, web" in refusal.value.remedy

"""A folder of many images under a low limit of open files: each is closed before the next is opened."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx.parser
import pytest
from PIL import Image

MODEL = (
    """<ir_version: 9, opset_import: ["" : 18]> g (float[N,3,4,4] x) => (float[N,3,4,4] y) { y = OP(x) }"""
)
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]),) * 2)
from sardonyx.cli.app import main
main(sys.argv[2:])
"""
OPEN_FILES = 48
"""Fewer than the images, and enough for the interpreter and its libraries."""


def compare(folder: Path, open_files: int) -> subprocess.CompletedProcess[str]:
    words = [
        "compare",
        "a.onnx",
        "b.onnx",
        "--data",
        "images",
        "--preprocess",
        "size=4",
        "--metric",
        "cosine",
        "--batch",
        "1",
        "--json",
    ]
    call = [sys.executable, "-c", LIMITED, str(open_files), *words]
    return subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False)


def fill(folder: Path, count: int) -> None:
    for name, operator in (("a.onnx", "Relu"), ("b.onnx", "Abs")):
        (folder / name).write_bytes(
            onnx.parser.parse_model(MODEL.replace("OP", operator)).SerializeToString()
        )
    (folder / "images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (count, 4, 4, 3), np.uint8)
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(folder / "images" / f"{index:05}.png")


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_folder_of_images(tmp_path, count):
    fill(tmp_path, count)
    done = compare(tmp_path, OPEN_FILES)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["samples"] == count
    assert [row["accuracy"]["n"] for row in document["rows"]] == [count, count]


def test_a_folder_that_is_none_is_refused(tmp_path):
    fill(tmp_path, 0)
    with pytest.raises(subprocess.CalledProcessError):
        compare(tmp_path, OPEN_FILES).check_returncode()

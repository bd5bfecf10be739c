"""A file in ORT format with its table of types in order: the same bytes every time, and the same model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sardonyx.core.errors import ModelError
from sardonyx.deploy import convert_to_ort, open_on_cpu, operators_of
from sardonyx.deploy.ort_file import load_tools
from sardonyx.deploy.ort_order import sort_type_table
from small_bundle import classifier, pictures

CONVERT = """
import sys
from pathlib import Path
from sardonyx import ModelArtifact
from sardonyx.deploy import convert_to_ort
from sardonyx.deploy.ort_order import sort_type_table
made = convert_to_ort(ModelArtifact.open("m.onnx"), Path("."), style=sys.argv[1])
print(sort_type_table(made.file.read_bytes()).hex())
"""


@pytest.fixture
def converted(tmp_path: Path) -> Path:
    return convert_to_ort(classifier(), tmp_path).file


def type_table(path: Path) -> dict[bytes, list[tuple[bytes, list[tuple[int, int]]]]]:
    """The table as a reader sees it."""
    _, schema = load_tools()
    table = schema.InferenceSession.InferenceSession.GetRootAs(
        bytearray(path.read_bytes()), 0
    ).KernelTypeStrResolver()
    found = {}
    for entry in (table.OpKernelTypeStrArgs(i) for i in range(table.OpKernelTypeStrArgsLength())):
        kinds = [entry.KernelTypeStrArgs(i) for i in range(entry.KernelTypeStrArgsLength())]
        found[entry.OpId()] = sorted(
            (
                k.KernelTypeStr(),
                [(a.ArgType(), a.Index()) for a in (k.Args(i) for i in range(k.ArgsLength()))],
            )
            for k in kinds
        )
    return found


def test_the_model_is_the_same(converted: Path, tmp_path: Path) -> None:
    path = tmp_path / "sorted.ort"
    path.write_bytes(sort_type_table(converted.read_bytes()))
    assert type_table(path) == type_table(converted)
    assert list(type_table(path)) == sorted(type_table(path))
    assert operators_of(path) == operators_of(converted)
    first, second = (open_on_cpu(place)(pictures(3))["scores"] for place in (path, converted))
    np.testing.assert_array_equal(first, second)


def test_sorting_twice_is_sorting_once(converted: Path) -> None:
    once = sort_type_table(converted.read_bytes())
    assert sort_type_table(once) == once


@pytest.mark.parametrize("style", ["runtime", pytest.param("fixed", marks=pytest.mark.slow)])
def test_every_process_writes_the_same_bytes(tmp_path: Path, style: str) -> None:
    found = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        classifier().save(tmp_path / name / "m.onnx")
        words = [sys.executable, "-c", CONVERT, style]
        done = subprocess.run(words, cwd=tmp_path / name, capture_output=True, text=True, check=True)
        found.add(done.stdout)
    assert len(found) == 1


def test_a_file_without_a_model_is_refused() -> None:
    import flatbuffers

    builder = flatbuffers.Builder(0)
    builder.StartObject(4)
    builder.Finish(builder.EndObject(), file_identifier=b"ORTM")
    with pytest.raises(ModelError, match="lacks its model"):
        sort_type_table(bytes(builder.Output()))

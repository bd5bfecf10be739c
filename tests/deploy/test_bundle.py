"""Filling a bundle: all of it is named and sealed, twice the same, and harmless to read."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt
from sardonyx.core.errors import ExpectationError, ModelError
from sardonyx.core.tensors import Feed
from sardonyx.deploy import fill_bundle, get_platform, read_manifest
from sardonyx.deploy.manifest import seal_of
from sardonyx.deploy.manifest_parts import LeftEntry, Measured, UsabilityEntry
from sardonyx.deploy.readme import render_readme
from small_bundle import FILES, classifier, content, pictures, renamed

HOSTILE = "`<img src=x onerror=alert(1)>`|[x](javascript:1)\u202e\x1b[2J\n# <script>"


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    fill_bundle(folder, content())
    return folder


def test_every_file_is_named_with_its_hash(filled: Path) -> None:
    found, manifest = files_of(filled), read_manifest(filled)
    assert tuple(found) == FILES
    assert [entry.path for entry in manifest.files] == [name for name in FILES if name != "manifest.json"]
    for entry in manifest.files:
        assert hashlib.sha256(found[entry.path]).hexdigest() == entry.sha256
    assert manifest.sha256 == seal_of(manifest)
    assert found["labels.txt"] == b"cat\ndog\nowl\n"


def test_the_manifest_says_what_the_model_is(filled: Path) -> None:
    manifest = read_manifest(filled)
    assert [(m.file, m.role, m.format) for m in manifest.models] == [
        ("model.onnx", "model", "onnx"),
        ("model.ort", "ort", "ort"),
        ("reference.onnx", "reference", "onnx"),
    ]
    model = manifest.model
    assert (model.opset, model.ir_version, model.params) == ({"": 17}, 9, 8 * 27 + 8 + 8 * 3 + 3)
    assert model.macs == 64 * 8 * 27 + 8 * 3
    assert model.activation_bytes is not None
    assert model.activation_bytes >= 2 * 4 * (3 * 64 + 2 * 8 * 64)
    (entry,) = manifest.inputs
    assert (entry.shape, entry.low) == (("N", 3, 8, 8), float(pictures(4)["x"].min()))
    assert manifest.operators is not None
    assert {"float"} <= set(manifest.operators.types)


def test_the_same_content_gives_the_same_bytes(filled: Path, tmp_path: Path) -> None:
    fill_bundle(tmp_path, content())
    assert files_of(tmp_path) == files_of(filled)


@pytest.mark.parametrize(("name", "providers"), [("linux", []), ("android", ["NNAPI", "XNNPACK", "QNN"])])
def test_providers_are_those_of_the_platform(tmp_path: Path, name: str, providers: list[str]) -> None:
    platform = replace(get_platform(name), clients=(), ort_platform=None)
    manifest = fill_bundle(tmp_path, content(platform=platform))
    assert [found.provider for found in manifest.usability] == providers
    assert (manifest.operators, manifest.others[0].role) == (None, "reference")


@pytest.mark.parametrize(
    "outputs", [{"scores": np.array(["a", "b", "c", "d"])}, {"scores": np.array(1.0)}, {"scores": [1.0]}]
)
def test_outputs_that_no_client_reads_are_refused(tmp_path: Path, outputs: Feed) -> None:
    with pytest.raises(ExpectationError, match="scores"):
        fill_bundle(tmp_path, content(outputs=outputs))


def test_a_name_that_no_manifest_holds_is_refused(tmp_path: Path) -> None:
    model = renamed(classifier(), "x" * 1001)
    with pytest.raises(ModelError, match="manifest"):
        fill_bundle(tmp_path, content(model=model, reference=None, inputs={"x" * 1001: pictures(4)["x"]}))


def test_a_readme_interprets_nothing_that_it_was_given(tmp_path: Path) -> None:
    model = renamed(classifier(), HOSTILE)
    manifest = fill_bundle(
        tmp_path,
        content(
            name=HOSTILE,
            model=model,
            reference=None,
            inputs={HOSTILE: pictures(4)["x"]},
            labels=(HOSTILE,) * 3,
            meanings={HOSTILE: HOSTILE},
            licence=HOSTILE,
            command=f"```\n{HOSTILE}",
            platform=replace(get_platform("linux"), clients=(), ort_platform=None),
            measured=Measured(
                metric=HOSTILE,
                value=0.5,
                low=None,
                high=None,
                samples=4,
                drop=0.1,
                latency_ms=1.0,
                latency_low_ms=0.9,
                latency_high_ms=1.1,
                batch=1,
                threads=0,
                provider="CPUExecutionProvider",
                machine=HOSTILE,
            ),
        ),
    )
    left = tuple(LeftEntry(node=HOSTILE, op=HOSTILE, reason=f"{HOSTILE}{i}") for i in range(9))
    found = UsabilityEntry(provider="NNAPI", nodes=9, taken=0, partitions=0, left=left)
    text = render_readme(
        manifest.model_copy(update={"usability": (found,)}), get_platform("linux"), (HOSTILE,) * 50
    )
    page = MarkdownIt("commonmark").enable("table").render(text)
    for active in ("<img", "<script", "href=", "<h1># ", "\x1b", "\u202e"):
        assert active not in page
    assert page.count("<h1>") == 1
    assert all(row.count("<td>") in {4, 5} for row in page.split("<tr>")[1:] if "<td>" in row)

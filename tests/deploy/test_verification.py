"""Verifying a bundle: any flipped byte is found, hostile folders are refused, and failures are named."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sardonyx.core.errors import ExpectationError, InputError, LimitError
from sardonyx.core.files import write_atomic
from sardonyx.core.limits import Limits, use_limits
from sardonyx.deploy import (
    Manifest,
    Opened,
    VerifyReport,
    check_report,
    fill_bundle,
    open_on_cpu,
    read_manifest,
    seal,
    verify,
)
from sardonyx.deploy.bundle_files import file_entries
from sardonyx.deploy.manifest import manifest_bytes, parse_manifest
from small_bundle import FILES, classifier, content


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    fill_bundle(folder, content())
    return folder


@pytest.fixture
def bundle(original: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(original, tmp_path / "bundle"))


def statuses(report: VerifyReport) -> dict[str, str]:
    return {check.name: check.status for check in report.checks}


def sealed_again(folder: Path, **changed: object) -> None:
    """Write a manifest that fits the files, as someone who may write all of the bundle can."""
    manifest = read_manifest(folder)
    document = {**manifest.model_dump(by_alias=True, mode="json"), **changed, "sha256": ""}
    document["files"] = [entry.model_dump() for entry in file_entries(folder)]
    hashes = {entry["path"]: entry for entry in document["files"]}
    for entry in (document["model"], *document["others"]):
        entry["sha256"], entry["bytes"] = hashes[entry["file"]]["sha256"], hashes[entry["file"]]["bytes"]
    made: Manifest = parse_manifest(json.dumps(document).encode())
    write_atomic(folder / "manifest.json", manifest_bytes(seal(made)))


def test_a_bundle_passes_every_check(bundle: Path) -> None:
    report = verify(bundle)
    assert statuses(report) == dict.fromkeys(
        (
            "manifest",
            "files",
            "model.onnx",
            "model.onnx self-test on cpu",
            "model.ort operators",
            "model.ort self-test on cpu",
            "reference.onnx",
        ),
        "passed",
    )
    check_report(report)
    assert "4 of 4 samples" in report.checks[3].detail


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0.0, 0.3, 0.5, 0.8, 1.0])
def test_a_flipped_byte_in_any_file_is_found(bundle: Path, name: str, place: float) -> None:
    path = bundle / name
    data = bytearray(path.read_bytes())
    data[round(place * (len(data) - 1))] ^= 1 << round(7 * place)
    path.write_bytes(data)
    if name == "manifest.json":
        with pytest.raises((InputError, ExpectationError), match="manifest"):
            check_report(verify(bundle))
        return
    report = verify(bundle)
    assert report.failed[0].name == "files"
    with pytest.raises(ExpectationError, match=f"{name} was changed"):
        check_report(report)


def test_every_flipped_byte_of_a_manifest_is_found(original: Path) -> None:
    data = (original / "manifest.json").read_bytes()
    sealed = parse_manifest(data)
    for index in range(len(data)):
        changed = bytes([*data[:index], data[index] ^ 1 << index % 8, *data[index + 1 :]])
        try:
            found = parse_manifest(changed)
        except InputError:
            continue
        assert found != sealed or manifest_bytes(found) != changed


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def add(path: Path) -> None:
    path.with_name("extra.bin").touch()


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (Path.unlink, "model.onnx is missing"),
        (append, "model.onnx has"),
        (add, "extra.bin is not in the manifest"),
    ],
)
def test_a_folder_that_is_not_as_the_manifest_says_fails(
    bundle: Path, change: Callable[[Path], None], cause: str
) -> None:
    change(bundle / "model.onnx")
    report = verify(bundle)
    (failed,) = report.failed
    assert failed.name == "files"
    assert cause in failed.detail


def test_what_is_damaged_is_not_loaded(bundle: Path) -> None:
    append(bundle / "model.ort")
    append(bundle / "reference.onnx")
    found = statuses(verify(bundle))
    assert found["model.onnx self-test on cpu"] == "passed"
    assert {found[n] for n in ("model.ort operators", "model.ort self-test on cpu", "reference.onnx")} == {
        "skipped"
    }


def linked(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


def linked_folder(path: Path) -> None:
    (path.parent / "folder").symlink_to("/")


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("change", [linked, linked_folder, piped])
def test_links_and_special_files_are_refused_unopened(bundle: Path, change: Callable[[Path], None]) -> None:
    change(bundle / "model.onnx")
    with pytest.raises(InputError, match="is a link or a special file"):
        verify(bundle)


def test_more_files_than_any_bundle_has_are_refused(bundle: Path) -> None:
    with use_limits(Limits(bundle_files=3)), pytest.raises(LimitError, match="the limit is 3"):
        verify(bundle)


def test_another_model_that_was_sealed_again_fails_its_self_test(bundle: Path) -> None:
    (bundle / "model.onnx").write_bytes(classifier(seed=1).content)
    sealed_again(bundle)
    report = verify(bundle)
    assert [check.name for check in report.failed] == ["model.onnx self-test on cpu"]


@pytest.mark.parametrize(
    ("name", "data", "failed"),
    [
        ("model.onnx", b"\x08\x09", "model.onnx"),
        ("model.ort", b"ORTM" * 20, "model.ort self-test on cpu"),
        ("reference.onnx", b"", "reference.onnx"),
        ("operators.config", b"ai.onnx;11;Conv\n", "model.ort operators"),
        ("operators.config", b"nonsense\n", "model.ort operators"),
    ],
)
def test_files_that_are_nothing_of_the_kind_fail_by_name(
    bundle: Path, name: str, data: bytes, failed: str
) -> None:
    (bundle / name).write_bytes(data)
    sealed_again(bundle)
    assert failed in [check.name for check in verify(bundle).failed]


def test_a_manifest_that_describes_another_model_fails(bundle: Path) -> None:
    inputs = [entry.model_dump() for entry in read_manifest(bundle).inputs]
    sealed_again(bundle, inputs=[{**inputs[0], "name": "y"}])
    (failed,) = verify(bundle).failed
    assert (failed.name, failed.detail) == ("model.onnx", "its inputs are not those of the manifest")


def test_a_model_runs_where_it_is_asked_to(bundle: Path) -> None:
    def elsewhere(model: object) -> Opened:
        run = open_on_cpu(model)  # type: ignore[arg-type]
        return Opened(
            lambda feed: {n: a + np.float32(1) for n, a in run(feed).items()}, lambda: ("2 nodes on it",)
        )

    report = verify(bundle, provider="abacus", open_model=elsewhere)
    (failed,) = report.failed
    assert failed.name == "model.onnx self-test on abacus"
    assert failed.detail.endswith("largest difference 1; 2 nodes on it")
